"""kill -9 of a real ComfyUI in the middle of a remote run: no extra payment, no image lost unsaid, the same bytes."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from image_mixer.tests.comfyui.remote_scene import Scene, remote_graph, scene
from image_mixer.tests.service import render
from PIL import Image

SAMPLES = 2


def killed(base: Path, moments: int, seed: int) -> int:
    """Kills the server at `moments` random moments of a run, each queued again; how many ended as a stated unknown."""
    drawn, unknown = random.Random(seed), 0
    with scene(base, took=0.5) as live:
        live.service.state.manners.upload_seconds = 0.1
        for moment in range(moments):
            Image.new("RGB", (96, 64), (moment, 40, 40)).save(live.server.base / "input" / "a.png")
            before = live.paid
            prompt = remote_graph(recipe={"samples": SAMPLES, "seed": 1000 * moment})
            live.queue(prompt)
            time.sleep(drawn.uniform(0.0, 2.0))
            live.server.kill()
            live.server.restart()
            unknown += collected(live, prompt, before)
    return unknown


def collected(live: Scene, prompt: dict[str, dict[str, object]], before: int) -> int:
    """1 where the second queue ended as a stated unknown, 0 where it gave the images of jobs that were paid for once."""
    state = live.service.state
    entry = live.run(prompt)
    assert live.paid - before <= SAMPLES and state.paid_twice() == 0
    errors = [body["exception_message"] for kind, body in entry["status"]["messages"] if kind == "execution_error"]
    if errors:
        assert "take" in errors[0], errors
        return 1
    jobs = sorted((state.jobs[number] for number in state.paid[before:]), key=lambda job: job.seed)
    assert len(jobs) == SAMPLES
    for job, image in zip(jobs, entry["outputs"]["save"]["images"], strict=True):
        wanted = render.rendered(job.inputs, job.weights, str(job.fields["prompt"]), job.seed, job.size)
        with Image.open(io.BytesIO(live.image(image))) as ours, Image.open(io.BytesIO(wanted)) as theirs:
            assert ours.convert("RGB").tobytes() == theirs.tobytes()
    return 0


def test_killed_at_some_moments(tmp_path: Path) -> None:
    assert killed(tmp_path, 2, seed=5) <= 2


@pytest.mark.soak
def test_killed_at_thirty_moments(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("unknown", killed(tmp_path, 30, seed=11))
