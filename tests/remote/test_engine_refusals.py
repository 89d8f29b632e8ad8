"""What the engine refuses before anything is sent: recipes, caps, and an endpoint without a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError, InputError
from image_mixer.mixing.mix import Ingredient, Mix, Region
from image_mixer.tests.remote import harness
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Manners
from image_mixer.tests.support.pictures import coloured


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(manners=Manners(took=[0.1])) as server:
        yield server.start()
        server.shutdown()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"weights": ((0.0, 0.0),)}, "v6"),
    ({"weights": ((-0.5, 1.0),)}, "v6"),
    ({"prompt": " "}, "v6"),
    ({"steps": 51}, "v6"),
    ({"steps": 101}, "v5"),
    ({"guidance_scale": 0.5}, "v6"),
    ({"width": 2048, "height": 256}, "v6"),
]


@pytest.mark.parametrize(("changes", "endpoint"), REFUSED)
def test_what_is_refused_before_anything_is_sent(
    service: Service, tmp_path: Path, changes: dict[str, Any], endpoint: str
) -> None:
    with pytest.raises(InputError):
        harness.engine(service.base, tmp_path).run(harness.order(harness.recipe(**changes), endpoint))
    assert service.state.calls == []


def test_regions_spans_and_odd_urls_are_refused(service: Service, tmp_path: Path) -> None:
    image = coloured()
    for ingredient in (
        Ingredient("image", image, Region("r", None)),
        Ingredient("image", image, start=0.5),
        Ingredient("url", "file:///etc/passwd"),
        Ingredient("url", "https://u@a.example/"),
    ):
        recipe = replace(harness.recipe(), mix=Mix((ingredient,), ((1.0,),)))
        with pytest.raises(InputError):
            harness.engine(service.base, tmp_path).run(harness.order(recipe))
    assert service.state.calls == []


def test_caps_count_all_of_a_run_and_of_a_day(service: Service, tmp_path: Path) -> None:
    settings = replace(harness.endpoints(service.base), max_jobs_per_run=3, max_jobs_per_day=4)
    engine = harness.engine(service.base, tmp_path, settings)
    engine.run(harness.order(harness.recipe(samples=2), run="a"))
    with pytest.raises(EngineError, match=r"2 paid jobs, and 2 of at most 3 .* max_jobs_per_run") as caught:
        engine.run(harness.order(harness.recipe(samples=4), run="a"))
    assert caught.value.cause == "cap reached" and service.state.count("upload") == 2
    engine.run(harness.order(harness.recipe(samples=3), run="a"))
    with pytest.raises(EngineError, match="max_jobs_per_day"):
        engine.run(harness.order(harness.recipe(samples=2, seed=7), run="b"))
    assert len(service.state.paid) == 3


def test_caps_are_checked_before_a_large_plan_is_made(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4,096 variants of 64 samples are 262,144 jobs. They are counted without being planned."""
    weights = tuple((0.1 + step / 10_000, 1.0) for step in range(4096))
    monkeypatch.setattr("image_mixer.remote.engine.plan", lambda *_: pytest.fail("the plan was made"))
    with pytest.raises(EngineError, match=r"262144 paid jobs.* max_jobs_per_run"):
        harness.engine(service.base, tmp_path).run(harness.order(harness.recipe(weights, samples=64)))
    assert service.state.calls == []


def test_equal_variants_are_one_job_for_the_caps_too(service: Service, tmp_path: Path) -> None:
    settings = replace(harness.endpoints(service.base), max_jobs_per_run=1)
    weights = ((0.5, 0.7),) * 100 + ((0.5, 0.7000000001),)
    outcome = harness.engine(service.base, tmp_path, settings).run(harness.order(harness.recipe(weights)))
    assert len(outcome.images) == 101 and len(service.state.paid) == 1


def test_without_a_key_nothing_is_sent(service: Service, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="MODELSLAB_API_KEY") as caught:
        harness.engine(service.base, tmp_path, key="").run(harness.order())
    assert caught.value.cause == "no key" and service.state.calls == []
