"""Interrupts and unknown outcomes in a real ComfyUI: the run ends at once, one line says what happened, no fallback runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from image_mixer.tests.standin.state import Fault
from image_mixer.tests.support.remote_scene import (
    Scene,
    beside_a_sampler,
    both,
    made,
    pixels,
    remote_graph,
    scene,
    until,
    well_behaved,
)
from PIL import Image

pytestmark = pytest.mark.alone

WITHIN = 1.0
"""Seconds in which Interrupt must end a prompt."""

FULL = Fault("mix", status=429, body='{"status":"error","message":"full"}', times=999)
ODD = Fault("mix", status=400, body='{"status":"error","message":"odd"}', skip=1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("interrupt")) as made:
        yield made


@pytest.fixture
def live(running: Scene) -> Iterator[Scene]:
    with well_behaved(running) as behaved:
        yield behaved


def interrupt(live: Scene, queued: str) -> None:
    """Interrupt a prompt, and assert that it ends at once."""
    asked = time.monotonic()
    live.post("/interrupt", {})
    messages = [kind for kind, _ in live.ended(queued)["status"]["messages"]]
    assert time.monotonic() - asked < WITHIN
    assert "execution_interrupted" in messages and "execution_error" not in messages


PHASES: dict[str, tuple[str, dict[str, Any], Fault | None]] = {
    "upload": ("upload", {"upload_seconds": 3.0}, None),
    "queue": ("mix", {}, FULL),
    "submit": ("mix", {}, Fault("mix", "delay", seconds=3.0)),
    "poll": ("mix", {"took": [4.0]}, None),
    "download": ("image", {}, Fault("image", "delay", seconds=3.0)),
}


@pytest.mark.parametrize("beside", [False, True], ids=["alone, with a fallback", "beside a sampler"])
@pytest.mark.parametrize("phase", PHASES)
def test_interrupt_ends_the_prompt_and_the_next_queue_collects(live: Scene, phase: str, beside: bool) -> None:
    call, manners, fault = PHASES[phase]
    state, number = live.service.state, 2 * list(PHASES).index(phase) + beside
    picture, recipe = f"{phase}{beside}.png", {"seed": 900 + number, "prompt": "rose man", "steps": 30}
    Image.new("RGB", (96, 64), (number, 90, 20)).save(live.server.base / "input" / picture)
    if beside:
        prompt = beside_a_sampler(900 + number)
        prompt["a"]["inputs"]["image"] = picture
    else:
        prompt = both("remote", "local", a={"image": picture}, recipe=recipe)
    vars(state.manners).update(manners)
    if fault is not None:
        state.faults.append(fault)
    before, count, sampled = live.paid, state.count(call), live.counts()["sampled"]
    live.heard.clear()
    queued = live.queue(prompt)
    until(lambda: state.count(call) > count and (not beside or live.counts()["sampled"] > sampled))
    time.sleep(0.3)
    interrupt(live, queued)
    until(lambda: b"Interrupted. " in live.heard)
    assert live.counts()["sampled"] == sampled + beside, "the fallback ran"
    state.faults.clear()
    vars(state.manners).update({"upload_seconds": 0.0, "took": [0.2]})
    outputs = live.good(remote_graph(a={"image": picture}, recipe=recipe))
    assert live.paid == before + 1 and state.paid_twice() == 0
    assert pixels(live.image(outputs["save"]["images"][0])) == pixels(made(live, state.paid[-1]))


def test_jobs_go_on_beside_a_sampler(live: Scene) -> None:
    state = live.service.state
    sampled, count, paid = live.counts()["sampled"], state.count("image"), live.paid
    queued = live.queue(beside_a_sampler(950))
    until(lambda: live.counts()["sampled"] > sampled and state.count("image") > count)
    assert not live.get(f"/history/{queued}"), "the sampler was done before the service was"
    interrupt(live, queued)
    live.good(remote_graph(recipe={"seed": 950}))
    assert live.paid == paid + 1


def test_a_sampler_that_takes_the_interrupt_says_what_cannot_be_cancelled(live: Scene) -> None:
    state = live.service.state
    state.manners.took = [60.0]
    sampled, paid = live.counts()["sampled"], live.paid
    queued = live.queue(beside_a_sampler(960))
    until(lambda: live.counts()["sampled"] > sampled and live.paid > paid)
    time.sleep(0.3)
    live.heard.clear()
    interrupt(live, queued)
    until(lambda: b"cannot be cancelled and will be paid for" in live.heard)
    state.jobs[state.paid[-1]].seconds = 0.1
    live.good(remote_graph(recipe={"seed": 960}))
    assert live.paid == paid + 1


UNKNOWN: dict[str, tuple[str, tuple[Fault, ...], int]] = {
    "reset": ("modelslab v6", (Fault("mix", "reset"),), 1),
    "no answer": ("hasty", (Fault("mix", "hang", seconds=3.0),), 1),
    "cut, on v5": ("stable diffusion api v5", (Fault("mix", "cut", part=0.0),), 1),
    "beside a job that failed": ("modelslab v6", (Fault("mix", "reset"), ODD), 2),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_outcome_never_falls_back(live: Scene, case: str) -> None:
    endpoint, faults, samples = UNKNOWN[case]
    recipe = {"seed": 970 + 2 * list(UNKNOWN).index(case), "samples": samples, "steps": 30}
    prompt = both("remote", "local", recipe=recipe, remote={"endpoint": endpoint})
    live.service.state.faults.extend(faults)
    before, mixes = live.counts(), live.service.state.count("mix")
    for _ in range(2):  # the second queue looks again, and neither sends again nor falls back
        error = live.error(prompt)
        assert error["node_type"] == "ImageMixerRemote" and "raise pay_again" in error["exception_message"].lower()
        assert live.counts() == before
    assert live.service.state.count("mix") - mixes <= samples + 1
