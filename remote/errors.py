"""How a remote run can end besides with images. A node may fall back only on EngineError; never on these."""

from __future__ import annotations

from typing import Final

from ..mixing.errors import EngineError, MixError

NO_KEY: Final = "no key"
CAP_REACHED: Final = "cap reached"
OFFLINE: Final = "offline"
REFUSED: Final = "refused"
QUEUE_FULL: Final = "queue full"
SERVICE_DOWN: Final = "service down"
JOB_FAILED: Final = "job failed"
CAUSES: Final = (NO_KEY, CAP_REACHED, OFFLINE, REFUSED, QUEUE_FULL, SERVICE_DOWN, JOB_FAILED)
"""The causes that an EngineError of the remote engine carries."""


COMMON: Final = (NO_KEY, CAP_REACHED, OFFLINE, REFUSED)
"""Causes that every other job of a run would meet too: after one of them no new job is begun."""


class Unreachable(EngineError):
    """The service cannot be reached: every other job of the run would meet the same."""


class StillRunning(EngineError):
    """The service works on a job for longer than this run waits: it goes on there, and the next queue collects it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, SERVICE_DOWN)


class NotDelivered(EngineError):
    """The service took a job and does not deliver it. It may be paid for; another attempt can be.

    `reason` is what happened, without what to do about it. `asked`: the service was asked for it once more just now.
    """

    def __init__(self, reason: str, advice: str, asked: bool = True) -> None:
        super().__init__(f"{reason} {advice}", JOB_FAILED)
        self.reason = reason
        self.asked = asked


class UnknownOutcome(MixError):
    """A job was sent and no clear answer was read: it may have been paid for. It is not sent again by itself.

    `reason` is what happened and what would settle it. `stops` if two faults in a row show that further jobs would end
    in the same way. `asked`: the account's list was read just now, if there is one.
    """

    def __init__(self, reason: str, advice: str, stops: bool = False, asked: bool = True) -> None:
        super().__init__(f"{reason} {advice}")
        self.reason = reason
        self.stops = stops
        self.asked = asked


class ResultGone(MixError):
    """A job was paid for, its bytes are no longer here and its links no longer live. `reason` says so alone."""

    asked = True

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason} {advice}")
        self.reason = reason


class PicturesMissing(MixError):
    """Some pictures of a run came and some did not. The message names which, why, and what to press."""


class StoreError(MixError):
    """The journal or the results cannot be read or written: disk full, locked, corrupt."""


class RunInterrupted(MixError):
    """The person interrupted the run. The message says what goes on at the service."""
