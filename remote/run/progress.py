"""How a run stands: what each of its jobs does, what went wrong first, and what is said of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ...mixing.errors import EngineError
from ..errors import COMMON, StoreError, UnknownOutcome, Unreachable
from ..timing import Stopped


@dataclass(frozen=True)
class Progress:
    """`done` of `total` jobs, and one line: queued, eta, downloading, done.

    At the end of a run, `missing` pictures did not come, and raising pay_again would pay for `jobs_again` jobs.
    """

    done: int
    total: int
    text: str
    missing: int = 0
    jobs_again: int = 0


class RunState:
    """The state of one run, shared by its threads. `identities` are the jobs to do, of `total` in the recipe."""

    def __init__(
        self,
        identities: list[str],
        total: int,
        progress: Callable[[Progress], None],
        interrupted: Callable[[], bool],
        name: str,
    ) -> None:
        self._lock = threading.Lock()
        self._doing: dict[str, tuple[str, float | None]] = dict.fromkeys(identities, ("queued", None))
        self._total = total
        self._progress = progress
        self._interrupted = interrupted
        self._name = name
        self.errors: dict[str, BaseException] = {}
        self.common: BaseException | None = None
        self._said = ""
        self.reused: set[str] = set()
        self.stopped = False

    def begin(self) -> None:
        """Raise Stopped if no new job may be sent: after an interrupt, and after an error that all jobs would meet."""
        if self.stopped or self.common or self.interrupt():
            raise Stopped

    def interrupt(self) -> bool:
        """Whether the person interrupted; from then on nothing more is begun."""
        if not self.stopped and self._interrupted():
            self.stopped = True
        return self.stopped

    def tell(self, identity: str, what: str, eta: float | None) -> None:
        """A job's step, and the seconds that it will take, where known."""
        with self._lock:
            self._doing[identity] = (what, eta)
            if self.stopped:
                return
            progress = self._now()
            if progress.text == self._said:
                return
            self._said = progress.text
        self._progress(progress)

    def finished(self, identity: str, reused: bool) -> None:
        """A job's images are on disk."""
        if reused:
            self.reused.add(identity)
        self.tell(identity, "done", None)

    def ended(self, identity: str, error: BaseException) -> None:
        """A job ended without all of its images."""
        with self._lock:
            self.errors[identity] = error
            if self.common is None and is_common(error):
                self.common = error

    def first(self) -> BaseException | None:
        """What went wrong, if anything did: an unknown outcome before all else, since it must be seen."""
        for kind in (UnknownOutcome, StoreError, BaseException):
            for error in self.errors.values():
                if isinstance(error, kind):
                    return error
        return None

    def farewell(self) -> str:
        """The honest line after an interrupt."""
        with self._lock:
            steps = [what for what, _ in self._doing.values()]
        running = steps.count("generating") + steps.count("downloading")
        sending = steps.count("sending")
        if not running and not sending:
            return f"Interrupted. Nothing of this run is under way at {self._name}."
        parts = []
        if running:
            parts.append(f"{running} job{'s' * (running > 1)} at {self._name} cannot be cancelled and will be paid for")
        if sending:
            parts.append(f"{sending} {'were' if sending > 1 else 'was'} just being sent to {self._name}")
        return f"Interrupted. {', and '.join(parts)}: the next queue of this graph collects the images."

    def _now(self) -> Progress:
        steps = list(self._doing.values())
        done = self._total - sum(what != "done" for what, _ in steps)
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
    """Whether every other job of the run would end in the same way: then no new one is begun."""
    if isinstance(error, EngineError):
        return isinstance(error, Unreachable) or error.cause in COMMON
    return error.stops if isinstance(error, UnknownOutcome) else isinstance(error, StoreError)
