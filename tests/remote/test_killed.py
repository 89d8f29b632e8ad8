"""kill -9 at random moments: no extra payment, no image lost without a message, and no picture stands for another one."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.remote import harness
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Manners

WORKER = Path(__file__).with_name("worker.py")
SAMPLES = 4


@dataclass
class Tally:
    """Counts over some kills: jobs of unknown outcome, and pictures that stood for others."""

    unknown: int = 0
    misplaced: int = 0


def _start(folder: Path, base: str, seed: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", str(WORKER), str(folder), base, str(seed), str(SAMPLES)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "go\n"
    return process


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    # communicate() would lose a line that came together with "go" and lies in the buffer already.
    said: dict[str, Any] = json.loads(process.stdout.read())
    assert process.wait(timeout=60) == 0
    return said


def _wanted(seed: int) -> list[str]:
    recipe = harness.recipe(seed=seed, samples=SAMPLES)
    return [hashlib.sha256(harness.rendered(recipe, index)).hexdigest() for index in range(SAMPLES)]


def _killed(folder: Path, moments: int, seed: int) -> Tally:
    """Kill a run of four samples with a large random seed at `moments` random moments, and run it again each time.

    Every other time submits take 1.5 s, and every third time the service's `meta` is short.
    """
    drawn, tally = random.Random(seed), Tally()
    with Service(manners=Manners(took=[0.4], upload_seconds=0.1, queue_limit=20)).start() as service:
        state = service.state
        for moment in range(moments):
            slow = moment % 2 == 1
            state.manners.submit_seconds, state.manners.thin_meta = 1.5 * slow, moment % 3 == 2
            chosen, before = drawn.randrange(2**62, 2**63 - 10), len(state.paid)
            process = _start(folder, service.base, chosen)
            time.sleep(drawn.uniform(0.0, 2.8 if slow else 1.3))
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
            state.manners.submit_seconds = 0.0
            said = _said(_start(folder, service.base, chosen))
            assert len(state.paid) - before <= SAMPLES and state.paid_twice() == 0
            tally.unknown += said["unknown"]
            tally.misplaced += sum(
                one is not None and one != wanted for one, wanted in zip(said["images"], _wanted(chosen), strict=True)
            )
            assert said["unknown"] or None not in said["images"], said
            calls = len(state.calls)
            if not said["unknown"]:
                assert _said(_start(folder, service.base, chosen)) == said and len(state.calls) == calls
        assert state.violations == []
        service.shutdown()
    return tally


def test_killed_now_and_then(tmp_path: Path) -> None:
    tally = _killed(tmp_path, 4, seed=1)
    assert tally.misplaced == 0 and tally.unknown <= 4 * SAMPLES


@pytest.mark.soak
def test_killed_at_thirty_moments(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    tally = _killed(tmp_path, 30, seed=2)
    record_property("unknown", tally.unknown)
    assert tally.misplaced == 0


def test_two_processes_with_one_graph_pay_once(tmp_path: Path) -> None:
    with Service(manners=Manners(took=[0.5])).start() as service:
        both = [_start(tmp_path, service.base, 5) for _ in range(2)]
        said = [_said(process) for process in both]
        assert said[0] == said[1] and len(service.state.paid) == SAMPLES
        service.shutdown()
