"""Reading the service's answers: every documented shape, and every odd one that callers have met.

Nothing here trusts its input: any status and any bytes end in one of four answers, never in an exception.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from . import errors
from .addresses import is_plain_url

MAX_ETA = 3600.0
MAX_RETRY_AFTER = 3600.0
MAX_LINKS = 64
LONGEST_REASON = 300
LONGEST_ID = 64

Links: TypeAlias = tuple[tuple[str, ...], ...]
"""For each image the URLs where it may be, best first."""


@dataclass(frozen=True)
class Done:
    """The images exist. `seed` is the one really used, where the answer says it; `seconds` the generation's time."""

    links: Links
    id: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Pending:
    """The job was accepted and is not done. `eta` in seconds; `links` may answer later."""

    id: str | None = None
    eta: float | None = None
    fetch_url: str | None = None
    links: Links = ()


@dataclass(frozen=True)
class Refused:
    """The service says no. `retry_after` in seconds; `cause` is one of `errors.CAUSES`; `id` where it names a job."""

    reason: str
    cause: str = errors.JOB_FAILED
    retry_after: float | None = None
    id: str | None = None
    status: int = 200


@dataclass(frozen=True)
class Unclear:
    """No answer of the service: a page, a cut text, a form not known. What was sent may have been taken."""

    reason: str
    status: int = 200


Answer: TypeAlias = Done | Pending | Refused | Unclear

_CAUSE_OF_CODE = {
    "validation_error": errors.JOB_FAILED, "invalid_api_key": errors.REFUSED, "insufficient_balance": errors.REFUSED,
    "no_subscription": errors.REFUSED, "forbidden": errors.REFUSED, "not_found": errors.JOB_FAILED,
    "rate_limited": errors.QUEUE_FULL, "upstream_unavailable": errors.SERVICE_DOWN,
    "provider_error": errors.SERVICE_DOWN,
}
_CAUSE_OF_STATUS = {
    400: errors.JOB_FAILED, 401: errors.REFUSED, 402: errors.REFUSED, 403: errors.REFUSED, 429: errors.QUEUE_FULL,
}
_CAUSE_OF_WORDS = (
    (("rate limit", "queue", "too many"), errors.QUEUE_FULL),
    (("api key", "apikey", "credit", "balance", "subscription", "subscribe", "not allowed"), errors.REFUSED),
    (("try again", "try later", "unavailable", "maintenance", "internal server"), errors.SERVICE_DOWN),
)


def decode_answer(status: int, body: bytes, retry_after: str = "") -> Answer:
    """The answer in `body`, that came with HTTP `status` and the header Retry-After. Raises nothing."""
    fields = json_object(body)
    if 300 <= status < 400:
        return Refused(f"it redirects (HTTP {status}), and the key follows no redirect", errors.SERVICE_DOWN,
                       status=status)
    if fields is None or not isinstance(fields.get("status"), str):
        return _without_form(status, fields, retry_after)
    said = fields["status"].strip().lower()
    if said in ("error", "failed") or status >= 400:
        return _refusal(status, fields, retry_after)
    if said == "success":
        links = links_of(fields)
        job = _id(fields.get("id"))
        if not links and job is None:
            return Unclear("it says success, with neither an image nor an id", status)
        if not links:
            return Pending(job, 0.0, _text(fields.get("fetch_result")))
        return Done(links, job, _object(fields.get("meta")), seed_of(fields), _seconds(fields.get("generationTime")))
    if said in ("processing", "queued"):
        return Pending(_id(fields.get("id")), _eta(fields.get("eta")), _text(fields.get("fetch_result")),
                       links_of(fields))
    return Unclear(f"its status is {said[:40]!r}", status)


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, or None where there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, dict) else None


def links_of(fields: Mapping[str, Any]) -> Links:
    """The image links of an answer: from `output`, else `proxy_links`, else `future_links`, each image with all of its
    places in that order."""
    places = [list(_urls(fields.get(name))) for name in ("output", "proxy_links", "future_links")]
    count = next((len(urls) for urls in places if urls), 0)
    rows = (tuple(dict.fromkeys(urls[i] for urls in places if i < len(urls))) for i in range(count))
    return tuple(rows)[:MAX_LINKS]


