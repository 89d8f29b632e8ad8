"""One job of a run: which step follows from each state of its rows, and which attempt comes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.network.transport import NotSent
from image_mixer.remote.errors import NotDelivered, ResultGone, StillRunning, UnknownOutcome, Unreachable
from image_mixer.remote.run.identity import attempt_identity
from image_mixer.remote.run.job import ORDER, STEPS
from image_mixer.remote.store.job_rows import FinishedJob, State
from image_mixer.tests.remote.job_scene import (
    DONE,
    DOWN,
    FAILED,
    FULL,
    LINK,
    OTHER_LINK,
    PNG,
    REFUSED,
    TIMES,
    Scene,
)
from image_mixer.tests.support.pictures import coloured
from image_mixer.wire.account import ListedPage
from image_mixer.wire.answers import Done, Pending, Refused, Unclear


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# The table of states


def test_each_state_has_a_step_and_a_rank() -> None:
    assert set(STEPS) == set(ORDER) == set(get_args(State))


def calls(*kinds: str) -> list[str]:
    """What the client is asked, in order."""
    return [{"fetch": "fetch 7", "download": f"download {LINK}"}.get(kind, kind) for kind in kinds]


UPLOADS = ["upload", "upload"]
LOOKED = ["list"] * 3


@pytest.mark.parametrize(
    ("state", "submits", "fetches", "asked", "outcome", "after"),
    [
        (None, [DONE], [], [*UPLOADS, "submit", "download"], "images", "done"),
        (None, [Pending("7")], [DONE], [*UPLOADS, "submit", "fetch", "download"], "images", "done"),
        (None, [REFUSED], [], [*UPLOADS, "submit"], EngineError, None),
        (None, [NotSent("refused"), DONE], [], [*UPLOADS, "submit", "submit", "download"], "images", "done"),
        (None, [FULL, DONE], [], [*UPLOADS, "submit", "submit", "download"], "images", "done"),
        (None, [FAILED], [FAILED], [*UPLOADS, "submit", "fetch"], NotDelivered, "failed"),
        (None, [Unclear("a page")], [], [*UPLOADS, "submit", *LOOKED], UnknownOutcome, "unknown"),
        (None, [Refused("odd", "job failed")], [], [*UPLOADS, "submit", *LOOKED], UnknownOutcome, "unknown"),
        (None, [Pending(None)], [], [*UPLOADS, "submit", *LOOKED], UnknownOutcome, "unknown"),
        ("planned", [DONE], [], [*UPLOADS, "submit", "download"], "images", "done"),
        ("intent", [], [], LOOKED, UnknownOutcome, "unknown"),
        ("unknown", [], [], LOOKED, UnknownOutcome, "unknown"),
        ("accepted", [], [DONE], ["fetch", "download"], "images", "done"),
        ("accepted", [], [Pending("7"), DONE], ["fetch", "fetch", "download"], "images", "done"),
        ("accepted", [], [FAILED], ["fetch"] * 20, NotDelivered, "failed"),
        ("accepted", [], [REFUSED], ["fetch"], EngineError, "accepted"),
        ("ready", [], [], ["download"], "images", "done"),
        ("done", [], [], [], "images", "done"),
        ("failed", [], [DONE], ["fetch", "download"], "images", "done"),
        ("failed", [], [Pending("7"), DONE], ["fetch", "fetch", "download"], "images", "done"),
        ("failed", [], [FAILED], ["fetch"], NotDelivered, "failed"),
        ("failed", [], [DOWN], ["fetch"], NotDelivered, "failed"),
        ("failed", [], [Unclear("a page")], ["fetch"], NotDelivered, "failed"),
    ],
)  # fmt: skip
def test_the_step_that_follows_from_a_state(
    scene: Scene, state: State | None, submits: Any, fetches: Any, asked: list[str], outcome: Any, after: State | None
) -> None:
    """From a row as an earlier run left it behind (None: there is no row), with these answers of the service."""
    if state is not None:
        scene.put(state)
    scene.client.submits, scene.client.fetches = list(submits), {"7": list(fetches)} if fetches else {}
    got = scene.outcome()
    assert scene.client.calls == calls(*asked)
    assert got == [PNG] if outcome == "images" else isinstance(got, outcome), got
    row = scene.journal.job(scene.job.identity)
    assert (row and row.state) == after
    assert "\n" not in str(got)


def test_a_job_that_is_not_done_in_time_goes_on(scene: Scene) -> None:
    scene.put("accepted")
    scene.client.fetches["7"] = [Pending("7")]
    assert isinstance(scene.outcome(), StillRunning) and scene.row().state == "accepted"
    scene.client.fetches["7"] = [DONE]
    assert scene.outcome() == [PNG] and "submit" not in scene.client.calls


def test_a_service_that_cannot_be_reached_is_tried_for_a_while_and_nothing_stays_reserved(scene: Scene) -> None:
    scene.client.submits = [NotSent("refused")]
    began = scene.time.now
    assert isinstance(scene.outcome(), Unreachable)
    assert 1 < scene.client.calls.count("submit") < 20 and scene.time.now - began <= TIMES.submit + 1
    assert scene.journal.job(scene.job.identity) is None


def test_a_lost_job_that_the_list_proves_is_collected(scene: Scene) -> None:
    scene.put("unknown")
    meta = {**scene.row().fields}
    scene.client.list = [None, ListedPage(({"id": "7", "meta": meta},), total=1)]
    scene.client.fetches["7"] = [DONE]
    assert scene.outcome() == [PNG] and scene.row().remote_id == "7"
    assert scene.client.calls == calls("list", "list", "fetch", "download")


def test_a_job_that_was_never_accepted_is_sent_once_more_and_only_once(scene: Scene) -> None:
    """The whole list shows a job from before, one from after, and not this one, twice."""
    scene.lose_for_good()
    assert "Queue again after" in str(scene.outcome())
    scene.time.now += 700
    scene.client.calls.clear()
    scene.client.submits = [Unclear("a page")]
    began = scene.time.now
    assert "sent once more already" in str(scene.outcome())
    assert scene.client.calls == ["list"] * 4 + [*UPLOADS, "submit"] + LOOKED and scene.time.now - began > 60
    again = attempt_identity(scene.job.identity, 0, resent=True)
    assert (scene.row(again).resent, scene.row(again).first) == (True, scene.job.identity)
    scene.client.calls.clear()
    scene.time.now += 700
    assert isinstance(scene.outcome(), UnknownOutcome) and "submit" not in scene.client.calls


@pytest.mark.parametrize(
    "second",
    [
        None,
        ListedPage(({"id": "9"}, {"id": "8", "meta": {}}, {"id": "5"}), total=3),
        ListedPage(({"id": "9"}, {"id": "6"}), total=9),
        ListedPage(({"id": "9"},), total=1),
    ],
    ids=["no answer", "an unexplained job", "not whole", "no job from before"],
)
def test_it_is_not_sent_again_if_the_second_reading_is_not_clear(scene: Scene, second: ListedPage | None) -> None:
    scene.lose_for_good()
    scene.time.now += 700
    scene.client.list = [*scene.client.list * 3, second]
    got = scene.outcome()
    assert isinstance(got, UnknownOutcome) and "second reading" in str(got)
    assert "submit" not in scene.client.calls


# Which attempt comes first


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [
        ("ready", "accepted", ["download 1"]),
        ("accepted", "ready", ["download 2"]),
        ("accepted", "done", []),
        ("failed", "accepted", ["fetch 8", "download 2"]),
        ("failed", "done", []),
        ("unknown", "failed", ["fetch 8", "download 2"]),
        ("intent", "accepted", ["fetch 8", "download 2"]),
        ("accepted", "unknown", ["fetch 7", "download 1"]),
        ("failed", "failed", ["fetch 7", "download 1"]),
        ("failed", "unknown", ["fetch 7", "download 1"]),
    ],
)
def test_the_attempt_that_is_nearest_to_its_pictures_is_asked_first(
    scene: Scene, first: State, second: State, asked: list[str]
) -> None:
    for attempt, state in enumerate((first, second)):
        identity = scene.put(state, attempt)
        if state == "ready":
            link = (LINK, OTHER_LINK)[attempt]
            scene.journal.ready(identity, FinishedJob(((link,),), remote_id=scene.remote_id(attempt)))
    scene.client.pictures[OTHER_LINK] = PNG
    scene.client.fetches = {"7": [DONE], "8": [Done(((OTHER_LINK,),), id="8")]}
    assert scene.outcome() == [PNG]
    links = {"download 1": f"download {LINK}", "download 2": f"download {OTHER_LINK}"}
    assert scene.client.calls == [links.get(call, call) for call in asked]


def test_the_first_delivery_counts_for_ever(scene: Scene) -> None:
    other = coloured((9, 9, 9)).pixels
    scene.put("done")
    scene.time.now += 1
    identity = scene.put("done", attempt=1)
    scene.journal.done(identity, (scene.results.keep(identity, 0, other),))
    assert scene.outcome() == scene.outcome(pay_again=5) == [PNG]
    assert scene.client.calls == []


def test_an_unknown_outcome_is_told_before_a_failure(scene: Scene) -> None:
    scene.put("failed")
    scene.put("unknown", attempt=1)
    scene.client.fetches["7"] = [FAILED]
    assert isinstance(scene.outcome(), UnknownOutcome)


# Bytes that were here


def test_bytes_that_are_gone_are_downloaded_again(scene: Scene, tmp_path: Path) -> None:
    scene.put("done")
    remove_results(tmp_path)
    assert scene.outcome() == [PNG] and scene.client.calls == calls("download")


@pytest.mark.parametrize(("answer", "error"), [(DONE, ResultGone), (Unclear("a page"), ResultGone)])
def test_bytes_and_links_that_are_gone_are_told_so(scene: Scene, tmp_path: Path, answer: Any, error: Any) -> None:
    scene.put("done")
    remove_results(tmp_path)
    scene.client.pictures.clear()
    scene.client.fetches["7"] = [answer]
    got = scene.outcome()
    assert isinstance(got, error) and "raise pay_again" in str(got) and scene.row().state == "done"


def remove_results(folder: Path) -> None:
    for path in (folder / "results").rglob("*.image"):
        path.unlink()
