"""Which answers to a submit say, by their nature, that the job was not taken. One closed table.

Whatever is not in it leaves open whether the job was taken and paid for: a server's fault (5xx), a time-out (408), a
redirect to a result (303), and every text that is not one of these sentences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..remote import errors

STATUSES: Final = {
    301: errors.SERVICE_DOWN,
    307: errors.SERVICE_DOWN,
    308: errors.SERVICE_DOWN,
    400: errors.JOB_FAILED,
    401: errors.REFUSED,
    402: errors.REFUSED,
    403: errors.REFUSED,
    404: errors.SERVICE_DOWN,
    405: errors.SERVICE_DOWN,
    411: errors.JOB_FAILED,
    413: errors.JOB_FAILED,
    414: errors.JOB_FAILED,
    415: errors.JOB_FAILED,
    422: errors.JOB_FAILED,
    429: errors.QUEUE_FULL,
    431: errors.JOB_FAILED,
}
"""HTTP statuses that refuse a request before it is worked on, and their cause."""

CODES: Final = {
    "validation_error": errors.JOB_FAILED,
    "invalid_api_key": errors.REFUSED,
    "insufficient_balance": errors.REFUSED,
    "no_subscription": errors.REFUSED,
    "forbidden": errors.REFUSED,
    "not_found": errors.JOB_FAILED,
    "rate_limited": errors.QUEUE_FULL,
}
"""The documents' own error codes that refuse a job."""

OPEN_CODES: Final = ("upstream_unavailable", "provider_error")
"""The documents' codes that leave it open, whatever the HTTP status beside them."""

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
"""What a request holds: an error that is an object of these is the documents' validation error."""

_SENTENCES: Final = (
    (r"invalid api key", errors.REFUSED),
    (r"insufficient credits(\. please add more credits to continue)?", errors.REFUSED),
    (r"this feature requires a premium subscription", errors.REFUSED),
    (r"rate limit exceeded(\. maximum \d{1,4} queued requests allowed)?", errors.QUEUE_FULL),
    (rf"(the )?({'|'.join(FIELDS)})( field)? is required", errors.JOB_FAILED),
)
"""The whole sentences of the documents' error pages, without case, white space at the ends and a last full stop."""


def not_taken(status: int, fields: Mapping[str, Any] | None, message: Any) -> str | None:
    """The cause, one of `errors.CAUSES`, if an answer says that nothing was taken; None if that is open.

    `fields` are those of the answer's JSON, if it is an object; `message` is the text or object of its error.
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
        return errors.JOB_FAILED if message and all(name in FIELDS for name in message) else None
    return sentence_cause(message) if isinstance(message, str) else None


def sentence_cause(text: str) -> str | None:
    """The cause that a documented sentence names; None for every other text."""
    plain = " ".join(text.lower().split()).rstrip(".! ")
    return next((cause for pattern, cause in _SENTENCES if re.fullmatch(pattern, plain)), None)
