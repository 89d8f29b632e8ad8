"""The errors that can end a remote run, and their causes. A node may fall back to another engine only on EngineError."""

from __future__ import annotations

from typing import Final

from ..mixing.errors import EngineError, MixError
from ..wire import causes

NO_KEY: Final = "no key"
CAP_REACHED: Final = "cap reached"
OFFLINE: Final = "offline"
REFUSED: Final = causes.REFUSED
QUEUE_FULL: Final = causes.QUEUE_FULL
SERVICE_DOWN: Final = causes.SERVICE_DOWN
JOB_FAILED: Final = causes.JOB_FAILED
CAUSES: Final = (NO_KEY, CAP_REACHED, OFFLINE, *causes.CAUSES)
"""The causes of an EngineError of the remote engine: its own, and those that an answer of the service can have."""

COMMON: Final = (NO_KEY, CAP_REACHED, OFFLINE, REFUSED)
"""Causes that affect every other job of a run too: after one of them, no new job is started."""


class Unreachable(EngineError):
    """The service cannot be reached, which affects every other job of the run too."""


class StillRunning(EngineError):
    """A job takes longer than this run waits. It continues at the service, and the next queue collects it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, SERVICE_DOWN)


class NotDelivered(EngineError):
    """The service took a job and does not deliver it. The job may be paid for, and another attempt can be paid for.

    `reason` is what happened, without the advice. `asked`: the service was just asked for the job once more.
    """

    def __init__(self, reason: str, advice: str, asked: bool = True) -> None:
        super().__init__(f"{reason} {advice}", JOB_FAILED)
        self.reason = reason
        self.asked = asked


class UnknownOutcome(MixError):
    """A job was sent and no clear answer was read: it may be paid for, so it is not sent again automatically.

    `reason` is what happened and what would settle it. `stops`: two faults in a row show that further jobs would end in
    the same way. `asked`: the account's list, if there is one, was just read.
    """

    def __init__(self, reason: str, advice: str, stops: bool = False, asked: bool = True) -> None:
        super().__init__(f"{reason} {advice}")
        self.reason = reason
        self.stops = stops
        self.asked = asked


class ResultGone(MixError):
    """A job was paid for, but its bytes are no longer on disk and its links have expired. `reason` omits the advice."""

    asked = True

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason} {advice}")
        self.reason = reason


class PicturesMissing(MixError):
    """Some pictures of a run are missing. The message says which, why, and what to press."""


class StoreError(MixError):
    """The journal or the results cannot be read or written, for example because the disk is full or a file is locked."""


class RunInterrupted(MixError):
    """The user interrupted the run. The message says what continues at the service."""
