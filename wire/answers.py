"""Reading the service's answers: every documented shape, and every odd one that callers have met.

Nothing here trusts its input: any status and any bytes end in one of four answers, never in an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..network.addresses import is_plain_url
from ..remote import errors
from .links import Links, links_of
from .refusals import CODES, OPEN_CODES, STATUSES, not_taken
from .texts import id_of, message_of, number_of, reason_of, seeds_of, unsafe_of

MAX_ETA = 3600.0
MAX_RETRY_AFTER = 3600.0


@dataclass(frozen=True)
class Done:
    """The images exist. `seeds` are those really used, if the answer names them; `seconds` is the generation's time.

    `unsafe`: the service's filter says that it struck, so an image may be blank.
    """

    links: Links
    id: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int | None, ...] = ()
    seconds: float | None = None
    unsafe: bool = False


@dataclass(frozen=True)
class Pending:
    """The job was accepted and is not done. `eta` in seconds; `links` may answer later."""

    id: str | None = None
    eta: float | None = None
    fetch_url: str | None = None
    links: Links = ()


@dataclass(frozen=True)
class Refused:
    """The service says no. `retry_after` in seconds; `cause` is one of `errors.CAUSES`; `id` if it names a job.

    `not_taken`: a submit that is answered so was not taken, by the nature of the answer (see `refusals`).
    """

    reason: str
    cause: str = errors.JOB_FAILED
    retry_after: float | None = None
    id: str | None = None
    status: int = 200
    not_taken: bool = False


@dataclass(frozen=True)
class Unclear:
    """No answer of the service: a page, a cut text, a form not known. What was sent may have been taken."""

    reason: str
    status: int = 200


Answer: TypeAlias = Done | Pending | Refused | Unclear

_CAUSE_OF_WORDS = (
    (("rate limit", "queue", "too many"), errors.QUEUE_FULL),
    (("api key", "apikey", "credit", "balance", "subscription", "subscribe", "not allowed"), errors.REFUSED),
    (("try again", "try later", "unavailable", "maintenance", "internal server"), errors.SERVICE_DOWN),
)


def decode_answer(status: int, body: bytes, retry_after: str = "") -> Answer:
    """The answer in `body`, that came with HTTP `status` and the header Retry-After. Raises nothing."""
    fields = json_object(body)
    if 300 <= status < 400:
        return Refused(
            f"it redirects (HTTP {status}), and the key follows no redirect",
            errors.SERVICE_DOWN,
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
            return Unclear("it says success, with neither an image nor an id", status)
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


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, or None if there is none."""
    value = _json(body)
    return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class ListedPage:
    """A page of the account's list: its items with an id, as plain fields, and how many jobs and pages it says there are.

    `unread` counts the rows in another form.
    """

    items: tuple[dict[str, Any], ...]
    total: int | None = None
    last: int | None = None
    unread: int = 0


def listed_page(body: bytes) -> ListedPage | None:
    """The page of the account's list in `body`, or None if it holds no list."""
    value = _json(body)
    rows = _rows(value, 0)
    if rows is None:
        return None
    paging = value.get("pagination") if isinstance(value, dict) else None
    total, last = (number_of(paging.get(name)) if isinstance(paging, dict) else None for name in ("total", "last_page"))
    items = tuple({**row, "id": id_of(row["id"])} for row in rows if isinstance(row, dict) and id_of(row.get("id")))
    return ListedPage(
        items, None if total is None else int(total), None if last is None else int(last), len(rows) - len(items)
    )


def uploaded_url(body: bytes) -> str | None:
    """The URL in an upload's answer, or None if it is not a success with one."""
    fields = json_object(body)
    if fields is None or str(fields.get("status", "success")).lower() != "success":
        return None
    for name in ("output", "link", "url"):
        for places in links_of({"output": fields.get(name)}):
            for url in places:
                if is_plain_url(url):
                    return url
    return None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError, MemoryError):
        return None


_LIST_NAMES = ("data", "output", "assets", "images", "items", "results", "messages")


def _rows(value: Any, depth: int) -> list[Any] | None:
    """The rows of the first list in an answer, however it is wrapped."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and depth < 4:
        return next((rows for name in _LIST_NAMES if (rows := _rows(value.get(name), depth + 1)) is not None), None)
    return None


def _without_form(status: int, fields: Mapping[str, Any] | None, retry_after: str) -> Answer:
    said = reason_of(fields) if fields else f"HTTP {status} and no text that can be read"
    if 400 <= status < 500:
        cause = STATUSES.get(status, errors.SERVICE_DOWN)
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
    """What is probably the matter, for the message and for fetches: whether a job was taken is not decided by it."""
    code = str(fields.get("code") or "").lower()
    if code in CODES or code in OPEN_CODES:
        return CODES.get(code, errors.SERVICE_DOWN)
    if status >= 400:
        return STATUSES.get(status, errors.SERVICE_DOWN if status >= 500 else errors.JOB_FAILED)
    words = reason.lower()
    return next((cause for keys, cause in _CAUSE_OF_WORDS if any(k in words for k in keys)), errors.JOB_FAILED)


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
