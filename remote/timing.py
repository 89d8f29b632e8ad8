"""Waiting: with a clock, a sleep and a question "was it interrupted?" that are all passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

SLICE = 0.1
"""Longest sleep in seconds between two looks at whether the run was interrupted."""

Pause: TypeAlias = Callable[[float], None]
"""Waits so many seconds. Raises Stopped as soon as the run is over."""


class Stopped(Exception):
    """The run was interrupted, or is over for another reason: nothing more is begun."""


@dataclass(frozen=True)
class Waiter:
    """A Pause. `clock` is monotonic, in seconds; `sleep` sleeps; `stopped` says whether the run is over."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    stopped: Callable[[], bool]

    def __call__(self, seconds: float) -> None:
        """Waits `seconds`. Raises Stopped at the latest SLICE after the run is over."""
        end = self.clock() + seconds
        self.look()
        while (left := end - self.clock()) > 0:
            self.sleep(min(left, SLICE))
            self.look()

    def look(self) -> None:
        """Raises Stopped where the run is over."""
        if self.stopped():
            raise Stopped


@dataclass(frozen=True)
class Backoff:
    """Growing waits with jitter: `first` seconds, times `factor`, at most `longest`; each times 0.5 to 1.5 by
    `random` (which gives 0 to 1)."""

    clock: Callable[[], float]
    random: Callable[[], float]
    first: float = 0.25
    longest: float = 8.0
    factor: float = 2.0

    def waits(self, within: float) -> Iterator[float]:
        """How long to wait after each try; ends when `within` seconds have passed."""
        end, wait = self.clock() + within, self.first
        while True:
            yield wait * (0.5 + self.random())
            if self.clock() >= end:
                return
            wait = min(self.longest, wait * self.factor)
