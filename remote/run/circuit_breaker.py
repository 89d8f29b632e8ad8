"""A circuit breaker for submits: after one without a clear answer, the next ones are sent one at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ..timing import Pause

POLL = 0.05
"""Seconds between two looks at whether a submit may go out."""


@dataclass
class CircuitBreaker:
    """The breaker of one run: if the service breaks, it costs at most the submits in flight and one probe.

    `_probing`: the last submit got no clear answer, so the next one goes out alone. `_open`: a probe got no clear answer
    either, so no submit goes out.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _in_flight: int = 0
    _probing: bool = False
    _open: bool = False

    def enter(self, pause: Pause) -> bool:
        """Wait until a submit may go out. Return True if it is a probe, which goes out alone. Raise what `pause`
        raises."""
        while True:
            with self._lock:
                if not self._open and not (self._probing and self._in_flight):
                    self._in_flight += 1
                    return self._probing
            pause(POLL)

    def leave(self, clear: bool | None, probe: bool) -> None:
        """End a submit. `clear`: whether its answer was clear; None if it was not sent, which tells nothing."""
        with self._lock:
            self._in_flight -= 1
            if clear is not None:
                self._probing = not clear
                self._open = self._open or (probe and not clear)

    def reset(self) -> None:
        """Let submits go out freely again: a job without a clear answer was found, so the service accepts jobs."""
        with self._lock:
            self._probing = self._open = False
