"""The remote engine: a recipe becomes images, in order. It lives in daemon threads; whoever asks only waits."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from ..mixing.errors import EngineError
from ..mixing.recipe import Recipe
from ..mixing.report import Report
from ..network.addresses import Resolve
from ..network.transport import Transport, system_resolve
from .client import Client
from .credentials import Credentials
from .endpoints import Endpoint, Settings
from .errors import NO_KEY, PicturesMissing, RunInterrupted
from .pictures import Pictures
from .run.context import RunContext
from .run.crew import Crew
from .run.kept import Images, kept_images, singles_of
from .run.missing import MissingPicture, missing_line
from .run.plan import PlannedJob, different_jobs, plan
from .run.progress import Progress, RunState
from .run.report import report_of
from .run.told import jobs_again, missing_pictures, tell_of
from .run.uploads import Uploads
from .store.journal import Journal
from .store.results import Results
from .store.rows import Caps
from .timing import Backoff, Waiter

WhenMissing = Literal["stop", "placeholder"]
WHEN_MISSING: tuple[WhenMissing, ...] = ("stop", "placeholder")


@dataclass(frozen=True)
class Order:
    """What to make and where: the name of an endpoint, `take` (raising it pays again), `track_id` for webhooks, and
    the `run` that the cap on paid jobs counts for (one prompt).

    `when_missing` says what a picture that does not come does: stop the run, or leave its place empty. `pay_again` is a
    counter: once raised, failed and unknown jobs are paid for again. `has_fallback`: another engine stands by.
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
    """The images as the service made them (file bytes), by variant, then sample, and what there is to say of them.

    None stands for a missing image; `missing` says why, in the same order. `jobs_again` are the jobs that raising the
    order's `pay_again` would pay for.
    """

    images: tuple[bytes | None, ...]
    report: Report
    missing: tuple[MissingPicture, ...] = ()
    jobs_again: int = 0


