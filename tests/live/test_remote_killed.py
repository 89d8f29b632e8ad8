"""kill -9 of a real ComfyUI in the middle of a remote run: no extra payment, and each picture belongs to its own seed."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.standin import render
from image_mixer.tests.support.live import graph, report_of
from image_mixer.tests.support.remote_scene import Scene, remote_graph, scene
from PIL import Image

SAMPLES = 4


@dataclass
class Tally:
    """The outcome of a number of kills."""

    unknown: int = 0
    misplaced: int = 0
    extra: int = 0
    most_unknown: int = 0


def killed(base: Path, moments: int, seed: int) -> Tally:
    """Kill the server at `moments` random moments of a run of four samples with a random seed of 63 bits.

    The submits of every other run take 1.5 s, and every third service returns little in `meta`.
    """
    drawn, tally = random.Random(seed), Tally()
    with scene(base, took=0.5) as live:
        manners = live.service.state.manners
        manners.upload_seconds, manners.queue_limit = 0.1, 40
        for moment in range(moments):
            Image.new("RGB", (96, 64), (moment, 40, 40)).save(live.server.base / "input" / "a.png")
            slow = moment % 2 == 1
            manners.submit_seconds, manners.thin_meta = 1.5 * slow, moment % 3 == 2
            chosen, before = drawn.randrange(2**62, 2**63 - 10), live.paid
            prompt = remote_graph(recipe={"samples": SAMPLES, "seed": ["seed", 0]}, remote={"missing": "placeholder"})
            prompt |= graph(seed=("PrimitiveInt", {"value": chosen}))
            live.queue(prompt)
            time.sleep(drawn.uniform(0.0, 3.0 if slow else 2.0))
            live.server.kill()
            manners.submit_seconds = 0.0
            live.server.restart()
            collect(live, prompt, chosen, before, tally)
    return tally


def collect(live: Scene, prompt: dict[str, Any], seed: int, before: int, tally: Tally) -> None:
    """Queue the graph again, and compare each picture with the one that its seed makes."""
    state = live.service.state
    outputs = live.good(prompt)
    reasons = [image["missing"] for image in report_of(outputs)["images"]]
    assert all("may be paid for" in reason and "Queue again" in reason for reason in reasons if reason), reasons
    missing = [bool(reason) for reason in reasons]
    tally.unknown += sum(missing)
    tally.most_unknown = max(tally.most_unknown, sum(missing))
    tally.extra += max(0, live.paid - before - SAMPLES) + state.paid_twice()
    for index, image in enumerate(outputs["save"]["images"]):
        if missing[index]:
            continue
        job = next(job for job in state.jobs.values() if job.seed == seed + index)
        wanted = render.rendered(job.inputs, job.weights, str(job.fields["prompt"]), seed + index, job.size)
        with Image.open(io.BytesIO(live.image(image))) as ours, Image.open(io.BytesIO(wanted)) as theirs:
            tally.misplaced += ours.convert("RGB").tobytes() != theirs.convert("RGB").tobytes()


def test_killed_at_some_moments(tmp_path: Path) -> None:
    tally = killed(tmp_path, 2, seed=5)
    assert (tally.misplaced, tally.extra) == (0, 0) and tally.most_unknown <= SAMPLES


@pytest.mark.soak
def test_killed_at_forty_moments(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    tally = killed(tmp_path, 40, seed=11)
    for name in ("unknown", "misplaced", "extra", "most_unknown"):
        record_property(name, getattr(tally, name))
    assert (tally.misplaced, tally.extra) == (0, 0) and tally.most_unknown <= SAMPLES
