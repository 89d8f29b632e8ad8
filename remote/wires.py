"""The wire formats by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import wire_v5, wire_v6
from .answers import Answer
from .request import Limits, MixRequest


@dataclass(frozen=True)
class Wire:
    """A wire format: its paths under the base URL, its ranges, and its two pure functions."""

    name: str
    mix_path: str
    fetch_path: str
    list_path: str | None
    upload_paths: tuple[tuple[str, str], ...]
    limits: Limits
    encode: Callable[[MixRequest, bool], dict[str, object]]
    decode: Callable[[int, bytes, str], Answer]
    count_path: str | None = None


def wire_of(name: str) -> Wire:
    """The format called "v6" or "v5"."""
    if name == wire_v5.NAME:
        return Wire(
            wire_v5.NAME, wire_v5.MIX_PATH, wire_v5.FETCH_PATH, None, (), wire_v5.LIMITS, wire_v5.encode, wire_v5.decode
        )
    return Wire(
        wire_v6.NAME,
        wire_v6.MIX_PATH,
        wire_v6.FETCH_PATH,
        wire_v6.LIST_PATH,
        wire_v6.UPLOAD_PATHS,
        wire_v6.LIMITS,
        wire_v6.encode,
        wire_v6.decode,
        wire_v6.COUNT_PATH,
    )
