"""Texts and values of answers, made harmless: short, on one line, and without anything that steers a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST_REASON = 300
LONGEST_ID = 64


def harmless(text: str) -> str:
    """`text` on one line, without control characters and those that turn the direction of writing."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def reason_of(fields: Mapping[str, Any]) -> str:
    """The text of an error: in `message` or `messege`, a string or an object of field to texts."""
    texts = list(_texts(message_of(fields), 0))
    return harmless(" ".join(texts))[:LONGEST_REASON] or "it gives no reason"


def message_of(fields: Mapping[str, Any]) -> Any:
    """What an error says, as it came: the first of its fields that holds a text."""
    names = ("message", "messege", "error", "error_message", "detail")
    return next((fields[name] for name in names if any(_texts(fields.get(name), 0))), None)


def id_of(value: Any) -> str | None:
    """An id as text: a whole number, or letters and digits; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    if isinstance(value, int) and not 0 <= value < 10**LONGEST_ID:
        return None
    text = str(value).strip()
    plain = text.replace("-", "").replace("_", "")
    return text if text and len(text) <= LONGEST_ID and plain.isascii() and plain.isalnum() else None


def number_of(value: Any) -> float | None:
    """A finite number from 0, also if it came as text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def seeds_of(fields: Mapping[str, Any]) -> tuple[int | None, ...]:
    """The seeds that `meta` (or the answer itself) says were used: one, or one per image."""
    meta = fields.get("meta")
    for holder in (meta if isinstance(meta, dict) else {}, fields):
        value = holder.get("seed")
        seeds = tuple(_seed(one) for one in (value if isinstance(value, list) else [value])[:64])
        if any(seed is not None for seed in seeds):
            return seeds
    return ()


def unsafe_of(fields: Mapping[str, Any]) -> bool:
    """Whether the answer says that the service's filter struck (`nsfw_content_detected`)."""
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
