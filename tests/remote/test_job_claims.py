"""What a job holds while it runs: its claim, its slot, and what an interrupt leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.remote.errors import StoreError
from image_mixer.remote.store.job_rows import State
from image_mixer.remote.timing import Stopped, Waiter
from image_mixer.tests.remote.job_scene import (
    DONE,
    FAILED,
    PNG,
    REFUSED,
    Scene,
)
from image_mixer.wire.answers import Pending, Unclear


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# Claims and slots


def slots(scene: Scene) -> int:
    """How many of five slots are taken, also by this job."""
    account, owner = scene.client.endpoint.account, scene.journal.claims.new_owner()
    free = 0
    while free < 5 and scene.journal.slots.take(account, f"probe {free}", 5, owner):
        free += 1
    return 5 - free


@pytest.mark.parametrize(
    ("submits", "fetches", "taken"),
    [
        ([DONE], [], 0),
        ([Pending("7")], [DONE], 0),
        ([REFUSED], [], 0),
        ([Pending("7")], [Pending("7")], 1),
        ([FAILED], [FAILED], 0),
        ([Unclear("a page")], [], 0),
    ],
)
def test_a_slot_is_held_only_while_the_service_works(scene: Scene, submits: Any, fetches: Any, taken: int) -> None:
    scene.client.submits, scene.client.fetches = list(submits), {"7": list(fetches)} if fetches else {}
    scene.outcome()
    assert slots(scene) == taken


def test_without_a_free_slot_nothing_is_sent(scene: Scene) -> None:
    for n in range(5):
        scene.journal.slots.take(scene.client.endpoint.account, str(n), 5, scene.journal.claims.new_owner())
    got = scene.outcome()
    assert isinstance(got, EngineError) and got.cause == "queue full" and "no slot became free within 5 s" in str(got)
    assert "submit" not in scene.client.calls


def test_a_job_that_another_run_works_on_is_waited_for(scene: Scene) -> None:
    other = scene.context()
    scene.put("accepted")
    assert scene.journal.claims.take(scene.job.identity, other.owner) is not None

    def sleep(seconds: float) -> None:
        scene.time.now += seconds
        if scene.row().state == "accepted":
            scene.journal.done(scene.job.identity, (scene.results.keep(scene.job.identity, 0, PNG),))

    run = scene.run(waiter=Waiter(scene.time.clock, sleep, lambda: False))
    assert run.images() == [PNG] and not run.reused
    assert scene.client.calls == [] and "queued" in scene.steps


def test_stored_images_are_reused_without_a_claim_or_a_call(scene: Scene) -> None:
    scene.put("done")
    assert scene.journal.claims.take(scene.job.identity, scene.context().owner) is not None
    run = scene.run()
    assert run.images() == [PNG] and run.reused and scene.client.calls == []


@pytest.mark.parametrize("state", [None, "accepted", "failed"])
def test_claims_are_given_back_however_it_ends(scene: Scene, state: State | None) -> None:
    if state is not None:
        scene.put(state)
    scene.client.submits, scene.client.fetches = [REFUSED], {"7": [FAILED]}
    assert isinstance(scene.outcome(), EngineError)
    scene.client.submits, scene.client.fetches = [DONE], {"7": [DONE]}
    assert scene.outcome() == [PNG]


@pytest.mark.parametrize("where", ["before it is sent", "after the uploads", "while it is made"])
def test_an_interrupt_ends_the_job_and_the_next_run_goes_on(scene: Scene, where: str) -> None:
    def stop() -> None:
        if where == "before it is sent" or "upload" in scene.client.calls:
            raise Stopped

    scene.client.submits, scene.client.fetches = [Pending("7")], {"7": [Pending("7"), DONE]}
    changes: dict[str, Any] = {"check_may_send": stop}
    if where == "while it is made":
        changes = {"waiter": Waiter(scene.time.clock, scene.time.sleep, lambda: "generating" in scene.steps)}
    assert isinstance(scene.outcome(**changes), Stopped)
    assert scene.client.calls.count("submit") == (where == "while it is made")
    scene.steps.clear()
    assert scene.outcome() == [PNG] and scene.client.calls.count("submit") == 1


def test_a_row_that_vanishes_is_said_to_be_another_programs_doing(scene: Scene) -> None:
    scene.put("accepted")

    def sleep(seconds: float) -> None:
        scene.time.now += seconds
        scene.journal._db.execute("DELETE FROM jobs")

    scene.client.fetches["7"] = [Pending("7"), DONE]
    got = scene.outcome(waiter=Waiter(scene.time.clock, sleep, lambda: False))
    assert isinstance(got, StoreError) and "changed by another program" in str(got)
