"""Missing pictures in a real ComfyUI: an error or a placeholder; the next queue asks for them again, and only the
counter pays again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.standin.state import Fault
from image_mixer.tests.support.live import report_of
from image_mixer.tests.support.remote_scene import Scene, both, made, pixels, remote_graph, scene, until, well_behaved

FAILED = '{"status":"failed","id":"{id}","message":"odd"}'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("missing")) as made:
        yield made


@pytest.fixture
def live(running: Scene) -> Iterator[Scene]:
    with well_behaved(running) as behaved:
        behaved.heard.clear()
        yield behaved


def one_fails(live: Scene) -> None:
    """The second job submitted from now on is accepted and fails, however often it is polled."""
    number = 1001 + len(live.service.state.jobs) + 1
    live.service.state.faults += [
        Fault("mix", body=FAILED, taken=True, skip=1),
        Fault("fetch", body='{"status":"failed","message":"odd"}', times=10**6, path=f"/fetch/{number}"),
    ]


def prompt_of(seed: int, **remote: Any) -> dict[str, Any]:
    return remote_graph(recipe={"samples": 3, "seed": seed}, remote=remote)


def saved(live: Scene, outputs: dict[str, Any]) -> list[bytes]:
    return [pixels(live.image(image)) for image in outputs["save"]["images"]]


def wanted(live: Scene, seed: int) -> list[bytes]:
    """The pictures of the three samples, as the stand-in makes them."""
    jobs = {job.seed: job.id for job in live.service.state.jobs.values()}
    return [pixels(made(live, jobs[seed + sample])) for sample in range(3)]


def told(live: Scene) -> dict[str, Any]:
    """Return the last message about missing pictures that the page got."""
    text = live.heard.decode("utf-8", "replace")
    start = text.rindex('"image_mixer_missing"')
    return dict(json.JSONDecoder().raw_decode(text, text.index("{", start))[0])


def test_a_run_stops_and_says_which_picture_and_what_to_press(live: Scene) -> None:
    one_fails(live)
    before = live.paid
    line = live.error(prompt_of(5000))["exception_message"]
    assert "1 of 3 pictures are missing (variant 1, sample" in line and "2 are kept" in line
    assert "failed: " in line and "pay_again" in line and "\n" not in line.strip()
    until(lambda: b"image_mixer_missing" in live.heard)
    assert told(live) == {"node": "remote", "missing": 1, "jobs": 1}
    assert live.paid == before + 3
    live.service.state.faults.clear()
    assert saved(live, live.good(prompt_of(5000))) == wanted(live, 5000) and live.paid == before + 3
    until(lambda: told(live)["missing"] == 0)


def test_a_placeholder_stands_in_and_the_next_queue_asks_again(live: Scene) -> None:
    one_fails(live)
    before, prompt = live.paid, prompt_of(5100, missing="placeholder")
    outputs = live.good(prompt)
    reasons = [image["missing"] for image in report_of(outputs)["images"]]
    (lost,) = (index for index, reason in enumerate(reasons) if reason)
    assert "odd" in reasons[lost]
    pictures, right = saved(live, outputs), wanted(live, 5100)
    assert [one == two for one, two in zip(pictures, right, strict=True)] == [index != lost for index in range(3)]
    names = [image["filename"].endswith("_missing.png") for image in outputs["save"]["images"]]
    assert names == [index == lost for index in range(3)]
    stored = [pixels(path.read_bytes()) for path in (live.private / "results").rglob("*.image")]
    assert pictures[lost] not in stored, "a placeholder was stored as a result"

    live.service.state.faults.clear()
    outputs = live.good(prompt)
    assert saved(live, outputs) == right and live.paid == before + 3, "the cache gave the placeholder again"
    calls = live.calls
    live.good(prompt)
    assert live.calls == calls


def test_the_counter_pays_for_the_failed_one_alone(live: Scene) -> None:
    one_fails(live)
    before = live.paid
    live.error(prompt_of(5200))
    live.error(prompt_of(5200))
    assert live.paid == before + 3
    for _ in range(2):
        assert len(saved(live, live.good(prompt_of(5200, pay_again=1)))) == 3
        assert live.paid == before + 4
    assert live.service.state.count("upload") == 2


def test_a_fallback_acts_only_if_nothing_was_delivered(live: Scene) -> None:
    prompt = both("remote", "local", recipe={"seed": 5300, "samples": 2, "steps": 1})
    sampled = live.counts()["sampled"]
    one_fails(live)
    assert "1 of 2 pictures are missing" in live.error(prompt)["exception_message"]
    assert live.counts()["sampled"] == sampled
    live.service.state.faults.clear()
    live.service.state.faults.append(Fault("mix", status=400, body='{"status":"error","message":"odd"}', times=9))
    prompt["recipe"]["inputs"]["seed"] = 5310
    for how in ("stop", "placeholder"):
        prompt["remote"]["inputs"]["missing"] = how
        assert report_of(live.good(prompt))["handed_over"].startswith("job failed: ")
    assert live.counts()["sampled"] > sampled


def test_an_old_graph_knows_neither_input(live: Scene) -> None:
    """As version 0.1.0 saved it."""
    prompt = remote_graph(recipe={"seed": 5400})
    assert set(prompt["remote"]["inputs"]) == {"recipe", "endpoint", "take", "track_id"}
    assert len(live.good(prompt)["save"]["images"]) == 1


def test_nothing_of_a_placeholder_is_kept(live: Scene) -> None:
    assert live.service.state.paid_twice() <= 1, "only the counter may have paid twice"
    assert not any(path.name.startswith(".new-") for path in Path(live.private / "results").rglob("*"))
