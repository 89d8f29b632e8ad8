"""The state of a run: the step of each job, what went wrong, and the progress line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ...mixing.errors import EngineError
from ..errors import COMMON, StoreError, UnknownOutcome, Unreachable
from ..timing import Stopped


@dataclass(frozen=True)
class Progress:
    """`done` of `total` jobs, and one line of `text`: queued, eta, downloading, done.

    At the end of a run, `missing` counts the missing pictures, and `jobs_again` the jobs that raising pay_again would pay
    for.
    """

    done: int
    total: int
    text: str
    missing: int = 0
    jobs_again: int = 0


class RunState:
    """The state of one run, shared by its threads.

    `identities` are the jobs to carry out, of `total` in the recipe. `name` is the endpoint's.
    `errors` are those of the jobs that ended without all images; `common` is one that every job would meet. `stopped`:
    the run was interrupted.
    """

    def __init__(
        self,
        identities: list[str],
        total: int,
        progress: Callable[[Progress], None],
        interrupted: Callable[[], bool],
        name: str,
    ) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, tuple[str, float | None]] = dict.fromkeys(identities, ("queued", None))
        self._total = total
        self._progress = progress
        self._interrupted = interrupted
        self._name = name
        self.errors: dict[str, BaseException] = {}
        self.common: BaseException | None = None
        self._shown = ""
        self.reused: set[str] = set()
        self.stopped = False

    def check_may_send(self) -> None:
        """Raise Stopped if no new job may be sent: after an interrupt, or after an error that every job would meet."""
        if self.stopped or self.common or self.check_interrupt():
            raise Stopped

    def check_interrupt(self) -> bool:
        """Return whether the user interrupted the run; from then on no new job is sent."""
        if not self.stopped and self._interrupted():
            self.stopped = True
        return self.stopped

    def show_step(self, identity: str, step: str, eta: float | None) -> None:
        """Note a job's step and its eta in seconds, if known; show the progress if its line changed."""
        with self._lock:
            self._steps[identity] = (step, eta)
            if self.stopped:
                return
            progress = self._current()
            if progress.text == self._shown:
                return
            self._shown = progress.text
        self._progress(progress)

    def finished(self, identity: str, reused: bool) -> None:
        """Note that a job's images are on disk; `reused` if they were before this run."""
        if reused:
            self.reused.add(identity)
        self.show_step(identity, "done", None)

    def ended(self, identity: str, error: BaseException) -> None:
        """Note the error of a job that ended without all of its images."""
        with self._lock:
            self.errors[identity] = error
            if self.common is None and is_common(error):
                self.common = error

    def worst_error(self) -> BaseException | None:
        """Return the error that the user must see, if any: an unknown outcome before all others."""
        for kind in (UnknownOutcome, StoreError, BaseException):
            for error in self.errors.values():
                if isinstance(error, kind):
                    return error
        return None

    def farewell(self) -> str:
        """Return the message after an interrupt: which jobs keep running and will be paid for."""
        with self._lock:
            steps = [step for step, _ in self._steps.values()]
        running = steps.count("generating") + steps.count("downloading")
        sending = steps.count("sending")
        if not running and not sending:
            return f"Interrupted. No job of this run is running at {self._name}."
        parts = []
        if running:
            parts.append(f"{running} job{'s' * (running > 1)} at {self._name} cannot be cancelled and will be paid for")
        if sending:
            parts.append(f"{sending} {'were' if sending > 1 else 'was'} just being sent to {self._name}")
        return f"Interrupted. {', and '.join(parts)}. Queue this graph again to collect the images."

    def _current(self) -> Progress:
        steps = list(self._steps.values())
        done = self._total - sum(step != "done" for step, _ in steps)
        for what in ("downloading", "generating", "checking", "sending", "uploading", "queued"):
            etas = [eta for step, eta in steps if step == what]
            if etas:
                known = [eta for eta in etas if eta is not None]
                text = f"eta {max(known):.0f} s" if what == "generating" and known else what
                break
        else:
            text = "done"
        return Progress(done, self._total, f"{done} of {self._total} done, {text}" if self._total > 1 else text)


def is_common(error: BaseException) -> bool:
    """Return whether every other job of the run would meet the same error: then no new one is sent."""
    if isinstance(error, EngineError):
        return isinstance(error, Unreachable) or error.cause in COMMON
    return error.stops if isinstance(error, UnknownOutcome) else isinstance(error, StoreError)
