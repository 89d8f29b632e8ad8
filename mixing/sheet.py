"""The contact sheet: many pictures on one, in rows or in a triangle, each with its caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw
from torch import Tensor

from .errors import InputError
from .images import MAX_PIXELS, pil_to_tensor, tensor_to_pil
from .lettering import Font, font_for, wrapped

Layout = Literal["rows", "triangle"]
LAYOUTS: tuple[Layout, ...] = ("rows", "triangle")

BACKGROUND = (236, 236, 236)
INK = (32, 32, 32)

ONE_ROW = 5
"""Most pictures that stand in one row if the number of columns is not given. More are laid out close to a square."""

CAPTION_LINES = 2
CAPTION_WIDTH = 64
"""Narrowest column, in pixels, for a caption. If cells are narrower, the columns are this wide all the same."""

SMALLEST_TYPE, LARGEST_TYPE = 10, 32

Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""


class Sheet(NamedTuple):
    """A contact sheet: one picture [1, H, W, 3], float32, 0 to 1, and the box of each cell, including its caption."""

    image: Tensor
    cells: list[Box]


@dataclass(frozen=True)
class _Captions:
    """The captions of all cells, broken into lines. `space` is left above and below a caption, in pixels."""

    lines: list[list[str]]
    font: Font
    line_height: int
    space: int

    @property
    def height(self) -> int:
        """The pixels that every cell needs below its picture; 0 if no cell has a caption."""
        return self.line_height * max(map(len, self.lines)) + 2 * self.space if any(self.lines) else 0


def contact_sheet(
    pixels: Sequence[Tensor] | Tensor,
    captions: Sequence[str] | None = None,
    columns: int = 0,
    gap: int = 8,
    cell: int = 0,
    layout: Layout = "rows",
) -> Sheet:
    """Draw all `pixels` on one sheet: a batch [B, H, W, C], or pictures of any sizes.

    - columns: pictures per row. 0 chooses: one row for up to ONE_ROW pictures, otherwise the sheet nearest to a square.
    - gap: pixels between cells and to the edge of the sheet.
    - cell: length in pixels of the longer side of a cell; 0 takes the largest width and height of the pictures. Other
      pictures are fitted into the cell.
    - layout: "triangle" sets 1, 2, 3, ... pictures in centred rows, so that the simplex sweep of three ingredients has
      each ingredient alone in a corner; `columns` is then ignored.

    A caption stands below its picture in at most CAPTION_LINES lines and is cut with an ellipsis.
    Raises InputError if there is no picture, if a triangle is not full, if there is not one caption per picture, on a
    negative number, and if the sheet would have more than MAX_PIXELS pixels; ImageError as `images.picture` does.
    """
    for name, value in (("columns", columns), ("gap", gap), ("cell", cell)):
        if value < 0:
            raise InputError(f"A contact sheet takes {name} from 0, not {value}.")
    images = _images(pixels, captions)
    width, height = _cell_size(images, cell)
    texts = [" ".join(caption.split()) for caption in captions or ()]
    column = max(width, CAPTION_WIDTH) if any(texts) else width
    set_captions = _set(texts, column)
    row = height + set_captions.height
    if layout == "triangle":
        positions = _triangle(len(images))
    else:
        columns = min(columns, len(images)) or _columns(len(images), column + gap, row + gap)
        positions = [(float(number % columns), number // columns) for number in range(len(images))]
    cells = [(gap + round(x * (column + gap)), gap + y * (row + gap), column, row) for x, y in positions]
    across, down = max(x for x, _ in positions) + 1, positions[-1][1] + 1
    sheet_size = (round(across * (column + gap)) + gap, down * (row + gap) + gap)
    if math.prod(sheet_size) > MAX_PIXELS:
        raise InputError(
            f"The contact sheet would have {sheet_size[0]} x {sheet_size[1]} pixels: "
            "make its cells smaller, or give it fewer images."
        )
    sheet = Image.new("RGB", sheet_size, BACKGROUND)
    for box, image in zip(cells, images, strict=True):
        _paste(sheet, _fitted(image, width, height), box, height)
    _write(sheet, set_captions, cells, height)
    return Sheet(pil_to_tensor(sheet), cells)


def _images(pixels: Sequence[Tensor] | Tensor, captions: Sequence[str] | None) -> list[Image.Image]:
    images = [tensor_to_pil(one) for one in pixels]
    if not images:
        raise InputError("A contact sheet needs at least one image: connect images.")
    if captions is not None and len(captions) != len(images):
        raise InputError(f"There are {len(captions)} captions for {len(images)} images: give one for each, or none.")
    return images


def _set(texts: list[str], column: int) -> _Captions:
    """Break captions into lines of at most `column` pixels, in type that grows with the column."""
    size = min(LARGEST_TYPE, max(SMALLEST_TYPE, round(math.sqrt(column))))
    font = font_for(size, "".join(texts))
    lines = [wrapped(text, font, column, CAPTION_LINES) for text in texts]
    line_height = math.ceil(max((font.getbbox(line)[3] for block in lines for line in block), default=0)) + 1
    return _Captions(lines, font, line_height, space=size // 3)


def _paste(sheet: Image.Image, image: Image.Image, box: Box, height: int) -> None:
    """Paste a picture into the middle of the upper `height` pixels of its cell."""
    left, top, column, _ = box
    sheet.paste(image, (left + (column - image.width) // 2, top + (height - image.height) // 2))


def _write(sheet: Image.Image, captions: _Captions, cells: list[Box], height: int) -> None:
    """Write the captions below the pictures, which take the upper `height` pixels of each cell."""
    draw = ImageDraw.Draw(sheet)
    for (left, top, column, _), lines in zip(cells, captions.lines, strict=False):
        for k, line in enumerate(lines):
            indent = (column - captions.font.getlength(line)) // 2
            down = top + height + captions.space + k * captions.line_height
            draw.text((left + indent, down), line, fill=INK, font=captions.font)


def _triangle(count: int) -> list[tuple[float, int]]:
    """Return the (column, row) of each cell of a triangle with its longest row at the bottom; columns may be halves."""
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
    """Return how many of `count` cells per row bring the sheet nearest to a square; the wider of two equally near."""
    if count <= ONE_ROW:
        return count

    def distance(columns: int) -> float:
        ratio = columns * width / (math.ceil(count / columns) * height)
        return round(max(ratio, 1 / ratio), 6)

    return min(range(count, 0, -1), key=distance)