def seed_of(fields: Mapping[str, Any]) -> int | None:
    """The seed that `meta` (or the answer itself) says was used."""
    for holder in (_object(fields.get("meta")), fields):
        seed = holder.get("seed")
        if isinstance(seed, list) and seed:
            seed = seed[0]
        if isinstance(seed, str) and seed.isascii() and seed.isdigit() and len(seed) < 20:
            return int(seed)
        if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0:
            return seed
    return None


def reason_of(fields: Mapping[str, Any]) -> str:
    """The text of an error: in `message` or `messege`, a string or an object of field to texts."""
    for name in ("message", "messege", "error", "error_message", "detail"):
        texts = list(_texts(fields.get(name), 0))
        if texts:
            return " ".join(" ".join(texts).split())[:LONGEST_REASON]
    return "it gives no reason"


def listed_jobs(body: bytes) -> list[dict[str, Any]]:
    """The items with an id in an answer of the account's list, as plain fields. Empty where there is no list."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError, MemoryError):
        return []
    return list(_items(value, 0))[:200]


def uploaded_url(body: bytes) -> str | None:
    """The URL in an upload's answer, or None where it is no success with one."""
    fields = json_object(body)
    if fields is None or str(fields.get("status", "success")).lower() != "success":
        return None
    for name in ("output", "link", "url"):
        for url in _urls(fields.get(name)):
            return url
    return None


def _items(value: Any, depth: int) -> Iterable[dict[str, Any]]:
    if depth > 4:
        return
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict) and _id(item.get("id")) is not None:
                yield {**item, "id": _id(item.get("id"))}
            else:
                yield from _items(item, depth + 1)
    elif isinstance(value, dict):
        for name in ("data", "output", "assets", "images", "items", "results", "messages"):
            yield from _items(value.get(name), depth + 1)


def _without_form(status: int, fields: Mapping[str, Any] | None, retry_after: str) -> Answer:
    said = reason_of(fields) if fields else f"HTTP {status} and no text that can be read"
    if 400 <= status < 500:
        cause = _CAUSE_OF_STATUS.get(status, errors.SERVICE_DOWN)
        return Refused(said, cause, _retry_after(None, retry_after), status=status)
    return Unclear(said, status)


def _refusal(status: int, fields: Mapping[str, Any], retry_after: str) -> Refused:
    reason = reason_of(fields)
    wait = _retry_after(fields.get("retry_after"), retry_after)
    code = fields.get("code")
    cause = _CAUSE_OF_CODE.get(code.lower() if isinstance(code, str) else "")
    if cause is None and status >= 400:
        cause = _CAUSE_OF_STATUS.get(status, errors.SERVICE_DOWN if status >= 500 else errors.JOB_FAILED)
    if cause is None:
        words = reason.lower()
        cause = next((c for keys, c in _CAUSE_OF_WORDS if any(k in words for k in keys)), errors.JOB_FAILED)
    return Refused(reason, cause, wait, _id(fields.get("id")), status)


def _urls(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return
    for item in value[:MAX_LINKS]:
        if isinstance(item, dict):
            item = item.get("url")
        if isinstance(item, str) and is_plain_url(item.strip()):
            yield item.strip()


def _texts(value: Any, depth: int) -> Iterable[str]:
    if isinstance(value, str):
        if value.strip():
            yield value.strip()[:LONGEST_REASON]
    elif isinstance(value, list) and depth < 4:
        for item in value[:20]:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict) and depth < 4:
        for name, item in list(value.items())[:20]:
            texts = " ".join(_texts(item, depth + 1))
            if texts:
                yield f"{str(name)[:40]}: {texts}"


def _id(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    if isinstance(value, int) and not 0 <= value < 10**LONGEST_ID:
        return None
    text = str(value).strip()
    plain = text.replace("-", "").replace("_", "")
    return text if text and len(text) <= LONGEST_ID and plain.isascii() and plain.isalnum() else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _eta(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else min(number, MAX_ETA)


def _seconds(value: Any) -> float | None:
    return _number(value)


def _retry_after(body_value: Any, header: str) -> float | None:
    for value in (body_value, header):
        number = _number(value)
        if number is not None:
            return min(number, MAX_RETRY_AFTER)
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 2000 else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
