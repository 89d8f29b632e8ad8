"""The contact sheet: many pictures on one, in rows, each with its caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from PIL import Image, ImageDraw
from torch import Tensor

from .errors import InputError
from .images import MAX_PIXELS, pil_to_tensor, tensor_to_pil
from .lettering import font_for, wrapped

Layout = Literal["rows", "triangle"]
LAYOUTS: tuple[Layout, ...] = ("rows", "triangle")

BACKGROUND = (236, 236, 236)
INK = (32, 32, 32)

ONE_ROW = 5
"""Up to so many pictures stand in one row, as a sweep is read; more are laid out as near to square as can be."""

CAPTION_LINES = 2
CAPTION_WIDTH = 64
"""Narrowest column, in pixels, that a caption is set in: smaller cells stand apart instead."""

SMALLEST_TYPE, LARGEST_TYPE = 10, 32


Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""


def contact_sheet(
    pixels: Sequence[Tensor] | Tensor,
    captions: Sequence[str] | None = None,
    columns: int = 0,
    gap: int = 8,
    cell: int = 0,
    layout: Layout = "rows",
) -> Tensor:
    """The picture of `sheet_with_cells` alone."""
    return sheet_with_cells(pixels, captions, columns, gap, cell, layout)[0]


def sheet_with_cells(
    pixels: Sequence[Tensor] | Tensor,
    captions: Sequence[str] | None = None,
    columns: int = 0,
    gap: int = 8,
    cell: int = 0,
    layout: Layout = "rows",
) -> tuple[Tensor, list[Box]]:
    """One picture [1, H, W, 3], float32, 0 to 1, of all `pixels`: a batch [B, H, W, C], or pictures of any sizes.

    Beside it the place of each picture on the sheet, its caption included.
    `columns` 0 chooses: one row up to ONE_ROW pictures, else as many as bring the sheet nearest to a square.
    `gap` is the distance between cells and to the edge, in pixels. A cell is as large as the largest width and height;
    `cell`, where not 0, is the length in pixels that its longer side is scaled to. Pictures of other sizes are fitted
    into it. A caption stands under its picture in at most CAPTION_LINES lines, cut with an ellipsis.
    Layout "triangle" sets 1, 2, 3, ... pictures in rows, each row in the middle, so that the simplex sweep of three
    ingredients has each alone in a corner; `columns` then means nothing.
    Raises InputError without a picture, where a triangle is not full, where the captions are not as many as the
    pictures, on a negative number, and where the sheet would have more than MAX_PIXELS pixels; ImageError
    as `images.picture` does.
    """
    for name, value in (("columns", columns), ("gap", gap), ("cell", cell)):
        if value < 0:
            raise InputError(f"A contact sheet takes {name} from 0, not {value}.")
    images = [tensor_to_pil(one) for one in pixels]
    if not images:
        raise InputError("A contact sheet needs at least one image: none came.")
    if captions is not None and len(captions) != len(images):
        raise InputError(f"There are {len(captions)} captions for {len(images)} images: give one for each, or none.")

    width, height = _cell_size(images, cell)
    texts = [" ".join(caption.split()) for caption in captions or ()]
    column = max(width, CAPTION_WIDTH) if any(texts) else width
    size = min(LARGEST_TYPE, max(SMALLEST_TYPE, round(math.sqrt(column))))
    font = font_for(size, "".join(texts))
    lines = [wrapped(text, font, column, CAPTION_LINES) for text in texts]
    line_height = math.ceil(max((font.getbbox(line)[3] for block in lines for line in block), default=0)) + 1
    space = size // 3
    row = height + (line_height * max(map(len, lines)) + 2 * space if any(lines) else 0)

    if layout == "triangle":
        places = _triangle(len(images))
    else:
        columns = min(columns, len(images)) or _columns(len(images), column + gap, row + gap)
        places = [(float(number % columns), number // columns) for number in range(len(images))]
    across, down = max(place[0] for place in places) + 1, places[-1][1] + 1
    sheet_size = (round(across * (column + gap)) + gap, down * (row + gap) + gap)
    if math.prod(sheet_size) > MAX_PIXELS:
        raise InputError(
            f"The contact sheet would have {sheet_size[0]} x {sheet_size[1]} pixels: "
            "make its cells smaller, or give it fewer images."
        )

    sheet = Image.new("RGB", sheet_size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    cells: list[Box] = []
    for number, image in enumerate(images):
        left = gap + round(places[number][0] * (column + gap))
        top = gap + places[number][1] * (row + gap)
        cells.append((left, top, column, row))
        fitted = _fitted(image, width, height)
        sheet.paste(fitted, (left + (column - fitted.width) // 2, top + (height - fitted.height) // 2))
        for k, line in enumerate(lines[number] if lines else ()):
            indent = (column - font.getlength(line)) // 2
            draw.text((left + indent, top + height + space + k * line_height), line, fill=INK, font=font)
    return pil_to_tensor(sheet), cells


def _triangle(count: int) -> list[tuple[float, int]]:
    """(column, row) of each cell of a triangle that stands on its longest row, in row order; columns go by halves."""
    rows = math.isqrt(2 * count)
    if rows * (rows + 1) // 2 != count:
        raise InputError(
            f"A triangle has 1, 3, 6, 10, 15, ... pictures, not {count}: use the simplex sweep of three ingredients "
            "and one sample, or layout rows."
        )
    return [((rows - 1 - row) / 2 + k, row) for row in range(rows) for k in range(row + 1)]


def _cell_size(images: list[Image.Image], cell: int) -> tuple[int, int]:
    width, height = max(image.width for image in images), max(image.height for image in images)
    scale = cell / max(width, height) if cell else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _columns(count: int, width: int, height: int) -> int:
    """How many of `count` cells stand in a row for a sheet nearest to a square; of two as near, the wider."""
    if count <= ONE_ROW:
        return count

    def distance(columns: int) -> float:
        ratio = columns * width / (math.ceil(count / columns) * height)
        return round(max(ratio, 1 / ratio), 6)

    return min(range(count, 0, -1), key=distance)
