"""The placeholder: a plain picture that stands in for a missing one and says why it is missing."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, UnidentifiedImageError

from .lettering import Font, font_for, wrapped

GROUND = (236, 236, 236)
CROSS = (214, 214, 214)
INK = (96, 32, 32)
SIDE = 512
"""Width and height in pixels, if no other size is known."""

TITLE = "Missing"
TITLE_SCALE = 1.4
"""Size of the title relative to the reason."""

SMALLEST_TYPE, LARGEST_TYPE = 10, 32
SHRINK = 0.88
"""Factor by which the type shrinks until the reason fits."""


@dataclass(frozen=True)
class _Line:
    text: str
    font: Font
    height: int


def placeholder_png(width: int, height: int, reason: str) -> bytes:
    """Draw a PNG of `width` x `height` pixels with a cross, the title, and as much of `reason` as there is room for."""
    image = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(image)
    stroke = max(1, min(width, height) // 256)
    draw.line((0, 0, width - 1, height - 1), fill=CROSS, width=stroke)
    draw.line((0, height - 1, width - 1, 0), fill=CROSS, width=stroke)
    draw.rectangle((0, 0, width - 1, height - 1), outline=INK, width=stroke)
    margin = max(4, min(width, height) // 16)
    lines = _set(" ".join(reason.split()), width - 2 * margin, height - 2 * margin)
    top = (height - sum(line.height for line in lines)) // 2
    for line in lines:
        left, across = (width - line.font.getlength(line.text)) // 2, math.ceil(line.font.getlength(line.text))
        draw.rectangle((left - stroke, top, left + across + stroke, top + line.height - 1), fill=GROUND)
        draw.text((left, top), line.text, fill=INK, font=line.font)
        top += line.height
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def filled(files: Sequence[bytes | None], reasons: Sequence[str], size: tuple[int, int]) -> list[bytes]:
    """Replace each None of `files` by a placeholder PNG of the size of the first file, or of `size` if there is no file.

    `size` is (width, height) in pixels; 0 means SIDE. `reasons` has one reason per None, in order.
    """
    first = next((data for data in files if data is not None), None)
    width, height = _size_of(first) if first is not None else size
    texts = iter(reasons)
    return [placeholder_png(width or SIDE, height or SIDE, next(texts)) if data is None else data for data in files]


def _set(reason: str, width: int, height: int) -> list[_Line]:
    """Set the title and `reason` in `width` x `height` pixels, as large as fits.

    A reason that does not fit in the smallest type is cut. Return no lines if not even the title fits.
    """
    size = max(SMALLEST_TYPE, min(LARGEST_TYPE, round(math.sqrt(math.sqrt(max(1, width) * max(1, height))))))
    while True:
        title = _line(TITLE, font_for(round(size * TITLE_SCALE), TITLE), size // 4)
        font = font_for(size, reason)
        step = _line(f"{reason}…", font, size // 8).height
        room = (height - title.height) // step
        titled = room >= 0 and title.font.getlength(TITLE) <= width
        if size == SMALLEST_TYPE or (titled and len(wrapped(reason, font, width, room + 1)) <= room):
            break
        size = max(SMALLEST_TYPE, int(size * SHRINK))
    if not titled:
        return []
    return [title, *(_Line(text, font, step) for text in (wrapped(reason, font, width, room) if room else ()))]


def _line(text: str, font: Font, leading: int) -> _Line:
    return _Line(text, font, math.ceil(font.getbbox(text)[3]) + leading)


def _size_of(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.width), int(image.height)
    except (UnidentifiedImageError, OSError):
        return 0, 0
