"""Read the service's answers: every documented form, and the odd ones that callers have met.

The input is not trusted: any status and any bytes become one of four answers, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..mixing.urls import is_plain_url
from . import causes
from .links import Links, links_of
from .refusals import CODES, OPEN_CODES, STATUSES, not_taken
from .texts import id_of, json_object, message_of, number_of, reason_of, seeds_of, unsafe_of

MAX_ETA = 3600.0
MAX_RETRY_AFTER = 3600.0


@dataclass(frozen=True)
class Done:
    """The images are ready. `seeds` are those really used, if the answer states them; `seconds` the generation time.

    `unsafe`: the service's content filter found something, so an image may be blank.
    """

    links: Links
    id: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int | None, ...] = ()
    seconds: float | None = None
    unsafe: bool = False


@dataclass(frozen=True)
class Pending:
    """The job was accepted and is not ready yet. `eta` in seconds; `links` may work later."""

    id: str | None = None
    eta: float | None = None
    fetch_url: str | None = None
    links: Links = ()


@dataclass(frozen=True)
class Refused:
    """The service refuses. `retry_after` in seconds; `cause` is one of `causes.CAUSES`; `id` if the answer names a job.

    `not_taken`: as the answer to a submit, this proves that no job was taken (see `refusals`).
    """

    reason: str
    cause: str = causes.JOB_FAILED
    retry_after: float | None = None
    id: str | None = None
    status: int = 200
    not_taken: bool = False


@dataclass(frozen=True)
class Unclear:
    """Not an answer of the service: a page, a truncated text, an unknown form. What was sent may have been taken."""

    reason: str
    status: int = 200


Answer: TypeAlias = Done | Pending | Refused | Unclear

_CAUSE_OF_WORDS = (
    (("rate limit", "queue", "too many"), causes.QUEUE_FULL),
    (("api key", "apikey", "credit", "balance", "subscription", "subscribe", "not allowed"), causes.REFUSED),
    (("try again", "try later", "unavailable", "maintenance", "internal server"), causes.SERVICE_DOWN),
)


def decode_answer(status: int, body: bytes, retry_after: str = "") -> Answer:
    """Return the answer in `body`, given the HTTP `status` and the header Retry-After. Raise nothing."""
    fields = json_object(body)
    if 300 <= status < 400:
        return Refused(
            f"it redirects (HTTP {status}), and the key is not sent to another address",
            causes.SERVICE_DOWN,
            status=status,
            not_taken=status in STATUSES,
        )
    if fields is None or not isinstance(fields.get("status"), str):
        return _without_form(status, fields, retry_after)
    said = fields["status"].strip().lower()
    if said in ("error", "failed") or status >= 400:
        return _refusal(status, said, fields, retry_after)
    if said == "success":
        links = links_of(fields)
        job = id_of(fields.get("id"))
        if not links and job is None:
            return Unclear("it reports success, but has neither an image nor an id", status)
        if not links:
            return Pending(job, 0.0, _address(fields.get("fetch_result")))
        meta = fields.get("meta")
        return Done(
            links,
            job,
            meta if isinstance(meta, dict) else {},
            seeds_of(fields),
            number_of(fields.get("generationTime")),
            unsafe_of(fields),
        )
    if said in ("processing", "queued"):
        return Pending(
            id_of(fields.get("id")), _eta(fields.get("eta")), _address(fields.get("fetch_result")), links_of(fields)
        )
    return Unclear(f"its status is {said[:40]!r}", status)


def uploaded_url(body: bytes) -> str | None:
    """Return the URL in the answer to an upload, or None if it reports no success or has no URL."""
    fields = json_object(body)
    if fields is None or str(fields.get("status", "success")).lower() != "success":
        return None
    for name in ("output", "link", "url"):
        for links in links_of({"output": fields.get(name)}):
            for url in links:
                if is_plain_url(url):
                    return url
    return None


def _without_form(status: int, fields: Mapping[str, Any] | None, retry_after: str) -> Answer:
    said = reason_of(fields) if fields else f"HTTP {status} without a text that can be read"
    if 400 <= status < 500:
        cause = STATUSES.get(status, causes.SERVICE_DOWN)
        return Refused(said, cause, _retry_after(None, retry_after), status=status, not_taken=status in STATUSES)
    return Unclear(said, status)


def _refusal(status: int, said: str, fields: Mapping[str, Any], retry_after: str) -> Refused:
    reason = reason_of(fields)
    wait = _retry_after(fields.get("retry_after"), retry_after)
    closed = not_taken(status, fields, message_of(fields)) if said != "failed" or status >= 400 else None
    return Refused(
        reason,
        closed or _likely_cause(status, fields, reason),
        wait,
        id_of(fields.get("id")),
        status,
        closed is not None,
    )


def _likely_cause(status: int, fields: Mapping[str, Any], reason: str) -> str:
    """Return the probable cause, for messages and fetches. It does not decide whether a job was taken."""
    code = str(fields.get("code") or "").lower()
    if code in CODES or code in OPEN_CODES:
        return CODES.get(code, causes.SERVICE_DOWN)
    if status >= 400:
        return STATUSES.get(status, causes.SERVICE_DOWN if status >= 500 else causes.JOB_FAILED)
    words = reason.lower()
    return next((cause for keys, cause in _CAUSE_OF_WORDS if any(k in words for k in keys)), causes.JOB_FAILED)


def _eta(value: Any) -> float | None:
    number = number_of(value)
    return None if number is None else min(number, MAX_ETA)


def _retry_after(body_value: Any, header: str) -> float | None:
    for value in (body_value, header):
        number = number_of(value)
        if number is not None:
            return min(number, MAX_RETRY_AFTER)
    return None


def _address(value: Any) -> str | None:
    return value if isinstance(value, str) and is_plain_url(value) else None
