"""The threads of one run: workers that carry out its jobs, and one thread that renews its leases."""

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
from .plan import PlannedJob
from .progress import RunState
from .stored_pictures import Images

POLL = 0.1
"""Seconds between two checks whether the user interrupted the run."""


class Workers:
    """Daemon threads that carry out `jobs`, until all have ended or the run is interrupted."""

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
        self._active = 0
        self._images: dict[str, Images] = {}

    def run(self, most: int) -> dict[str, Images]:
        """Carry out the jobs with at most `most` threads. Return the images by identity, for jobs that gave any.

        Raise RunInterrupted at most POLL seconds after an interrupt; the threads then end by themselves.
        """
        workers = [
            threading.Thread(target=self._work, name="image mixer job", daemon=True)
            for _ in range(min(self._count, most))
        ]
        try:
            for worker in workers:
                worker.start()
            threading.Thread(target=self._renew, args=(workers,), name="image mixer lease", daemon=True).start()
            self._watch(workers)
        except RunInterrupted:
            raise
        except BaseException:  # Ctrl-C, or no thread could be started: no new job is sent
            self._state.stopped = True
            if not any(worker.is_alive() for worker in workers):
                self._end()
            raise
        return self._images

    def _watch(self, workers: list[threading.Thread]) -> None:
        for worker in workers:
            while worker.is_alive():
                if self._state.check_interrupt():
                    raise RunInterrupted(self._state.farewell())
                worker.join(POLL)

    def _work(self) -> None:
        with self._lock:
            self._active += 1
        try:
            self._carry_out_jobs()
        finally:
            with self._lock:
                self._active -= 1
                last = not self._active
            if last:
                self._end()

    def _carry_out_jobs(self) -> None:
        while True:
            with self._lock:
                job = next(self._jobs, None)
            if job is None:
                return
            runner = JobRun(self._context, job, partial(self._state.show_step, job.identity))
            try:
                self._images[job.identity] = runner.images()
                self._state.finished(job.identity, runner.reused)
                if runner.problem is not None:
                    self._state.ended(job.identity, runner.problem)
            except Stopped:
                continue
            except BaseException as error:
                self._state.ended(job.identity, error)

    def _renew(self, workers: list[threading.Thread]) -> None:
        """Renew the run's leases while one of its threads is alive, also after an interrupt."""
        last = self._clock()
        while any(worker.is_alive() for worker in workers):
            self._sleep(POLL)
            if self._clock() - last > LEASE / 4:
                last = self._clock()
                with contextlib.suppress(StoreError):  # the next step of a job meets the same error and reports it
                    self._context.journal.renew([self._context.owner])

    def _end(self) -> None:
        """Delete what the run planned and did not send, and end its claims."""
        claims = self._context.journal.claims
        with contextlib.suppress(StoreError):
            claims.release_plans(self._context.owner)
        claims.end_owner(self._context.owner)
