"""One job of a run: which step follows from each state of its rows, which attempt comes first, and when it is paid again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.network.transport import NotSent
from image_mixer.remote.endpoints import Endpoint, Timeouts
from image_mixer.remote.errors import NotDelivered, ResultGone, StillRunning, StoreError, UnknownOutcome, Unreachable
from image_mixer.remote.run.identity import attempt_identity
from image_mixer.remote.run.job import ORDER, STEPS, JobRun
from image_mixer.remote.run.plan import PlannedJob, plan
from image_mixer.remote.store.caps import Caps
from image_mixer.remote.store.job_rows import FinishedJob, JobRow, State
from image_mixer.remote.timing import Stopped, Waiter
from image_mixer.tests.remote import harness
from image_mixer.tests.remote.fakes import BASE_URL, FakeClient, Run
from image_mixer.wire.answers import Done, ListedPage, Pending, Refused, Unclear

PNG = harness.picture((1, 2, 3)).pixels
LINK, OTHER_LINK = "https://cdn.example/1.png", "https://cdn.example/2.png"
DONE = Done(((LINK,),), id="7")
FAILED = Refused("out of memory", "job failed", id="7")
DOWN = Refused("later", "service down", status=500)
FULL = Refused("full", "queue full", status=429, not_taken=True)
REFUSED = Refused("bad key", "refused", status=401, not_taken=True)
TIMES = Timeouts(submit=5.0, job=60.0, download=30.0, queue=5.0)
ONE = Endpoint("x", BASE_URL, timeouts=TIMES)
FOUR = Endpoint("x", "https://service.example/api/v5", wire="v5", images_per_job=4, timeouts=TIMES)


class Scene(Run):
    """A run with one job, on a service that holds the picture at LINK."""

    def __init__(self, folder: Path, endpoint: Endpoint = ONE, samples: int = 1) -> None:
        super().__init__(folder, FakeClient(endpoint))
        self.client.pictures[LINK] = PNG
        (self.job,) = plan(harness.recipe(samples=samples), endpoint, 0, "", harness.size)
        self.steps: list[str] = []

    def run(self, **changes: Any) -> JobRun:
        return JobRun(self.context(**changes), self.job, lambda step, eta: self.steps.append(step))

    def outcome(self, **changes: Any) -> Any:
        """The images, or the error."""
        try:
            return self.run(**changes).images()
        except Exception as error:
            return error

    def put(self, state: State, attempt: int = 0, resent: bool = False, job: PlannedJob | None = None) -> str:
        """Make a row in this state, as an earlier run left it behind; give its identity."""
        earlier, job = self.context(), job or self.job
        identity, journal = attempt_identity(job.identity, attempt, resent), self.journal
        earlier.reserve(earlier.new_job(job, identity, attempt, resent))
        fields = {"seed": job.request.seed, "prompt": job.request.prompt, "init_image": ["https://u/1"]}
        if state != "planned":
            journal.intend(identity, earlier.owner, {"fields": fields, "own": ["https://u/1"]})
        if state in ("accepted", "ready", "done", "failed"):
            journal.accept(identity, self.remote_id(attempt), None, 2.0, ())
        if state in ("ready", "done"):
            links = ((LINK,),) * len(job.images)
            journal.ready(identity, FinishedJob(links, seconds=3.0, remote_id=self.remote_id(attempt)))
        if state == "done":
            files = tuple(self.results.keep(identity, n, PNG) for n in range(len(job.images)))
            journal.done(identity, files)
        if state == "failed":
            journal.fail(identity, "out of memory")
        if state == "unknown":
            journal.lose_sight(identity, "the connection broke")
        journal.claims.end_owner(earlier.owner)
        return identity

    @staticmethod
    def remote_id(attempt: int) -> str:
        return str(7 + attempt)

    def row(self, identity: str = "") -> JobRow:
        row = self.journal.job(identity or self.job.identity)
        assert row is not None
        return row


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
    neighbours = {name: replace(scene.job, identity=name) for name in ("before", "after")}
    scene.put("done", job=neighbours["before"], attempt=0)
    scene.put("unknown")
    scene.put("done", job=neighbours["after"], attempt=0)
    scene.journal.accept("before", "5", None, None, ())
    for name, job in (("before", "5"), ("after", "9")):
        scene.journal._db.execute("UPDATE jobs SET remote_id = ? WHERE identity = ?", (job, name))
    scene.client.list = [ListedPage(({"id": "9"}, {"id": "5"}), total=2)]
    assert "Queue again after" in str(scene.outcome())
    scene.time.now += 700
    scene.client.calls.clear()
    scene.client.submits = [Unclear("a page")]
    assert "sent once more already" in str(scene.outcome())
    assert scene.client.calls.count("submit") == 1 and scene.client.calls.count("list") >= 4
    again = attempt_identity(scene.job.identity, 0, resent=True)
    assert (scene.row(again).resent, scene.row(again).first) == (True, scene.job.identity)
    scene.client.calls.clear()
    scene.time.now += 700
    assert isinstance(scene.outcome(), UnknownOutcome) and "submit" not in scene.client.calls


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
    other = harness.picture((9, 9, 9)).pixels
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


def test_two_faults_in_a_row_are_not_paid_again(scene: Scene) -> None:
    """The probe after a submit without a clear answer got none either."""
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


@pytest.mark.parametrize("where", ["before it is sent", "while it is made"])
def test_an_interrupt_ends_the_job_and_the_next_run_goes_on(scene: Scene, where: str) -> None:
    def stop() -> None:
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
