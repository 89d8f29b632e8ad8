"""A job that got no clear answer is sent again by itself only if the account's list leaves no doubt."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_mixer.remote.errors import UnknownOutcome
from image_mixer.tests.remote import harness
from image_mixer.tests.remote.paced_scene import MINUTE, SEED, Scene, not_taken, order
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Fault, Manners


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Service(manners=Manners(took=[0.5], queue_limit=30)) as server:
        made = Scene(tmp_path, server)
        server.state.clock = made.clock
        server.start()
        yield made
        server.shutdown()


# Sent again by itself


def test_it_is_sent_once_more_when_the_list_shows_twice_that_it_was_not_taken(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    assert "Queue again after" in scene.unknown(order(SEED))
    scene.run(order(SEED + 500))
    scene.later += 11 * MINUTE
    lists = scene.service.state.count("list")
    outcome = scene.run(order(SEED))
    assert outcome.images == (harness.rendered(order(SEED).recipe),) and scene.paid == 2
    assert scene.service.state.count("list") >= lists + 4, "one reading was believed"
    assert not any("paid" in warning for warning in outcome.report.warnings)
    calls = len(scene.service.state.calls)
    assert scene.run(order(SEED)).images == outcome.images and len(scene.service.state.calls) == calls


def test_not_before_ten_minutes_nor_before_three_times_the_longest_job(scene: Scene) -> None:
    scene.run(order(1))
    with contextlib.closing(sqlite3.connect(scene.folder / "journal.sqlite", isolation_level=None)) as journal:
        journal.execute("UPDATE jobs SET seconds = 400.0")
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.run(order(2))
    scene.later += 11 * MINUTE
    assert "Queue again after" in scene.unknown(order(SEED)) and scene.paid == 2
    scene.later += 10 * MINUTE
    assert len(scene.run(order(SEED)).images) == 1 and scene.paid == 3


def test_a_clock_that_jumps_ahead_sends_nothing_again(scene: Scene) -> None:
    """The monotonic clock knows better than the time of day how long ago a job was sent."""
    scene.service.state.faults.append(not_taken())
    engine = scene.engine()
    with pytest.raises(UnknownOutcome):
        engine.run(order(SEED))
    engine.run(order(1))
    scene.ahead += 24 * 60 * MINUTE
    with pytest.raises(UnknownOutcome, match="Queue again after"):
        engine.run(order(SEED))
    assert scene.paid == 1


def test_not_without_a_later_job_that_the_list_shows(scene: Scene) -> None:
    scene.run(order(1))
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.later += 30 * MINUTE
    assert "an earlier and a later job" in scene.unknown(order(SEED)) and scene.paid == 1


def test_not_with_an_unexplained_job_in_the_list(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(Fault("mix", "answer", 500, "<html>", taken=True))
    scene.service.state.manners.hides_meta = True
    scene.unknown(order(SEED))
    scene.run(order(1))
    scene.later += 30 * MINUTE
    assert "list shows 1002" in scene.unknown(order(SEED)) and scene.paid == 2


def test_a_job_of_somebody_else_explains_itself_by_its_seed(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    Scene(scene.folder / "elsewhere", scene.service).run(order(77))
    scene.run(order(1))
    scene.later += 11 * MINUTE
    assert len(scene.run(order(SEED)).images) == 1 and scene.paid == 3


def test_not_with_a_seed_that_the_service_draws(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(-1))
    scene.run(order(1))
    scene.later += 30 * MINUTE
    assert "seed -1" in scene.unknown(order(-1)) and scene.paid == 1


def test_not_a_second_time(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.run(order(1))
    scene.later += 11 * MINUTE
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.run(order(2))
    for _ in range(3):
        scene.later += 30 * MINUTE
        assert "sent once more already" in scene.unknown(order(SEED))
    assert scene.paid == 2


def test_the_list_is_read_back_to_what_was_known(scene: Scene) -> None:
    """A lost job that is older than 70 jobs of somebody else is found on the third page."""
    scene.run(order(1))
    scene.service.state.faults += [Fault("mix", "reset", taken=True), Fault("list", "answer", 500, times=9)]
    scene.unknown(order(SEED))
    scene.service.state.faults.clear()
    elsewhere = Scene(scene.folder / "elsewhere", scene.service, jobs_in_flight=20)
    for first in (100, 200):
        elsewhere.run(order(first, samples=35))
    assert scene.run(order(SEED)).images == (harness.rendered(order(SEED).recipe),)
    assert scene.paid == 72


def test_a_first_attempt_that_appears_later_is_told_as_paid_twice(scene: Scene) -> None:
    scene.before()
    scene.service.state.manners.unlisted = [1002]
    scene.service.state.faults.append(Fault("mix", "answer", 500, "<html>", taken=True))
    scene.unknown(order(SEED))
    scene.run(order(1))
    scene.later += 11 * MINUTE
    first = scene.run(order(SEED))
    assert len(first.images) == 1 and scene.paid == 3
    scene.service.state.manners.unlisted = []
    scene.service.state.faults.append(Fault("mix", "reset", taken=True))  # any look at the list finds it
    scene.run(order(2))
    again = scene.run(order(SEED))
    assert again.images == first.images and scene.paid == 4
    assert any("was paid twice: jobs 1002, 1004" in warning for warning in again.report.warnings)
