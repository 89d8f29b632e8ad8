"""kill -9 at random moments: no extra payment, no image lost unsaid, the same bytes."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_mixer.remote.transport import Call, RequestsTransport
from image_mixer.tests.service.app import Service
from image_mixer.tests.service.state import Manners

WORKER = Path(__file__).with_name("worker.py")
SAMPLES = 3


def _start(folder: Path, base: str, seed: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", str(WORKER), str(folder), base, str(seed), str(SAMPLES)],
        stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "go\n"
    return process


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    # communicate() would lose a line that came together with "go" and lies in the buffer already.
    said: dict[str, Any] = json.loads(process.stdout.read())
    assert process.wait(timeout=60) == 0
    return said


def _served(url: str) -> str:
    return hashlib.sha256(RequestsTransport()(Call("GET", url)).body).hexdigest()


def _killed(folder: Path, moments: int, seed: int) -> int:
    """How many jobs ended as a stated unknown."""
    drawn = random.Random(seed)
    unknown = 0
    manners = Manners(took=[0.4], upload_seconds=0.1, queue_limit=10)
    with Service(manners=manners).start() as service:
        for moment in range(moments):
            state, before = service.state, len(service.state.paid)
            process = _start(folder, service.base, 1000 * moment)
            time.sleep(drawn.uniform(0.0, 1.3))
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
            said = _said(_start(folder, service.base, 1000 * moment))
            paid = state.paid[before:]
            assert len(paid) <= SAMPLES and state.paid_twice() == 0
            if "error" in said:
                assert said["error"] == "UnknownOutcome", said
                unknown += 1
                continue
            assert len(paid) == SAMPLES
            in_order = sorted(paid, key=lambda number: state.jobs[number].seed)
            assert said["images"] == [_served(f"{service.base}/images/{number}-0.png") for number in in_order]
            calls = len(state.calls)
            assert _said(_start(folder, service.base, 1000 * moment)) == said and len(state.calls) == calls
        assert service.state.violations == []
        service.shutdown()
    return unknown


def test_killed_now_and_then(tmp_path: Path) -> None:
    assert _killed(tmp_path, 4, seed=1) <= 4


@pytest.mark.soak
def test_killed_at_thirty_moments(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("unknown", _killed(tmp_path, 30, seed=2))


def test_two_processes_with_one_graph_pay_once(tmp_path: Path) -> None:
    with Service(manners=Manners(took=[0.5])).start() as service:
        both = [_start(tmp_path, service.base, 5) for _ in range(2)]
        said = [_said(process) for process in both]
        assert said[0] == said[1] and len(service.state.paid) == SAMPLES
        service.shutdown()
