"""The plain picture that stands in the place of one that did not come, and says why."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, UnidentifiedImageError

from .lettering import font_for, wrapped

GROUND = (236, 236, 236)
INK = (96, 32, 32)
SIDE = 512
"""Width and height in pixels, if nothing else says them."""


def placeholder_png(width: int, height: int, reason: str) -> bytes:
    """A PNG of `width` x `height` pixels with a cross, the word Missing, and `reason` as far as there is room."""
    image = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(image)
    draw.line((0, 0, width, height), fill=(214, 214, 214), width=2)
    draw.line((0, height, width, 0), fill=(214, 214, 214), width=2)
    draw.rectangle((1, 1, width - 2, height - 2), outline=INK, width=2)
    size = max(10, min(32, round(math.sqrt(width))))
    font, margin = font_for(size, reason), max(4, width // 16)
    step = math.ceil(font.getbbox("Missing,")[3]) + 2
    room = max(1, (height - 2 * margin) // step - 1)
    lines = ["Missing", *wrapped(" ".join(reason.split()), font, width - 2 * margin, room)]
    top = (height - step * len(lines)) // 2
    for number, line in enumerate(lines):
        draw.text(((width - font.getlength(line)) // 2, top + number * step), line, fill=INK, font=font)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def filled(files: Sequence[bytes | None], reasons: Sequence[str], size: tuple[int, int]) -> list[bytes]:
    """`files` with a placeholder for each None, of the size of the first picture that came, else `size`.

    `size` is (width, height) in pixels; 0 stands for SIDE. `reasons` are those of the missing ones, in order.
    """
    came = next((data for data in files if data is not None), None)
    width, height = _size_of(came) if came is not None else size
    texts = iter(reasons)
    return [placeholder_png(width or SIDE, height or SIDE, next(texts)) if data is None else data for data in files]


def _size_of(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.width), int(image.height)
    except (UnidentifiedImageError, OSError):
        return 0, 0
