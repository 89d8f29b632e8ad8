"""What was found by trying to break the promises about money, on a service written from its documents alone."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.network.transport import NotSent, Reply
from image_mixer.tests.remote import harness, scripted_service
from image_mixer.tests.remote.scripted_service import FAILED, PLAIN, Fields, Scene, order, told

HOUR = 3600.0


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# Paid twice


def test_a_clock_that_was_ahead_does_not_hide_a_taken_job(scene: Scene) -> None:
    """It is sent while the clock is two hours ahead, so that later jobs seem older than it."""
    scene.run(order(1))
    scene.ahead = 2 * HOUR
    scene.lost(5)
    scene.ahead = 0.0
    scene.run(order(6))
    scene.ahead, scene.later = 2 * HOUR, 700.0
    scene.run(order(7))
    scene.service.meta = scripted_service.no_meta
    assert scene.paid_by(order(5)) == 0


def test_a_clock_that_is_put_forward_is_no_waiting(scene: Scene) -> None:
    """It is sent while the clock is an hour late. The clock is corrected; only two minutes have passed, and the list is late."""
    scene.run(order(1))
    scene.ahead = -HOUR
    taken = scene.lost(5, listed=False)
    scene.ahead = 0.0
    scene.hide(taken)
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


@pytest.mark.parametrize("renamed", [False, True], ids=["the same name", "another credential"])
def test_the_list_of_another_account_clears_nothing(scene: Scene, renamed: bool, monkeypatch: Any) -> None:
    """The key was changed for that of another account after the job was lost: its list cannot show it."""
    scene.run(order(1))
    scene.lost(5)
    scene.key, scene.later = "another-key-0000", 700.0
    if renamed:
        monkeypatch.setattr(harness, "Credentials", lambda path, keys: _credentials(path, scene.key))
        scene.endpoint["credential"] = "STUDIO_KEY"
    scene.hide(*scene.service.jobs)  # all of them are the other account's
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


def _credentials(path: Path, key: str) -> Any:
    from image_mixer.remote.credentials import Credentials

    return Credentials(path, {"STUDIO_KEY": key})


def test_the_longest_job_counts_also_if_a_later_queue_collected_it(scene: Scene) -> None:
    """A job took over 30 minutes, longer than a run waits. So the lost one may still come after 12 minutes."""
    scene.endpoint["timeouts"] = replace(scripted_service.TIMES, job=900.0)
    scene.service.fetch = lambda job, body: told({"status": "processing", "message": "Try Again", "output": ""})
    scene.tried(order(1))
    scene.later += 1000.0
    scene.service.fetch = lambda job, body: None
    scene.run(order(1))
    scene.hide(scene.lost(5, listed=False))
    scene.later += 700.0
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


def _ten_a_page(rows: list[Fields], body: Fields, taken: int) -> Reply:
    first = (body["page"] - 1) * 10
    return told(
        {
            "status": "success",
            "data": rows[first : first + 10],
            "pagination": {"per_page": 10, "total": len(rows), "last_page": -(-len(rows) // 30)},
        }
    )


def _last_page_is_nought(rows: list[Fields], body: Fields, taken: int) -> Reply:
    part = rows[:1] if body["page"] == 1 else rows[1:] if body["page"] == 2 else []
    return told({"status": "success", "data": part, "pagination": {"last_page": 0}})


def _all_at_once(rows: list[Fields], body: Fields, taken: int) -> Reply:
    return told({"status": "success", "data": rows, "pagination": {"last_page": 1}})


def _one_row_in_another_form(rows: list[Fields], body: Fields, taken: int) -> Reply:
    return scripted_service.page_of(
        [row if row["id"] != taken else {"request_id": taken, "output": []} for row in rows], body
    )


@pytest.mark.parametrize("listing", [_ten_a_page, _all_at_once, _last_page_is_nought, _one_row_in_another_form])
def test_a_list_that_was_not_read_whole_clears_nothing(scene: Scene, listing: Any) -> None:
    scene.run(order(1))
    taken = scene.lost(5)
    for _ in range(230 if listing is _all_at_once else 35 if listing is _ten_a_page else 0):
        scene.service.take({"seed": 99, "samples": 1, **PLAIN})
    scene.later = 700.0
    scene.run(order(6))

    def listed(rows: list[Fields], body: Fields) -> Reply:
        told_seeds = [
            row | {"meta": {"seed": scene.service.jobs[row["id"]]["fields"]["seed"]}} if row["id"] != taken else row
            for row in rows
        ]
        return listing(told_seeds, body, taken)

    scene.service.meta, scene.service.listing = scripted_service.no_meta, listed
    assert scene.paid_by(order(5)) == 0


def test_ids_that_are_seen_to_fall_say_nothing_about_age(scene: Scene) -> None:
    scene.service.step, scene.service.meta = -1, scripted_service.no_meta
    scene.run(order(1))
    scene.lost(5)
    scene.later = 700.0
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


def test_a_connection_that_is_refused_shows_no_working_service(scene: Scene) -> None:
    """Every other connection is refused; every submit that arrives is accepted and answered with 500."""
    turns = itertools.count()

    def mix(fields: Fields) -> Reply:
        if next(turns) % 2:
            raise NotSent("the connection is refused")
        return scene.service.take_and_break(fields)

    scene.service.mix, scene.service.meta = mix, scripted_service.no_meta
    in_flight = 5
    assert scene.paid_by(order(5, samples=30)) <= in_flight + 1


def test_a_keyboard_interrupt_stops_paying(scene: Scene) -> None:
    scene.endpoint["jobs_in_flight"] = 1
    here = threading.current_thread()

    def interrupted() -> bool:
        if threading.current_thread() is here and scene.service.jobs:
            raise KeyboardInterrupt
        return False

    def fetch(job: int, body: Fields) -> None:
        time.sleep(0.1)

    scene.service.fetch = fetch
    with pytest.raises(KeyboardInterrupt):
        scene.engine().run(order(5, samples=12), interrupted=interrupted)
    paid = len(scene.service.jobs)
    time.sleep(1.0)
    assert len(scene.service.jobs) <= paid + 1


def test_only_a_sentence_about_a_field_says_that_it_is_required(scene: Scene) -> None:
    def mix(fields: Fields) -> Reply:
        scene.service.take(fields)
        return told({"status": "error", "message": "Job queued. Manual review is required."})

    scene.service.mix, scene.service.meta = mix, scripted_service.no_meta
    assert scene.paid_by(order(5)) + scene.paid_by(order(5)) == 1


def test_pay_again_waits_for_an_answer_about_the_earlier_attempt(scene: Scene) -> None:
    """The job failed. Asked once more, the service does not answer just now, though it would deliver."""
    scene.endpoint["timeouts"] = replace(scripted_service.TIMES, job=60.0)
    scene.service.fetch = lambda job, body: FAILED
    scene.tried(order(5))
    scene.service.fetch = lambda job, body: Reply(503, {}, b"")
    assert scene.paid_by(order(5, pay_again=1)) == 0
