"""Read texts and values of answers safely: short, on one line, and without terminal control characters."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST_REASON = 300
LONGEST_ID = 64


def json_value(body: bytes) -> Any:
    """Return the JSON value in `body`, or None if it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError, MemoryError):
        return None


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `body`, or None if it is not one."""
    value = json_value(body)
    return value if isinstance(value, dict) else None


def harmless(text: str) -> str:
    """Return `text` on one line, without control characters and characters that change the writing direction."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def reason_of(fields: Mapping[str, Any]) -> str:
    """Return the text of an error, which may be a string or an object of field names to texts."""
    texts = list(_texts(message_of(fields), 0))
    return harmless(" ".join(texts))[:LONGEST_REASON] or "it gives no reason"


def message_of(fields: Mapping[str, Any]) -> Any:
    """Return what an error says, unchanged: the first of its fields that contains a text."""
    names = ("message", "messege", "error", "error_message", "detail")
    return next((fields[name] for name in names if any(_texts(fields.get(name), 0))), None)


def id_of(value: Any) -> str | None:
    """Return an id as text if it is a whole number or letters and digits, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    if isinstance(value, int) and not 0 <= value < 10**LONGEST_ID:
        return None
    text = str(value).strip()
    plain = text.replace("-", "").replace("_", "")
    return text if text and len(text) <= LONGEST_ID and plain.isascii() and plain.isalnum() else None


def number_of(value: Any) -> float | None:
    """Return a finite number of at least 0, which may be written as text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def seeds_of(fields: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Return the seeds that were used according to `meta` or the answer itself: one, or one per image."""
    meta = fields.get("meta")
    for holder in (meta if isinstance(meta, dict) else {}, fields):
        value = holder.get("seed")
        seeds = tuple(_seed(one) for one in (value if isinstance(value, list) else [value])[:64])
        if any(seed is not None for seed in seeds):
            return seeds
    return ()


def unsafe_of(fields: Mapping[str, Any]) -> bool:
    """Return whether the service's content filter found something (`nsfw_content_detected`)."""
    meta = fields.get("meta")
    values = [
        fields.get("nsfw_content_detected"),
        (meta if isinstance(meta, dict) else {}).get("nsfw_content_detected"),
    ]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return any(one is True or (isinstance(one, str) and one.strip().lower() in ("true", "yes", "1")) for one in flat)


def _seed(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


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
