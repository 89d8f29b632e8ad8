"""After a submit that got no clear answer, further ones go singly until the service answers one clearly."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ..timing import Pause

LOOK = 0.05
"""Seconds between two looks at whether the gate is open."""


@dataclass
class SubmitGate:
    """The gate of one run. A service that breaks costs at most the submits in flight, and one that tries it again."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _in_flight: int = 0
    _doubt: bool = False
    _closed: bool = False

    def enter(self, pause: Pause) -> bool:
        """Wait until a submit may go out. True if it goes out alone, to see whether the service works again."""
        while True:
            with self._lock:
                if not self._closed and not (self._doubt and self._in_flight):
                    self._in_flight += 1
                    return self._doubt
            pause(LOOK)

    def leave(self, clear: bool | None, alone: bool) -> None:
        """A submit ended: with a clear answer, without one, or (None) without being sent, which says nothing.

        If one that went alone got no clear answer, no other follows.
        """
        with self._lock:
            self._in_flight -= 1
            if clear is not None:
                self._doubt = not clear
                self._closed = self._closed or (alone and not clear)

    def reopen(self) -> None:
        """A job that got no clear answer was found: the service takes jobs."""
        with self._lock:
            self._doubt = self._closed = False
