"""One paid job from its row in the journal to its bytes, by the states of that row."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..mixing.errors import EngineError
from ..mixing.mix import Picture
from . import errors
from .answers import Answer, Done, Links, Pending, Refused, Unclear
from .client import Client, Missed, first_download
from .errors import ResultGone, StoreError, UnknownOutcome
from .journal import Caps, Job, Journal, LostClaim, NewJob
from .parallel import in_parallel
from .plan import UNSAID, PlannedJob, says_weights
from .polling import Late, poll
from .proof import core, proves
from .results import Results
from .timing import Backoff, Waiter
from .transport import NotSent
from .uploads import Uploads
from .wires import wire_of

GONE_FOR = 20.0
"""Seconds for which a link may say that it has nothing: a URL was seen to answer 404 for some seconds."""

SPOILT = 3
LOOKS = (0.0, 1.0, 3.0)
RECORD_TRIES = (0.0, 0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Desk:
    """What the jobs of one run share. `waiter` stops with the run; `begin` also where no new job may be sent."""

    client: Client
    uploads: Uploads
    journal: Journal
    results: Results
    waiter: Waiter
    begin: Callable[[], None]
    backoff: Backoff
    wall: Callable[[], float]
    owner: str
    run: str
    caps: Caps
    take: int

    def new_job(self, job: PlannedJob) -> NewJob:
        """How `job` is reserved."""
        endpoint = self.client.endpoint
        return NewJob(job.identity, endpoint.account, endpoint.base_url, self.take)


class JobRun:
    """Carries `job` through. `tell` hears (state, eta in seconds or None): queued, uploading, sending, generating,
    downloading, done."""

    def __init__(self, desk: Desk, job: PlannedJob, tell: Callable[[str, float | None], None]) -> None:
        self._desk = desk
        self._job = job
        self._tell = tell
        self._journal = desk.journal
        self._client = desk.client
        self._sent_at: float | None = None
        self._place = False
        self.reused = False

    def images(self) -> list[bytes]:
        """The bytes of the job's images, in order. Raises an error of the pack, or Stopped."""
        try:
            return self._images()
        except BaseException:
            self._let_go()
            raise

    def _images(self) -> list[bytes]:
        identity, journal, desk = self._job.identity, self._journal, self._desk
        for turn in itertools.count():
            row = journal.job(identity)
            stored = stored_images(desk.results, self._job, row)
            if stored is not None:
                self.reused = turn == 0
                if turn:
                    self._leave()
                    journal.release(identity, desk.owner)
                self._tell("done", None)
                return stored
            desk.waiter.look()
            if row is None:
                journal.reserve([desk.new_job(self._job)], desk.run, desk.caps, desk.owner)
            row = journal.claim(identity, desk.owner)
            if row is None:
                self._tell("queued", None)
                desk.waiter(0.2)
                continue
            with contextlib.suppress(LostClaim):
                self._step(row)
        raise AssertionError("counting has no end")

    def _step(self, row: Job) -> None:
        if row.state == "planned":
            self._send()
        elif row.state in ("intent", "unknown"):
            self._look_up(row)
        elif row.state == "accepted":
            self._await(row)
        elif row.state in ("ready", "done"):
            self._download(row)
        else:
            raise EngineError(
                f"{self._name} took this job and did not deliver ({row.reason.rstrip('. ')}); it may be paid for. "
                "Raise take to pay for another.", errors.JOB_FAILED,
            )

    @property
    def _name(self) -> str:
        return self._client.endpoint.name

    def _let_go(self) -> None:
        with contextlib.suppress(StoreError):  # what went wrong before this is the better line
            row = self._journal.job(self._job.identity)
            self._journal.release(self._job.identity, self._desk.owner)
            if self._place and row is not None and row.state in ("intent", "accepted", "unknown"):
                self._journal.abandon_slot(self._job.identity)
            elif self._place:
                self._journal.free_slot(self._job.identity)

    def _send(self) -> None:
        self._desk.begin()
        urls = self._urls()
        self._queue()
        times = self._client.endpoint.timeouts
        clock = self._desk.waiter.clock
        began, waits, again = clock(), self._desk.backoff.waits(float("inf")), True
        while True:
            answer = self._submit_once(urls)
            if answer is None:
                return
            passed, wait = clock() - began, next(waits)
            cause, reason = answer.cause, answer.reason
            if cause == errors.JOB_FAILED and again and _names_a_picture(reason) and self._uploads_forgotten():
                again, urls = False, self._urls()
                continue
            limit = times.queue if cause == errors.QUEUE_FULL else times.submit
            wait = max(wait, answer.retry_after or 0.0)
            if cause in (errors.REFUSED, errors.JOB_FAILED) or passed + wait > limit:
                raise self._client.error(_VERBS[cause], reason, cause)
            self._tell("queued", answer.retry_after)
            self._desk.waiter(wait)

    def _submit_once(self, urls: tuple[str, ...]) -> Refused | None:
        """None where the row says how to go on; Refused where nothing was taken."""
        endpoint = self._client.endpoint
        fields = wire_of(endpoint.wire).encode(self._job.addressed(urls), says_weights(endpoint))
        said = {name: value for name, value in fields.items() if name not in UNSAID}
        own = [url for url, picture in zip(urls, self._job.pictures, strict=True) if picture is not None]
        self._desk.begin()
        self._tell("sending", None)
        self._journal.intend(self._job.identity, self._desk.owner, {"fields": said, "own": own})
        try:
            answer: Answer = self._client.submit(fields)
        except NotSent as error:
            self._journal.not_taken(self._job.identity, self._desk.owner)
            return Refused(str(error), errors.OFFLINE if error.offline else errors.SERVICE_DOWN)
        self._sent_at = self._desk.waiter.clock()
        if isinstance(answer, Pending) and answer.id is None:
            answer = Unclear("it says that it works on the job, without an id")
        if isinstance(answer, Refused) and answer.id is None:
            self._journal.not_taken(self._job.identity, self._desk.owner)
            return answer
        self._record(answer)
        return None

    def _record(self, answer: Answer) -> None:
        """Writes what the service answered to a submit, with patience: this is what must not be lost."""
        identity, journal = self._job.identity, self._journal
        for tries_left, wait in zip(range(len(RECORD_TRIES) - 1, -1, -1), RECORD_TRIES, strict=True):
            self._desk.waiter.sleep(wait)
            try:
                if isinstance(answer, Unclear):
                    return journal.lose_sight(identity, answer.reason)
                if answer.id is not None:
                    journal.accept(identity, answer.id, getattr(answer, "fetch_url", None),
                                   getattr(answer, "eta", None), getattr(answer, "links", ()))
                if isinstance(answer, Done):
                    journal.ready(identity, answer.links, answer.meta, answer.seed, answer.seconds, answer.id)
                elif isinstance(answer, Refused):
                    journal.fail(identity, answer.reason)
                return None
            except StoreError as error:
                if not tries_left:
                    how = "and no answer was read"
                    if not isinstance(answer, Unclear):
                        how = f"and taken as job {answer.id or 'without id'}"
                    line = f"A job was sent to {self._name} {how}, and that cannot be written down: {error}"
                    raise UnknownOutcome(line) from error
        return None

    def _urls(self) -> tuple[str, ...]:
        pictures: dict[str, Picture] = {p.digest: p for p in self._job.pictures if p is not None}
        if pictures:
            self._tell("uploading", None)
        uploads, waiter = self._desk.uploads, self._desk.waiter
        uploaded = in_parallel([partial(uploads.url, p, waiter) for p in pictures.values()])
        urls = dict(zip(pictures, uploaded, strict=True))
        return tuple(
            url if picture is None else urls[picture.digest]
            for url, picture in zip(self._job.request.images, self._job.pictures, strict=True)
        )

    def _uploads_forgotten(self) -> bool:
        return self._desk.uploads.forget(tuple(p for p in self._job.pictures if p is not None))

    def _queue(self) -> None:
        endpoint, clock = self._client.endpoint, self._desk.waiter.clock
        end = clock() + endpoint.timeouts.queue
        while not self._journal.take_slot(endpoint.account, self._job.identity, endpoint.jobs_in_flight):
            self._tell("queued", None)
            self._desk.begin()
            if clock() > end:
                raise self._client.error("is busy with this account's other jobs", "no place became free in "
                                         f"{endpoint.timeouts.queue:g} s", errors.QUEUE_FULL)
            self._desk.waiter(0.05)
        self._place = True

    def _await(self, row: Job) -> None:
        endpoint, clock = self._client.endpoint, self._desk.waiter.clock
        job = row.remote_id or ""
        passed = max(0.0, self._desk.wall() - (row.accepted or 0.0))
        if self._sent_at is not None:
            passed = clock() - self._sent_at
        self._tell("generating", row.eta)
        end = poll(
            lambda: self._client.fetch(job, row.fetch_url), row.eta, self._journal.seconds_taken(endpoint.base_url),
            passed, endpoint.timeouts.job, clock, self._desk.waiter, lambda p: self._tell("generating", p.eta),
        )
        if isinstance(end, Late):
            raise EngineError(
                f"{self._name} has not finished job {job} ({end.reason}): it goes on there, and the next queue of this "
                "graph collects it.", errors.SERVICE_DOWN,
            )
        if isinstance(end, Done):
            took = clock() - self._sent_at if self._sent_at is not None else None
            self._journal.ready(self._job.identity, end.links, end.meta, end.seed, took, job)
        elif end.cause == errors.REFUSED:
            raise EngineError(
                f"{self._name} does not show job {job}: {end.reason.rstrip('. ')}. Check the key; the next queue of "
                "this graph collects the job.", errors.REFUSED,
            )
        elif row.links and isinstance(first_download(self._client, row.links[0]), bytes):
            self._journal.ready(self._job.identity, row.links, {}, None, None, job)
        else:
            self._journal.fail(self._job.identity, end.reason)
        self._leave()

    def _leave(self) -> None:
        """Gives the job's place back, also one that a run before this one took."""
        self._journal.free_slot(self._job.identity)
        self._place = False

    def _download(self, row: Job) -> None:
        self._leave()
        self._tell("downloading", None)
        count = len(self._job.images)
        links = row.links
        if len(links) < count:
            raise EngineError(f"{self._name} gave {len(links)} of {count} images for one job. Raise take to pay for "
                              "another.", errors.JOB_FAILED)
        files = [self._one_image(row, index, links) for index in range(count)]
        self._journal.done(self._job.identity, tuple(files))

    def _one_image(self, row: Job, index: int, links: Links) -> tuple[str, int]:
        clock, times = self._desk.waiter.clock, self._client.endpoint.timeouts
        began, spoilt, renewed = clock(), 0, False
        got: bytes | Missed = Missed("it was never asked for")
        for wait in self._desk.backoff.waits(times.download):
            got = first_download(self._client, links[index])
            if isinstance(got, bytes):
                return self._desk.results.keep(self._job.identity, index, got)
            spoilt += got.spoilt
            gone_long = got.gone and clock() - began > min(GONE_FOR, times.download / 2)
            if got.barred or gone_long or spoilt >= SPOILT:
                if renewed or row.remote_id is None:
                    break
                renewed, fresh = True, self._client.fetch(row.remote_id, row.fetch_url)
                if not isinstance(fresh, Done) or len(fresh.links) <= index or fresh.links[index] == links[index]:
                    break
                links, spoilt = fresh.links, 0
            self._desk.waiter(min(wait, 2.0))
        assert isinstance(got, Missed)
        line = (f"The image of job {row.remote_id or '?'} at {self._name} is paid for, and cannot be downloaded "
                f"({got.reason.rstrip('. ')}). Queue again to try once more, or raise take to pay for another.")
        if row.state == "done":
            raise ResultGone(line)
        raise EngineError(line, errors.JOB_FAILED if got.gone or got.barred or got.spoilt else errors.SERVICE_DOWN)

    def _look_up(self, row: Job) -> None:
        account = self._client.endpoint.account
        request, own = dict(row.request.get("fields") or {}), list(row.request.get("own") or [])
        alike = sum(core(dict(other.request.get("fields") or {})) == core(request)
                    for other in self._journal.unsettled(account) if other.identity != row.identity)
        reason = row.reason or "the run ended before an answer was read"
        self._journal.lose_sight(self._job.identity, reason)
        newest = self._journal.newest_id(account, row.intended or 0.0)
        shown: list[str] | None = None
        for wait in LOOKS if self._client.has_list else LOOKS[:1]:
            self._desk.waiter(wait)
            listed = self._client.listed()
            if listed is None:
                continue
            known = self._journal.known_ids(account)
            ids = [str(item["id"]) for item in listed]
            shown = [i for i in ids if i not in known and not (i.isdigit() and int(i) <= newest)]
            for item in listed:
                job = str(item["id"])
                if job in known:
                    continue
                meta = item.get("meta")
                if not isinstance(meta, dict):
                    answer = self._client.fetch(job, None)
                    meta = dict(answer.meta) if isinstance(answer, Done) else {}
                if proves(meta, request, own, alike) and self._journal.adopt(self._job.identity, job):
                    return
        self._leave()
        if shown is None:
            seen = "This service has no list of the account's jobs to look in, or it did not answer."
        else:
            seen = f"Since then the account's list shows {', '.join(shown[:5]) or 'nothing'} that is not known here."
        raise UnknownOutcome(
            f"A job was sent to {self._name} and no answer was read ({reason.rstrip('. ')}): it may be paid for. "
            f"{seen} Look there; queue again to look once more, or raise take to pay for another."
        )


def stored_images(results: Results, job: PlannedJob, row: Job | None) -> list[bytes] | None:
    """The images of a finished job, as they were stored; None where one is missing."""
    if row is None or row.state != "done" or len(row.files) < len(job.images):
        return None
    images = [results.read(job.identity, index, digest) for index, (digest, _) in enumerate(row.files)]
    found = [data for data in images[: len(job.images)] if data is not None]
    return found if len(found) == len(job.images) else None


def _names_a_picture(reason: str) -> bool:
    words = reason.lower()
    return "image" in words or "url" in words


_VERBS = {
    errors.REFUSED: "refuses the job", errors.JOB_FAILED: "does not take the job",
    errors.QUEUE_FULL: "has a full queue", errors.SERVICE_DOWN: "is down", errors.OFFLINE: "cannot be reached",
}
