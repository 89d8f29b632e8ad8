"""How a remote run can end besides with images. A node may fall back only on EngineError; never on these."""

from __future__ import annotations

from typing import Final

from ..mixing.errors import MixError

NO_KEY: Final = "no key"
CAP_REACHED: Final = "cap reached"
OFFLINE: Final = "offline"
REFUSED: Final = "refused"
QUEUE_FULL: Final = "queue full"
SERVICE_DOWN: Final = "service down"
JOB_FAILED: Final = "job failed"
CAUSES: Final = (NO_KEY, CAP_REACHED, OFFLINE, REFUSED, QUEUE_FULL, SERVICE_DOWN, JOB_FAILED)
"""The causes that an EngineError of the remote engine carries."""


class UnknownOutcome(MixError):
    """A job was sent and no answer was read: it may have been paid for. It is never sent again by itself."""


class ResultGone(MixError):
    """A job was paid for, its bytes are no longer here and its links no longer live."""


class StoreError(MixError):
    """The journal or the results cannot be read or written: disk full, locked, corrupt."""


class RunInterrupted(MixError):
    """The person interrupted the run. The message says what goes on at the service."""
