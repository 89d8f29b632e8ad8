"""The remote engine: a recipe becomes images, in order. It lives in daemon threads; whoever asks only waits."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from ..mixing.errors import EngineError
from ..mixing.recipe import Recipe
from ..mixing.report import Report
from .addresses import Resolve
from .client import Client
from .credentials import Credentials
from .endpoints import Endpoint, Settings
from .errors import NO_KEY, RunInterrupted, StoreError
from .job import Desk, JobRun, stored_images
from .journal import LEASE, Caps, Journal
from .pictures import Pictures
from .plan import PlannedJob, jobs_at_most, plan
from .report import report_of
from .results import Results
from .state import Progress, RunState
from .timing import Backoff, Stopped, Waiter
from .transport import Transport, system_resolve
from .uploads import Uploads

LOOK = 0.1
"""Seconds between two looks at whether the person interrupted."""


@dataclass(frozen=True)
class Order:
    """What to make and where: the name of an endpoint, `take` (raising it pays again), `track_id` for webhooks, and
    the `run` that the cap on paid jobs counts for (one prompt)."""

    recipe: Recipe
    endpoint: str
    take: int = 0
    track_id: str = ""
    run: str = ""


@dataclass(frozen=True)
class Outcome:
    """The images as the service made them (file bytes), by variant, then sample; and what there is to say of them."""

    images: tuple[bytes, ...]
    report: Report


class Engine:
    """Runs orders. All that it touches is handed in; `clock` is monotonic, `wall` the time of day, in seconds."""

    def __init__(
        self, settings: Settings, credentials: Credentials, journal: Journal, results: Results, transport: Transport,
        pictures: Pictures, *, resolve: Resolve = system_resolve, clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep,
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

    def start(self, order: Order, progress: Callable[[Progress], None] = lambda _: None,
              interrupted: Callable[[], bool] = lambda: False) -> Future[Outcome]:
        """`run` in a daemon thread; the future has its Outcome or its error. `progress` is called from threads."""
        future: Future[Outcome] = Future()

        def work() -> None:
            try:
                future.set_result(self.run(order, progress, interrupted))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="image mixer run", daemon=True).start()
        return future

    def run(self, order: Order, progress: Callable[[Progress], None] = lambda _: None,
            interrupted: Callable[[], bool] = lambda: False) -> Outcome:
        """The images of an order, paid for at most once each, ever.

        Raises InputError before anything is sent; EngineError with one of `errors.CAUSES`, on which another engine may
        be asked; UnknownOutcome, ResultGone, StoreError and RunInterrupted, on which none may. Within 1 s of an
        interrupt it raises; a submit in flight still records its answer.
        """
        begun = self._clock()
        endpoint = self._settings.endpoint(order.endpoint)
        jobs = plan(order.recipe, endpoint, order.take, order.track_id, self._pictures.size)
        unique = {job.identity: job for job in jobs}
        images: dict[str, list[bytes]] = {}
        for identity, job in unique.items():
            stored = stored_images(self._results, job, self._journal.job(identity))
            if stored is not None:
                images[identity] = stored
        reused = set(images)
        missing = [job for identity, job in unique.items() if identity not in images]
        if missing:
            state = RunState([job.identity for job in missing], len(unique), progress, interrupted, endpoint.name)
            images |= self._made(order, endpoint, missing, state)
            reused |= state.reused
            self._results.trim(frozenset(unique))
        progress(Progress(len(unique), len(unique), f"done in {self._clock() - begun:.0f} s"))
        rows = {identity: row for identity in unique if (row := self._journal.job(identity)) is not None}
        report = report_of(order.recipe, endpoint, jobs, rows, reused, self._clock() - begun)
        placed = {place: data for job in jobs for place, data in zip(job.images, images[job.identity], strict=False)}
        return Outcome(tuple(placed[place] for place in sorted(placed)), report)

    def listing(self) -> tuple[tuple[str, bool], ...]:
        """The names of the endpoints, and whether each has the key it needs."""
        return tuple((e.name, self._credentials.has(e.credential)) for e in self._settings.endpoints.values())

    def jobs_at_most(self, order: Order) -> int:
        """How many jobs a queue of `order` would pay for at most. Raises InputError on an unknown endpoint."""
        return jobs_at_most(order.recipe, self._settings.endpoint(order.endpoint))

    def asked(self, endpoint: str) -> str:
        """One line of what a service says to its key, without paying. Raises EngineError, and InputError on an unknown
        endpoint."""
        return self._client(self._settings.endpoint(endpoint)).asked()

    def close(self) -> None:
        """Closes the journal. Runs must be over."""
        self._journal.close()

    def _made(
        self, order: Order, endpoint: Endpoint, jobs: list[PlannedJob], state: RunState
    ) -> dict[str, list[bytes]]:
        desk = self._desk(order, endpoint, jobs, state)
        self._journal.reserve([desk.new_job(job) for job in jobs], desk.run, desk.caps, desk.owner)
        queue = iter(jobs)
        lock = threading.Lock()
        images: dict[str, list[bytes]] = {}

        def work() -> None:
            while True:
                with lock:
                    job = next(queue, None)
                if job is None:
                    return
                runner = JobRun(desk, job, partial(state.tell, job.identity))
                try:
                    images[job.identity] = runner.images()
                    state.finished(job.identity, runner.reused)
                except Stopped:
                    state.ended(job.identity, None)
                except BaseException as error:
                    state.ended(job.identity, error)

        workers = [threading.Thread(target=work, name="image mixer job", daemon=True)
                   for _ in range(min(len(jobs), 2 * endpoint.jobs_in_flight))]
        for worker in workers:
            worker.start()
        threading.Thread(target=self._keep, args=(desk.owner, workers), name="image mixer lease", daemon=True).start()
        self._watch(workers, state)
        self._journal.release_plans(desk.owner)
        if state.stopped and len(images) < len(jobs):
            raise RunInterrupted(state.farewell())
        state.raise_first()
        return images

    def _desk(self, order: Order, endpoint: Endpoint, jobs: list[PlannedJob], state: RunState) -> Desk:
        client = self._client(endpoint)
        uploader = endpoint
        if any(picture is not None for job in jobs for picture in job.pictures):
            uploader = self._settings.uploader_of(endpoint)
        uploads = Uploads(client if uploader is endpoint else self._client(uploader), self._journal,
                          self._pictures.encode, self._backoff)
        caps = Caps(self._settings.max_jobs_per_run, self._settings.max_jobs_per_day)
        waiter = Waiter(self._clock, self._sleep, lambda: state.stopped)
        return Desk(client, uploads, self._journal, self._results, waiter, state.begin, self._backoff, self._wall,
                    self._journal.new_owner(), order.run, caps, order.take)

    def _client(self, endpoint: Endpoint) -> Client:
        key = self._credentials.key(endpoint.credential)
        if key is None:
            raise EngineError(
                f"There is no key for {endpoint.name}: set the environment variable {endpoint.credential} on the server, "
                "or store one as the README says.", NO_KEY,
            )
        return Client(endpoint, key, self._transport, self._resolve, self._pictures.check)

    def _watch(self, workers: list[threading.Thread], state: RunState) -> None:
        for worker in workers:
            while worker.is_alive():
                if state.interrupt():
                    raise RunInterrupted(state.farewell())
                worker.join(LOOK)

    def _keep(self, owner: str, workers: list[threading.Thread]) -> None:
        """Renews the run's leases while one of its threads lives, also after an interrupt."""
        last = self._clock()
        while any(worker.is_alive() for worker in workers):
            self._sleep(LOOK)
            if self._clock() - last > LEASE / 4:
                last = self._clock()
                try:
                    self._journal.renew([owner])
                except StoreError:
                    continue  # the next step of a job meets the same, and says so
        try:
            self._journal.release_plans(owner)
        except StoreError:
            return