class Engine:
    """Runs orders. All that it touches is handed in; `clock` is monotonic, `wall` the time of day, in seconds."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        journal: Journal,
        results: Results,
        transport: Transport,
        pictures: Pictures,
        *,
        resolve: Resolve = system_resolve,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        rng: Callable[[], float] | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._journal = journal
        self._results = results
        self._transport = transport
        self._pictures = pictures
        self._resolve = resolve
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._backoff = Backoff(clock, rng or random.Random().random)

    def start(
        self,
        order: Order,
        progress: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Future[Outcome]:
        """`run` in a daemon thread; the future has its Outcome or its error. `progress` is called from threads."""
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
        """The images of an order, each paid for once, ever, unless `pay_again` was raised for it.

        Raises InputError before anything is sent; EngineError with one of `errors.CAUSES`, on which another engine may
        be asked; PicturesMissing if only some images came and the order stops at that; UnknownOutcome, ResultGone,
        StoreError and RunInterrupted. Within 1 s of an interrupt it raises; a submit in flight still records its answer.
        """
        begun = self._clock()
        endpoint = self._settings.endpoint(order.endpoint)
        self._journal.check_caps_for(different_jobs(order.recipe, endpoint), order.run, self._caps)
        jobs = plan(order.recipe, endpoint, order.take, order.track_id, self._pictures.size)
        unique = {job.identity: job for job in jobs}
        images: dict[str, Images] = {}
        for identity, job in unique.items():
            stored = kept_images(self._journal, self._results, job, endpoint, order.take)
            if stored is not None and None not in stored:
                images[identity] = stored
        reused = set(images)
        state = RunState([i for i in unique if i not in images], len(unique), progress, interrupted, endpoint.name)
        todo = [job for identity, job in unique.items() if identity not in images]
        if todo:
            images |= self._made(order, endpoint, todo, state)
            reused |= state.reused
            self._results.trim(self._kept(jobs, endpoint, order.take))
        missing = missing_pictures(jobs, images, state)
        again = jobs_again(list(unique.values()), missing)
        text = f"{len(missing)} missing" if missing else f"done in {self._clock() - begun:.0f} s"
        progress(Progress(len(unique), len(unique), text, len(missing), again))
        if missing:
            _stop_if_told(order, missing, sum(len(job.images) for job in jobs), again, state)
        told = {i: tell_of(job, self._journal, endpoint, order.take, i in reused, missing) for i, job in unique.items()}
        report = report_of(order.recipe, endpoint, jobs, told, self._clock() - begun)
        placed = {index: data for job in jobs for index, data in _places(job, images.get(job.identity))}
        return Outcome(tuple(placed[index] for index in sorted(placed)), report, missing, again)

    def asked(self, endpoint: str) -> str:
        """One line of what a service says to its key, without paying. Raises EngineError, and InputError on an unknown
        endpoint."""
        return self._client(self._settings.endpoint(endpoint)).asked()

    def close(self) -> None:
        """Close the journal. Runs must be over."""
        self._journal.close()

    def _kept(self, jobs: Sequence[PlannedJob], endpoint: Endpoint, take: int) -> frozenset[str]:
        """The identities whose pictures this run gave: they are not removed to make room."""
        rows = [row for job in jobs for row in self._journal.attempts(job.identity)]
        rows += [
            row for job in jobs for found in singles_of(self._journal, job, endpoint, take).values() for row in found
        ]
        return frozenset(row.identity for row in rows)

    @property
    def _caps(self) -> Caps:
        return Caps(self._settings.max_jobs_per_run, self._settings.max_jobs_per_day)

    def _made(self, order: Order, endpoint: Endpoint, jobs: list[PlannedJob], state: RunState) -> dict[str, Images]:
        """The images of the jobs that gave any, by identity. Raises RunInterrupted."""
        context = self._context(order, endpoint, jobs, state)
        crew = Crew(context, jobs, state, self._clock, self._sleep)
        try:
            new = [context.new_job(job, job.identity, order.pay_again) for job in jobs]
            self._journal.reserve(new, context.run, context.caps, context.owner)
        except BaseException:
            self._journal.end_owner(context.owner)
            raise
        images = crew.work(2 * endpoint.jobs_in_flight)
        if state.stopped and len(images) < len(jobs):
            raise RunInterrupted(state.farewell())
        return images

    def _context(self, order: Order, endpoint: Endpoint, jobs: list[PlannedJob], state: RunState) -> RunContext:
        client = self._client(endpoint)
        uploader = endpoint
        if any(picture is not None for job in jobs for picture in job.pictures):
            uploader = self._settings.uploader_of(endpoint)
        uploads = Uploads(
            client if uploader is endpoint else self._client(uploader),
            self._journal,
            self._pictures.encode,
            self._backoff,
        )
        waiter = Waiter(self._clock, self._sleep, lambda: state.stopped)
        return RunContext(
            client,
            uploads,
            self._journal,
            self._results,
            waiter,
            state.begin,
            self._backoff,
            self._wall,
            self._journal.new_owner(),
            order.run,
            self._caps,
            order.take,
            order.pay_again,
        )

    def _client(self, endpoint: Endpoint) -> Client:
        key = self._credentials.key(endpoint.credential)
        if key is None:
            raise EngineError(
                f"There is no key for {endpoint.name}: set one in Settings › Image Mixer, or start ComfyUI with the "
                f"environment variable {endpoint.credential}.",
                NO_KEY,
            )
        return Client(endpoint, key, self._transport, self._resolve, self._pictures.check)


def _stop_if_told(order: Order, missing: tuple[MissingPicture, ...], total: int, again: int, state: RunState) -> None:
    """Raise what went wrong if the order is not to go on without the missing images."""
    first = state.first()
    if len(missing) == total and first is not None:
        if order.when_missing == "stop" or state.common or (order.has_fallback and isinstance(first, EngineError)):
            raise first
    elif order.when_missing == "stop":
        raise PicturesMissing(missing_line(missing, total, again))


def _places(job: PlannedJob, images: Images | None) -> list[tuple[int, bytes | None]]:
    return list(zip(job.images, images or [None] * len(job.images), strict=True))
