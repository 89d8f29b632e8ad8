"""The threads of one run: some work on its jobs, one keeps its claims alive."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial

from ..errors import RunInterrupted, StoreError
from ..store.slots import LEASE
from ..timing import Stopped
from .context import RunContext
from .job import JobRun
from .kept import Images
from .plan import PlannedJob
from .progress import RunState

LOOK = 0.1
"""Seconds between two looks at whether the person interrupted."""


class Crew:
    """Works on `jobs` in daemon threads, until all have ended or the run is interrupted."""

    def __init__(
        self,
        context: RunContext,
        jobs: list[PlannedJob],
        state: RunState,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._context = context
        self._state = state
        self._clock = clock
        self._sleep = sleep
        self._jobs = iter(jobs)
        self._count = len(jobs)
        self._lock = threading.Lock()
        self._working = 0
        self._images: dict[str, Images] = {}

    def work(self, most: int) -> dict[str, Images]:
        """The images of the jobs that gave any, by identity, made by at most `most` threads.

        Raises RunInterrupted within LOOK of an interrupt; the threads then end by themselves.
        """
        workers = [
            threading.Thread(target=self._work, name="image mixer job", daemon=True)
            for _ in range(min(self._count, most))
        ]
        try:
            for worker in workers:
                worker.start()
            threading.Thread(target=self._keep, args=(workers,), name="image mixer lease", daemon=True).start()
            self._watch(workers)
        except RunInterrupted:
            raise
        except BaseException:  # Ctrl-C, or no thread is left: nothing more is begun
            self._state.stopped = True
            if not any(worker.is_alive() for worker in workers):
                self._end()
            raise
        return self._images

    def _watch(self, workers: list[threading.Thread]) -> None:
        for worker in workers:
            while worker.is_alive():
                if self._state.interrupt():
                    raise RunInterrupted(self._state.farewell())
                worker.join(LOOK)

    def _work(self) -> None:
        with self._lock:
            self._working += 1
        try:
            self._work_on_jobs()
        finally:
            with self._lock:
                self._working -= 1
                last = not self._working
            if last:
                self._end()

    def _work_on_jobs(self) -> None:
        while True:
            with self._lock:
                job = next(self._jobs, None)
            if job is None:
                return
            runner = JobRun(self._context, job, partial(self._state.tell, job.identity))
            try:
                self._images[job.identity] = runner.images()
                self._state.finished(job.identity, runner.reused)
                if runner.problem is not None:
                    self._state.ended(job.identity, runner.problem)
            except Stopped:
                continue
            except BaseException as error:
                self._state.ended(job.identity, error)

    def _keep(self, workers: list[threading.Thread]) -> None:
        """Renew the run's leases while one of its threads lives, also after an interrupt."""
        last = self._clock()
        while any(worker.is_alive() for worker in workers):
            self._sleep(LOOK)
            if self._clock() - last > LEASE / 4:
                last = self._clock()
                with contextlib.suppress(StoreError):  # the next step of a job meets the same, and says so
                    self._context.journal.renew([self._context.owner])

    def _end(self) -> None:
        """The run is over: its plans are forgotten, and its claims hold no longer."""
        with contextlib.suppress(StoreError):
            self._context.journal.release_plans(self._context.owner)
        self._context.journal.end_owner(self._context.owner)
