"""The closed table of answers to a submit that prove that the job was not taken.

Every other answer leaves open whether the job was taken and paid for: a server error (5xx), a time-out (408), a redirect
to a result (303), and every text that is not one of these sentences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from . import causes

STATUSES: Final = {
    301: causes.SERVICE_DOWN,
    307: causes.SERVICE_DOWN,
    308: causes.SERVICE_DOWN,
    400: causes.JOB_FAILED,
    401: causes.REFUSED,
    402: causes.REFUSED,
    403: causes.REFUSED,
    404: causes.SERVICE_DOWN,
    405: causes.SERVICE_DOWN,
    411: causes.JOB_FAILED,
    413: causes.JOB_FAILED,
    414: causes.JOB_FAILED,
    415: causes.JOB_FAILED,
    422: causes.JOB_FAILED,
    429: causes.QUEUE_FULL,
    431: causes.JOB_FAILED,
}
"""HTTP statuses that refuse a request before any work on it, and their cause."""

CODES: Final = {
    "validation_error": causes.JOB_FAILED,
    "invalid_api_key": causes.REFUSED,
    "insufficient_balance": causes.REFUSED,
    "no_subscription": causes.REFUSED,
    "forbidden": causes.REFUSED,
    "not_found": causes.JOB_FAILED,
    "rate_limited": causes.QUEUE_FULL,
}
"""The documented error codes that refuse a job, and their cause."""

OPEN_CODES: Final = ("upstream_unavailable", "provider_error")
"""The documented error codes that leave it open, whatever the HTTP status."""

FIELDS: Final = (
    "key",
    "prompt",
    "negative_prompt",
    "init_image",
    "init_image_weights",
    "width",
    "height",
    "steps",
    "guidance_scale",
    "seed",
    "samples",
    "webhook",
    "track_id",
)
"""The fields of a request. An error that is an object of these names is the documented validation error."""

_SENTENCES: Final = (
    (r"invalid api key", causes.REFUSED),
    (r"insufficient credits(\. please add more credits to continue)?", causes.REFUSED),
    (r"this feature requires a premium subscription", causes.REFUSED),
    (r"rate limit exceeded(\. maximum \d{1,4} queued requests allowed)?", causes.QUEUE_FULL),
    (rf"(the )?({'|'.join(FIELDS)})( field)? is required", causes.JOB_FAILED),
)
"""The whole sentences of the documented error pages, and their cause. Case, outer white space, and a final full stop do
not count."""


def not_taken(status: int, fields: Mapping[str, Any] | None, message: Any) -> str | None:
    """Return the cause, one of `causes.CAUSES`, if an answer proves that no job was taken; None if that is open.

    `fields` are those of the answer's JSON object, if it is one; `message` is the text or object of its error.
    """
    code = str((fields or {}).get("code") or "").strip().lower()
    if code in OPEN_CODES or status >= 500:
        return None
    if status in STATUSES:
        return CODES.get(code, STATUSES[status])
    if not 200 <= status < 300:
        return None
    if code:
        return CODES.get(code)
    if isinstance(message, dict):
        return causes.JOB_FAILED if message and all(name in FIELDS for name in message) else None
    return sentence_cause(message) if isinstance(message, str) else None


def sentence_cause(text: str) -> str | None:
    """Return the cause of a documented sentence, or None for every other text."""
    plain = " ".join(text.lower().split()).rstrip(".! ")
    return next((cause for pattern, cause in _SENTENCES if re.fullmatch(pattern, plain)), None)
