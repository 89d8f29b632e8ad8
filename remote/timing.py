"""Wait with a clock, a sleep function, and an interrupt check that are all passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

SLICE = 0.1
"""The longest sleep, in seconds, between two checks for an interrupt."""

Pause: TypeAlias = Callable[[float], None]
"""Wait for a number of seconds. Raise Stopped as soon as the run is over."""


class Stopped(Exception):
    """The run was interrupted, or is over for another reason: nothing new is started."""


@dataclass(frozen=True)
class Waiter:
    """A Pause. `clock` is monotonic, in seconds; `sleep` takes seconds; `stopped` returns whether the run is over."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    stopped: Callable[[], bool]

    def __call__(self, seconds: float) -> None:
        """Wait `seconds`. Raise Stopped no later than SLICE seconds after the run is over."""
        end = self.clock() + seconds
        self.look()
        while (left := end - self.clock()) > 0:
            self.sleep(min(left, SLICE))
            self.look()

    def look(self) -> None:
        """Raise Stopped if the run is over."""
        if self.stopped():
            raise Stopped


@dataclass(frozen=True)
class Backoff:
    """Growing waits with jitter: `first` seconds, multiplied by `factor` each time, at most `longest`.

    Each wait is multiplied by 0.5 to 1.5, from `random`, which returns 0 to 1. `clock` is monotonic, in seconds.
    """

    clock: Callable[[], float]
    random: Callable[[], float]
    first: float = 0.25
    longest: float = 8.0
    factor: float = 2.0

    def waits(self, within: float) -> Iterator[float]:
        """Yield the seconds to wait after each try, until `within` seconds have passed."""
        end, wait = self.clock() + within, self.first
        while True:
            yield wait * (0.5 + self.random())
            if self.clock() >= end:
                return
            wait = min(self.longest, wait * self.factor)
