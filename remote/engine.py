"""The remote engine: it turns a recipe into images, in order. It works in daemon threads; callers only wait."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from ..mixing.errors import EngineError
from ..mixing.recipe import Recipe
from ..mixing.report import Report
from ..network.addresses import Resolve
from ..network.pictures import Pictures
from ..network.transport import Transport, system_resolve
from .client import Client
from .credentials import Credentials
from .endpoints import Endpoint, Settings
from .errors import NO_KEY, PicturesMissing, RunInterrupted
from .run.context import RunContext
from .run.missing_pictures import MissingPicture, count_paid_again, missing_line, missing_pictures
from .run.plan import PlannedJob, count_different_jobs, plan
from .run.progress import Progress, RunState
from .run.report import job_history, report_of
from .run.stored_pictures import Images, single_attempts, stored_images
from .run.uploads import Uploads
from .run.workers import Workers
from .store.caps import Caps
from .store.journal import Journal
from .store.results import Results
from .timing import Backoff, Waiter

WhenMissing = Literal["stop", "placeholder"]
WHEN_MISSING: tuple[WhenMissing, ...] = ("stop", "placeholder")


@dataclass(frozen=True)
class Order:
    """What to make, and where.

    `endpoint` is the name of a profile, `take` raises to pay for the same recipe again, `track_id` is for webhooks, and
    `run` is what the cap on paid jobs per run counts for (one prompt). `when_missing`: stop the run if a picture is
    missing, or leave its index empty. `pay_again` is a counter: once raised, failed and unknown jobs are paid for again.
    `has_fallback`: another engine takes over on an EngineError.
    """

    recipe: Recipe
    endpoint: str
    take: int = 0
    track_id: str = ""
    run: str = ""
    when_missing: WhenMissing = "stop"
    pay_again: int = 0
    has_fallback: bool = False


@dataclass(frozen=True)
class Outcome:
    """The images as the service made them (bytes of files), by variant, then sample, and the report.

    A missing image is None; `missing` says why, in the same order. `jobs_again` is how many jobs raising the order's
    `pay_again` would pay for.
    """

    images: tuple[bytes | None, ...]
    report: Report
    missing: tuple[MissingPicture, ...] = ()
    jobs_again: int = 0


@dataclass(frozen=True, eq=False)
class Engine:
    """Carries out orders with what it is given.

    `clock` is monotonic, `wall` is the time of day, both in seconds; `rng` returns numbers from 0 to 1, for the jitter
    of retries. `resolve` asks DNS.
    """

    settings: Settings
    credentials: Credentials
    journal: Journal
    results: Results
    transport: Transport
    pictures: Pictures
    resolve: Resolve = system_resolve
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    rng: Callable[[], float] = field(default_factory=lambda: random.Random().random)

    def start(
        self,
        order: Order,
        progress: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Future[Outcome]:
        """Call `run` in a daemon thread. The future gets its Outcome or its error; `progress` is called from threads."""
        future: Future[Outcome] = Future()

        def work() -> None:
            try:
                future.set_result(self.run(order, progress, interrupted))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="image mixer run", daemon=True).start()
        return future

    def run(
        self,
        order: Order,
        progress: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Return the images of an order. Each one is paid for once, ever, unless `pay_again` is raised for it.

        Raise InputError before anything is sent; EngineError with one of `errors.CAUSES`, after which another engine may
        take over; PicturesMissing if only some images came and the order stops at that; UnknownOutcome, ResultGone,
        StoreError or RunInterrupted. An interrupt raises within 1 s; the answer to a submit in flight is still recorded.
        """
        begun = self.clock()
        endpoint = self.settings.endpoint(order.endpoint)
        self.journal.check_caps_for(count_different_jobs(order.recipe, endpoint), order.run, self._caps)
        jobs = plan(order.recipe, endpoint, order.take, order.track_id, self.pictures.size)
        unique = {job.identity: job for job in jobs}
        images = self._complete_images(unique.values(), endpoint, order.take)
        reused = set(images)
        todo = [job for identity, job in unique.items() if identity not in images]
        state = RunState([job.identity for job in todo], len(unique), progress, interrupted, endpoint.name)
        if todo:
            images |= self._carry_out(order, endpoint, todo, state)
            reused |= state.reused
            self.results.trim(self._identities(jobs, endpoint, order.take))
        missing = missing_pictures(jobs, images, state.errors)
        again = count_paid_again(list(unique.values()), missing)
        text = f"{len(missing)} missing" if missing else f"done in {self.clock() - begun:.0f} s"
        progress(Progress(len(unique), len(unique), text, len(missing), again))
        if missing:
            _raise_if_stopping(order, missing, sum(len(job.images) for job in jobs), again, state)
        histories = {
            identity: job_history(job, self.journal, endpoint, order.take, identity in reused, missing)
            for identity, job in unique.items()
        }
        report = report_of(order.recipe, endpoint, jobs, histories, self.clock() - begun)
        return Outcome(_in_order(jobs, images), report, missing, again)

    def check_key(self, endpoint: str) -> str:
        """Ask a service, for free, whether it accepts its key; return its answer in one line.

        Raise EngineError, or InputError if there is no such endpoint.
        """
        return self._client(self.settings.endpoint(endpoint)).asked()

    def close(self) -> None:
        """Close the journal. All runs must have ended."""
        self.journal.close()

    @property
    def _caps(self) -> Caps:
        return Caps(self.settings.max_jobs_per_run, self.settings.max_jobs_per_day)

    @property
    def _backoff(self) -> Backoff:
        return Backoff(self.clock, self.rng)

    def _complete_images(self, jobs: Iterable[PlannedJob], endpoint: Endpoint, take: int) -> dict[str, Images]:
        """Return the images, by identity, of the jobs that have all of them on disk."""
        found = {}
        for job in jobs:
            stored = stored_images(self.journal, self.results, job, endpoint, take)
            if stored is not None and None not in stored:
                found[job.identity] = stored
        return found

    def _identities(self, jobs: Sequence[PlannedJob], endpoint: Endpoint, take: int) -> frozenset[str]:
        """Return the identities of all attempts at `jobs`: their pictures are not deleted to make room."""
        rows = [row for job in jobs for row in self.journal.attempts(job.identity)]
        for job in jobs:
            for singles in single_attempts(self.journal, job, endpoint, take).values():
                rows += singles
        return frozenset(row.identity for row in rows)

    def _carry_out(
        self, order: Order, endpoint: Endpoint, jobs: list[PlannedJob], state: RunState
    ) -> dict[str, Images]:
        """Carry out jobs. Return the images, by identity, of those that gave any. Raise RunInterrupted."""
        context = self._context(order, endpoint, jobs, state)
        workers = Workers(context, jobs, state, self.clock, self.sleep)
        try:
            new = [context.new_job(job, job.identity, order.pay_again) for job in jobs]
            self.journal.reserve(new, context.run, context.caps, context.owner)
        except BaseException:
            self.journal.claims.end_owner(context.owner)
            raise
        images = workers.run(2 * endpoint.jobs_in_flight)
        if state.stopped and len(images) < len(jobs):
            raise RunInterrupted(state.farewell())
        return images

    def _context(self, order: Order, endpoint: Endpoint, jobs: list[PlannedJob], state: RunState) -> RunContext:
        client = self._client(endpoint)
        uploader = endpoint
        if any(picture is not None for job in jobs for picture in job.pictures):
            uploader = self.settings.uploader_of(endpoint)
        upload_client = client if uploader is endpoint else self._client(uploader)
        return RunContext(
            client=client,
            uploads=Uploads(upload_client, self.journal, self.pictures.encode, self._backoff),
            journal=self.journal,
            results=self.results,
            waiter=Waiter(self.clock, self.sleep, lambda: state.stopped),
            check_may_send=state.check_may_send,
            backoff=self._backoff,
            wall=self.wall,
            owner=self.journal.claims.new_owner(),
            run=order.run,
            caps=self._caps,
            take=order.take,
            pay_again=order.pay_again,
        )

    def _client(self, endpoint: Endpoint) -> Client:
        """Return the client of an endpoint. Raise EngineError "no key"."""
        key = self.credentials.key(endpoint.credential)
        if key is None:
            raise EngineError(
                f"There is no key for {endpoint.name}: set one in Settings › Image Mixer, or start ComfyUI with the "
                f"environment variable {endpoint.credential}.",
                NO_KEY,
            )
        return Client(endpoint, key, self.transport, self.resolve, self.pictures.check)


def _raise_if_stopping(
    order: Order, missing: tuple[MissingPicture, ...], total: int, again: int, state: RunState
) -> None:
    """Raise an error if the order does not continue without the missing images."""
    error = state.worst_error()
    if len(missing) == total and error is not None:
        if order.when_missing == "stop" or state.common or (order.has_fallback and isinstance(error, EngineError)):
            raise error
    elif order.when_missing == "stop":
        raise PicturesMissing(missing_line(missing, total, again))


def _in_order(jobs: Sequence[PlannedJob], images: Mapping[str, Images]) -> tuple[bytes | None, ...]:
    """Return all images of a recipe in order, from those of each job, by identity; None for a missing one."""
    found: dict[int, bytes | None] = {}
    for job in jobs:
        found.update(zip(job.images, images.get(job.identity) or [None] * len(job.images), strict=True))
    return tuple(found[index] for index in sorted(found))
