"""The causes for which the service refuses a request, or does not deliver."""

from __future__ import annotations

from typing import Final

REFUSED: Final = "refused"
"""The key, the credits, or the plan is not accepted."""

QUEUE_FULL: Final = "queue full"
SERVICE_DOWN: Final = "service down"
JOB_FAILED: Final = "job failed"

CAUSES: Final = (REFUSED, QUEUE_FULL, SERVICE_DOWN, JOB_FAILED)
