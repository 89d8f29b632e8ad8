"""The wire formats by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import v5, v6
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
    if name == v5.NAME:
        return Wire(v5.NAME, v5.MIX_PATH, v5.FETCH_PATH, None, (), v5.LIMITS, v5.encode, v5.decode)
    return Wire(
        v6.NAME,
        v6.MIX_PATH,
        v6.FETCH_PATH,
        v6.LIST_PATH,
        v6.UPLOAD_PATHS,
        v6.LIMITS,
        v6.encode,
        v6.decode,
        v6.COUNT_PATH,
    )
