"""The picture functions that the engine is given, because it does not know pixels itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..mixing.mix import Picture


@dataclass(frozen=True)
class Pictures:
    """Functions that encode, measure, and check pictures.

    `encode(picture, max_bytes, max_side)` returns (bytes, MIME type): PNG if it fits, else JPEG, scaled down so that no
    side is longer than `max_side` pixels. `size(picture)` returns (width, height) in pixels. `check(bytes)` raises
    ImageError if the bytes are not a whole picture.
    """

    encode: Callable[[Picture, int, int], tuple[bytes, str]]
    size: Callable[[Picture], tuple[int, int]]
    check: Callable[[bytes], None]
