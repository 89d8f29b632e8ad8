"""When another attempt at a job is paid, and what is bought alone of a job of several images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.remote.errors import NotDelivered, UnknownOutcome
from image_mixer.remote.run.identity import attempt_identity
from image_mixer.remote.run.job import JobRun
from image_mixer.remote.store.caps import Caps
from image_mixer.remote.store.job_rows import State
from image_mixer.tests.remote.job_scene import (
    DONE,
    DOWN,
    FAILED,
    FOUR,
    FULL,
    LINK,
    PNG,
    REFUSED,
    Scene,
)
from image_mixer.wire.answers import Done, ListedPage, Refused, Unclear


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# When it is paid again


@pytest.mark.parametrize(
    ("rows", "counter", "seen", "answer", "paid"),
    [
        (["failed"], 0, 0, FAILED, False),
        (["failed"], 1, 0, FAILED, True),
        (["failed"], 1, 1, FAILED, False),
        (["failed"], 2, 1, FAILED, True),
        (["failed"], 1, 2, FAILED, False),
        (["failed", "failed"], 1, 0, FAILED, False),
        (["failed", "failed"], 2, 1, FAILED, True),
        (["unknown"], 1, 0, FAILED, True),
        (["unknown"], 0, 0, FAILED, False),
        (["failed"], 1, 0, DOWN, False),
        (["failed"], 1, 0, Unclear("a page"), False),
        (["failed"], 1, 0, FULL, False),
        (["failed"], 1, 0, DONE, False),
        (["accepted"], 1, 0, REFUSED, False),
    ],
)
def test_another_attempt_is_paid_only_if_the_counter_was_raised(
    scene: Scene, rows: list[State], counter: int, seen: int, answer: Any, paid: bool
) -> None:
    """`seen` is the counter of the last run that got nothing. All earlier attempts are asked for once more before."""
    for attempt, state in enumerate(rows):
        scene.put(state, attempt)
    scene.journal.not_delivered(scene.job.identity, seen)
    scene.client.list = [ListedPage((), total=0)]
    scene.client.fetches = {scene.remote_id(attempt): [answer] for attempt in range(len(rows))}
    scene.client.submits = [Done(((LINK,),), id="70")]
    got = scene.outcome(pay_again=counter)
    assert ("submit" in scene.client.calls) is paid, scene.client.calls
    assert (got == [PNG]) is (paid or answer is DONE), got
    if paid:
        identity = attempt_identity(scene.job.identity, counter, resent=False)
        assert (scene.row(identity).attempt, scene.row(identity).remote_id) == (counter, "70")


def test_a_counter_left_high_pays_once(scene: Scene) -> None:
    scene.put("failed")
    scene.client.fetches = {"7": [FAILED], "70": [FAILED]}
    scene.client.submits = [Refused("out of memory", "job failed", id="70")]
    for _ in range(3):
        assert isinstance(scene.outcome(pay_again=4), NotDelivered)
    assert scene.client.calls.count("submit") == 1
    assert isinstance(scene.outcome(pay_again=5), NotDelivered)
    assert scene.client.calls.count("submit") == 2


def test_a_counter_that_a_run_has_seen_pays_nothing_until_it_is_raised_again(scene: Scene) -> None:
    """That run asked, and the service gave no answer. Lowering the counter and raising it again counts."""
    scene.put("failed")
    scene.client.submits = [Done(((LINK,),), id="70")]
    for counter, answer in ((1, DOWN), (1, FAILED), (0, FAILED)):
        scene.client.fetches["7"] = [answer]
        assert isinstance(scene.outcome(pay_again=counter), NotDelivered)
    assert "submit" not in scene.client.calls
    assert scene.outcome(pay_again=1) == [PNG]


def test_two_faults_in_a_row_are_not_paid_again(scene: Scene) -> None:
    """A lost job is sent once more, alone, since the submit before it got no clear answer; this one gets none either."""
    scene.lose_for_good()
    scene.time.now += 700
    context = scene.context(pay_again=1)
    context.breaker.leave(False, context.breaker.enter(lambda _: None))
    scene.client.submits = [Unclear("a page")]
    with pytest.raises(UnknownOutcome) as caught:
        JobRun(context, scene.job, lambda step, eta: None).images()
    assert caught.value.stops and scene.client.calls.count("submit") == 1


def test_a_cap_stops_another_attempt(scene: Scene) -> None:
    scene.put("failed")
    scene.client.fetches["7"] = [FAILED]
    got = scene.outcome(pay_again=1, caps=Caps(1, 1))
    assert isinstance(got, EngineError) and got.cause == "cap reached" and "submit" not in scene.client.calls


# Several images in one job


def short(scene: Scene) -> None:
    """Of four images the second was left out."""
    identity = scene.put("done")
    files = [scene.results.keep(identity, n, PNG) for n in range(4)]
    scene.journal.done(identity, (files[0], None, files[2], files[3]))


@pytest.mark.parametrize(
    ("counter", "answer", "found", "submits"),
    [
        (0, Unclear("a page"), False, 0),
        (0, Done(((LINK,), (LINK,), (LINK,), (LINK,)), id="7"), True, 0),
        (1, Unclear("a page"), True, 1),
    ],
)
def test_an_image_that_was_left_out_is_asked_for_and_then_bought_alone(
    tmp_path: Path, counter: int, answer: Any, found: bool, submits: int
) -> None:
    scene = Scene(tmp_path, FOUR, samples=4)
    short(scene)
    scene.client.fetches["7"] = [answer]
    scene.client.submits = [Done(((LINK,),), id="70")]
    run = scene.run(pay_again=counter)
    assert run.images() == [PNG, PNG if found else None, PNG, PNG]
    assert scene.client.calls.count("submit") == submits and run.problem is None
    if submits:
        (sent,) = scene.client.sent
        assert (sent["samples"], sent["seed"]) == (1, scene.job.request.seed + 1)  # type: ignore[operator]


def test_what_came_is_kept_if_the_rest_goes_wrong(tmp_path: Path) -> None:
    scene = Scene(tmp_path, FOUR, samples=4)
    short(scene)
    scene.client.submits = [REFUSED]
    run = scene.run(pay_again=1)
    assert run.images() == [PNG, None, PNG, PNG] and isinstance(run.problem, EngineError)
