"""The engine against the stand-in, over real sockets: what is paid, which images come, and what the report says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError, InputError, MixError
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.remote.endpoints import Settings
from image_mixer.remote.errors import RunInterrupted, UnknownOutcome
from image_mixer.remote.run.progress import Progress
from image_mixer.tests.remote import harness
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Fault, Manners
from image_mixer.tests.support.pictures import coloured


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(manners=Manners(took=[0.1])) as server:
        yield server.start()
        server.shutdown()


@pytest.mark.parametrize("endpoint", ["v6", "v5"])
def test_images_come_in_order_and_are_paid_once(service: Service, tmp_path: Path, endpoint: str) -> None:
    engine = harness.engine(service.base, tmp_path)
    order = harness.order(harness.recipe(((0.5, 0.7), (1.0, 0.0)), samples=2), endpoint)
    first = engine.run(order)
    assert len(first.images) == 4 == len(set(first.images))
    assert [(i.variant, i.sample, i.seed) for i in first.report.images] == [
        (0, 0, 12345),
        (0, 1, 12346),
        (1, 0, 12345),
        (1, 1, 12346),
    ]
    calls = len(service.state.calls)
    again = engine.run(order)
    assert again.images == first.images
    assert len(service.state.calls) == calls and len(service.state.paid) == 4
    assert [job["from"] for job in again.report.details["jobs"]] == ["journal"] * 4
    assert [i.weights for i in first.report.images] == [(0.5, 0.7)] * 2 + [(1.0, 0.0)] * 2
    assert service.state.count("upload") == 2
    assert service.state.violations == [] and service.state.leaks == []


def test_a_second_engine_on_the_same_folder_sends_nothing(service: Service, tmp_path: Path) -> None:
    first = harness.engine(service.base, tmp_path).run(harness.order())
    calls = len(service.state.calls)
    assert harness.engine(service.base, tmp_path, key="").run(harness.order()).images == first.images
    assert len(service.state.calls) == calls


def test_take_pays_again_and_a_new_key_does_not(service: Service, tmp_path: Path) -> None:
    service.state.credits["another-key-0"] = 5
    harness.engine(service.base, tmp_path).run(harness.order())
    harness.engine(service.base, tmp_path, key="another-key-0").run(harness.order())
    assert len(service.state.paid) == 1
    harness.engine(service.base, tmp_path).run(harness.order(take=1))
    assert len(service.state.paid) == 2
    assert service.state.count("upload") == 2


def test_equal_requests_are_one_job(service: Service, tmp_path: Path) -> None:
    outcome = harness.engine(service.base, tmp_path).run(harness.order(harness.recipe(((0.5, 0.7),) * 3)))
    assert len(outcome.images) == 3 and len(set(outcome.images)) == 1 == len(service.state.paid)


def test_two_engines_at_once_pay_once(service: Service, tmp_path: Path) -> None:
    engines = [harness.engine(service.base, tmp_path) for _ in range(2)]
    futures = [e.start(harness.order()) for e in engines]
    images = [f.result(10).images for f in futures]
    assert images[0] == images[1] and len(service.state.paid) == 1


def test_seed_minus_one_is_drawn_by_the_service_for_each_sample(service: Service, tmp_path: Path) -> None:
    for endpoint in ("v6", "v5"):
        outcome = harness.engine(service.base, tmp_path).run(
            harness.order(harness.recipe(seed=-1, samples=2), endpoint)
        )
        seeds = [i.seed for i in outcome.report.images]
        assert len(set(seeds)) == 2 and None not in seeds
    sent = [job.fields.get("seed", "left out") for job in service.state.jobs.values()]
    assert sent == ["left out"] * 2 + [None] * 2


def test_v5_makes_several_images_a_job_where_its_profile_says_so(service: Service, tmp_path: Path) -> None:
    settings = harness.endpoints(service.base)
    v5 = replace(settings.endpoints["v5"], images_per_job=4)
    settings = Settings({**settings.endpoints, "v5": v5})
    outcome = harness.engine(service.base, tmp_path, settings).run(harness.order(harness.recipe(samples=6), "v5"))
    assert len(outcome.images) == 6 == len(set(outcome.images)) and len(service.state.paid) == 2
    assert [i.seed for i in outcome.report.images] == [12345, None, None, None, 12349, None]
    assert any("made again alone" in warning for warning in outcome.report.warnings)


def test_text_and_url_ingredients(service: Service, tmp_path: Path) -> None:
    mix = Mix(
        (
            Ingredient("url", "https://a.example/b,c.png"),
            Ingredient("text", "in oil"),
            Ingredient("image", coloured()),
        ),
        ((1.0, 0.5, 1.0),),
    )
    recipe = harness.recipe()
    outcome = harness.engine(service.base, tmp_path).run(
        harness.order(replace(recipe, mix=mix, width=0, height=0), "v5")
    )
    fields = next(iter(service.state.jobs.values())).fields
    assert fields["init_image"].split(",")[0] == "https://a.example/b%2Cc.png"
    assert fields["prompt"] == "rose man, in oil" and "width" not in fields
    assert any("prompt" in warning for warning in outcome.report.warnings)


@pytest.mark.parametrize(("mode", "images", "weights"), [("send", 2, "0.5,0.7"), ("repeat", 4, None)])
def test_weights_on_v6(service: Service, tmp_path: Path, mode: Any, images: int, weights: str | None) -> None:
    engine = harness.engine(service.base, tmp_path, harness.endpoints(service.base, weights=mode))
    report = engine.run(harness.order()).report
    fields = next(iter(service.state.jobs.values())).fields
    assert len(fields["init_image"]) == images and fields.get("init_image_weights") == weights
    assert ("not confirmed" in report.details["weights"]) == (mode == "send")
    assert bool(report.warnings) == (mode == "repeat")


def test_no_more_jobs_in_flight_than_allowed(service: Service, tmp_path: Path) -> None:
    service.state.manners.queue_limit = 2
    settings = harness.endpoints(service.base, jobs_in_flight=2)
    outcome = harness.engine(service.base, tmp_path, settings).run(harness.order(harness.recipe(samples=5)))
    assert len(outcome.images) == 5 and service.state.count("mix") == 5


def test_webhook_and_track_id_are_sent_and_pay_for_nothing_again(service: Service, tmp_path: Path) -> None:
    settings = harness.endpoints(service.base, webhook=f"{service.base}/control/hook")
    for track_id in ("41", "42"):
        harness.engine(service.base, tmp_path, settings).run(harness.order(track_id=track_id))
    harness.engine(service.base, tmp_path).run(harness.order(endpoint="v6"))
    fields = next(iter(service.state.jobs.values())).fields
    assert (fields["track_id"], fields["webhook"]) == (41, f"{service.base}/control/hook")
    assert len(service.state.paid) == 1
    with pytest.raises(InputError, match="digits"):
        harness.engine(service.base, tmp_path).run(harness.order(track_id="mine"))


def test_size_0_takes_the_first_images_shape(service: Service, tmp_path: Path) -> None:
    recipe = harness.recipe(width=0, height=0)
    wide = Mix((Ingredient("image", coloured(size=(300, 100))),), ((1.0,),))
    harness.engine(service.base, tmp_path).run(harness.order(replace(recipe, mix=wide)))
    fields = next(iter(service.state.jobs.values())).fields
    assert (fields["width"], fields["height"]) == (768, 256)


def test_images_depend_on_weights_and_inputs(service: Service, tmp_path: Path) -> None:
    weights = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.25))
    images = harness.engine(service.base, tmp_path).run(harness.order(harness.recipe(weights))).images
    assert len(set(images)) == 4


def test_a_job_of_a_process_that_died_while_sending_is_looked_up(service: Service, tmp_path: Path) -> None:
    service.state.faults.append(Fault("mix", "reset", taken=True))
    service.state.manners.hides_meta = True
    with pytest.raises(UnknownOutcome, match="raise pay_again"):
        harness.engine(service.base, tmp_path).run(harness.order())
    service.state.manners.hides_meta = False
    assert len(harness.engine(service.base, tmp_path).run(harness.order()).images) == 1
    assert len(service.state.paid) == 1


def test_progress_says_what_goes_on(service: Service, tmp_path: Path) -> None:
    said: list[Progress] = []
    harness.engine(service.base, tmp_path).run(harness.order(), said.append)
    texts = [p.text for p in said]
    assert "uploading" in texts and any(t.startswith("eta") for t in texts) and "downloading" in texts
    assert texts[-1].startswith("done in") and said[-1].done == said[-1].total == 1


@pytest.mark.parametrize("phase", ["upload", "mix", "fetch", "image"])
def test_interrupt_ends_within_a_second_and_the_next_queue_collects(
    service: Service, tmp_path: Path, phase: str
) -> None:
    service.state.faults.append(Fault(phase, "delay", seconds=1.2, taken=True))
    stop = threading.Event()
    future = harness.engine(service.base, tmp_path).start(harness.order(), interrupted=stop.is_set)
    while not service.state.count(phase):
        time.sleep(0.01)
    stop.set()
    began = time.monotonic()
    with pytest.raises(RunInterrupted) as caught:
        future.result(5)
    assert time.monotonic() - began < 1.0
    assert ("Queue this graph again" in str(caught.value)) == (phase != "upload")
    time.sleep(1.6)
    assert len(service.state.paid) == (phase != "upload")
    assert len(harness.engine(service.base, tmp_path).run(harness.order()).images) == 1
    assert len(service.state.paid) == 1


def test_a_killed_runs_job_is_resumed_by_its_id(service: Service, tmp_path: Path) -> None:
    service.state.manners.took = [1.0]
    stop = threading.Event()
    future = harness.engine(service.base, tmp_path).start(harness.order(), interrupted=stop.is_set)
    while not service.state.paid:
        time.sleep(0.01)
    stop.set()
    with pytest.raises(RunInterrupted):
        future.result(5)
    harness.engine(service.base, tmp_path).run(harness.order())
    assert len(service.state.paid) == 1 == service.state.count("mix")


def test_bytes_that_went_are_downloaded_again_or_pay_again_is_named(service: Service, tmp_path: Path) -> None:
    engine = harness.engine(service.base, tmp_path)
    images = engine.run(harness.order()).images
    for path in (tmp_path / "results").rglob("*.image"):
        path.unlink()
    assert engine.run(harness.order()).images == images
    for path in (tmp_path / "results").rglob("*.image"):
        path.write_bytes(b"changed")
    service.state.manners.links_live = 0.0
    with pytest.raises(MixError, match="raise pay_again") as caught:
        engine.run(harness.order())
    assert not isinstance(caught.value, EngineError)
    assert len(service.state.paid) == 1


def test_results_are_capped_the_oldest_out_first(service: Service, tmp_path: Path) -> None:
    settings = replace(harness.endpoints(service.base), results_bytes=1)
    engine = harness.engine(service.base, tmp_path, settings)
    for seed in (1, 2):
        engine.run(harness.order(harness.recipe(seed=seed)))
    assert len(list((tmp_path / "results").rglob("*.image"))) == 1


def test_an_upload_that_expired_is_made_again_before_anything_is_paid(service: Service, tmp_path: Path) -> None:
    harness.engine(service.base, tmp_path).run(harness.order())
    service.state.uploads.clear()
    harness.engine(service.base, tmp_path).run(harness.order(take=1))
    assert len(service.state.paid) == 2 and service.state.count("upload") == 4
