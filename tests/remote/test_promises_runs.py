"""What was found by trying to break the promises about runs that go wrong, on a service written from its documents alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError, MixError
from image_mixer.network.transport import Reply
from image_mixer.remote.endpoints import Timeouts
from image_mixer.remote.engine import Outcome
from image_mixer.tests.remote import scripted_service
from image_mixer.tests.remote.scripted_service import BROKEN, FAILED, Fields, Scene, order, told


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# Lines and falling back


@pytest.mark.parametrize("when_missing", ["stop", "placeholder"])
def test_an_unknown_outcome_is_not_hidden_by_a_refusal(scene: Scene, when_missing: Any) -> None:
    """The first job may be paid for; then the credits run out. No other engine takes over: "nothing was paid" is untrue."""
    scene.endpoint["jobs_in_flight"] = 1
    refused = told({"status": "error", "message": "Insufficient credits"}, 402)
    scene.service.meta = scripted_service.no_meta
    scene.service.mix = lambda fields: refused if scene.service.jobs else scene.service.take_and_break(fields)
    got = scene.tried(order(5, samples=2, has_fallback=True, when_missing=when_missing))
    assert not isinstance(got, EngineError), got


def test_raising_pay_again_pays_also_if_it_was_lowered_before(scene: Scene) -> None:
    scene.service.fetch = lambda job, body: FAILED if job == 1001 else None
    scene.endpoint["timeouts"] = replace(scripted_service.TIMES, job=60.0)
    scene.tried(order(5, pay_again=3))
    assert "raise pay_again" in str(scene.tried(order(5, pay_again=0)))
    assert scene.paid_by(order(5, pay_again=1)) == 1


def test_closing_the_journal_is_not_called_damage(scene: Scene) -> None:
    engine = scene.engine()
    scene.service.mix = lambda fields: engine.close()
    with pytest.raises(MixError) as caught:
        engine.run(order(5))
    assert "damaged" not in str(caught.value)


# Hanging, and one job that holds others


def test_a_closed_gate_lets_no_job_wait_for_ever(scene: Scene) -> None:
    """A lost job is sent again, meets the second fault in a row, and pay_again was raised: its next attempt waits."""
    scene.endpoint |= {"jobs_in_flight": 2, "timeouts": Timeouts(60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0)}
    scene.run(order(1))
    scene.service.mix = lambda fields: BROKEN
    scene.tried(order(5))
    scene.service.mix = lambda fields: None
    scene.later = 700.0
    scene.run(order(6))
    scene.service.mix = lambda fields: BROKEN
    stop = threading.Event()
    future = scene.engine().start(order(4, samples=2, pay_again=1), interrupted=stop.is_set)
    ended = bool(wait([future], 3).done)
    stop.set()
    assert ended


def test_a_run_that_could_start_no_thread_holds_nothing(scene: Scene, monkeypatch: Any) -> None:
    engine, start = scene.engine(), threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name == "image mixer job":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(threading.Thread, "start", none_left)
        engine.run(order(5))
    stop = threading.Event()
    future = engine.start(order(5), interrupted=stop.is_set)
    ended = bool(wait([future], 3).done)
    stop.set()
    assert ended


def test_expired_uploads_are_renewed_for_every_job_of_a_run(scene: Scene) -> None:
    """Two jobs sent the old addresses; the second refusal is read after the first job has uploaded anew."""
    scene.run(order(1))
    old, here, first = scene.service.uploads, threading.Barrier(2, timeout=5), threading.Lock()

    def mix(fields: Fields) -> Reply | None:
        if any(int(url.rpartition("/")[2][:-4]) > old for url in fields["init_image"]):
            return None
        here.wait()
        if not first.acquire(blocking=False):
            end = time.monotonic() + 5
            while scene.service.uploads < 2 * old and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(0.1)
        return told({"status": "error", "message": "An init_image cannot be read"}, 400)

    scene.service.mix = mix
    got = scene.tried(order(50, samples=2))
    assert isinstance(got, Outcome), got
