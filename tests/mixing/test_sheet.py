"""The contact sheet: where pictures and captions stand, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_mixer.mixing import lettering
from image_mixer.mixing.errors import ImageError, InputError
from image_mixer.mixing.sheet import BACKGROUND, INK, contact_sheet
from torch import Tensor

GREY = torch.tensor(BACKGROUND) / 255


def drawn(*arguments: Any, **options: Any) -> Tensor:
    """The picture of a sheet."""
    return contact_sheet(*arguments, **options).image


def solid(height: int, width: int, level: float = 0.6) -> Tensor:
    """[height, width, 3], blue."""
    return torch.tensor([0.0, 0.0, level]).expand(height, width, 3)


def is_blue(pixels: Tensor) -> Tensor:
    """[H, W] of [H, W, 3]: where a picture made by `solid` is."""
    return pixels[..., 2] - pixels[..., 0] > 0.3


def is_ink(pixels: Tensor) -> Tensor:
    """[H, W] of [H, W, 3]: where neither background nor picture is."""
    return ((pixels - GREY).abs().amax(dim=-1) > 0.05) & ~is_blue(pixels)


def columns_and_rows(result: Tensor) -> tuple[int, int]:
    """How many pictures stand beside each other, and below each other."""
    blue = is_blue(result[0])
    return tuple(int((line.int().diff(prepend=torch.zeros(1)) == 1).sum()) for line in (blue.any(0), blue.any(1)))  # type: ignore[return-value]


def test_pictures_stand_in_order_with_gaps() -> None:
    result = drawn(torch.stack([solid(4, 6, 0.4 + 0.1 * k) for k in range(3)]), columns=2, gap=2)
    assert (result.shape, result.dtype) == ((1, 14, 18, 3), torch.float32)
    expected = GREY.expand(14, 18, 3).clone()
    for k, (top, left) in enumerate([(2, 2), (2, 10), (8, 2)]):
        expected[top : top + 4, left : left + 6] = solid(4, 6, 0.4 + 0.1 * k)
    torch.testing.assert_close(result[0], expected, rtol=0, atol=0.51 / 255)


@pytest.mark.parametrize(
    ("count", "columns", "expected"),
    [
        (1, 0, (1, 1)),
        (2, 0, (2, 1)),
        (5, 0, (5, 1)),
        (6, 0, (3, 2)),
        (9, 0, (3, 3)),
        (12, 0, (4, 3)),
        (16, 0, (4, 4)),
        (20, 0, (5, 4)),
        (6, 6, (6, 1)),
        (6, 1, (1, 6)),
        (3, 9, (3, 1)),
        (7, 4, (4, 2)),
    ],
)
def test_columns(count: int, columns: int, expected: tuple[int, int]) -> None:
    assert columns_and_rows(drawn([solid(16, 16)] * count, columns=columns, gap=4)) == expected


def test_a_triangle_has_the_ingredients_alone_in_its_corners() -> None:
    levels = [0.4 + 0.1 * k for k in range(6)]
    result = drawn(torch.stack([solid(4, 4, level) for level in levels]), gap=2, layout="triangle")[0]
    assert result.shape == (20, 20, 3)
    corners = {(2, 8): 0, (8, 5): 1, (8, 11): 2, (14, 2): 3, (14, 8): 4, (14, 14): 5}
    for (top, left), k in corners.items():
        cell = result[top : top + 4, left : left + 4]
        torch.testing.assert_close(cell, solid(4, 4, levels[k]), rtol=0, atol=0.51 / 255)
    assert int(is_blue(result).sum()) == 6 * 16


@pytest.mark.parametrize("count", [2, 4, 5, 7, 9])
def test_a_triangle_that_is_not_full_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="triangle has 1, 3, 6"):
        drawn([solid(4, 4)] * count, layout="triangle")


def test_wide_pictures_take_fewer_columns() -> None:
    assert columns_and_rows(drawn([solid(8, 32)] * 8, gap=2)) == (2, 4)


def test_a_sheet_without_gap_or_captions_is_the_pictures_alone() -> None:
    assert is_blue(drawn([solid(16, 16)] * 4, columns=2, gap=0)[0]).all()
    assert drawn([solid(16, 16)] * 4, ["", " ", "\n", "\t"], columns=2, gap=0).shape == (1, 32, 32, 3)


@pytest.mark.parametrize(
    ("cell", "shape"), [(0, (1, 40 + 16, 2 * 60 + 24, 3)), (30, (1, 20 + 16, 2 * 30 + 24, 3)), (120, (1, 96, 264, 3))]
)
def test_cells_have_the_largest_size_or_the_one_that_is_asked_for(cell: int, shape: tuple[int, ...]) -> None:
    assert drawn([solid(40, 60), solid(10, 10)], cell=cell).shape == shape


def test_other_sizes_are_fitted_into_the_middle() -> None:
    blue = is_blue(drawn([solid(40, 40), solid(10, 20)[None]], gap=0)[0])
    assert blue[:, :40].all()
    assert blue[10:30, 40:].all()
    assert int(blue.sum()) == 40 * 40 + 20 * 40


@pytest.mark.parametrize("size", [8, 64, 256])
@pytest.mark.parametrize("caption", ["0.5, 0.7", "gjpqy|W" * 50, "many words in a row " * 50, "\u00c5\u00e9 \u4e2d"])
def test_captions_stand_below_their_pictures_and_touch_nothing(size: int, caption: str) -> None:
    gap, column = 8, max(size, 64)
    (result,) = drawn([solid(size, size)] * 4, [caption, "", "", caption], columns=2, gap=gap)
    height = (result.shape[0] - gap) // 2
    assert int(is_blue(result).sum()) == 4 * size * size
    ink = is_ink(result)
    places = [(top, left) for top in (gap, gap + height) for left in (gap, gap + column + gap)]
    own = ink[gap + size : gap + height].any(dim=1).nonzero()
    assert int(own[0]) < height - size - int(own[-1]), "the caption is nearer to the row below than to its picture"
    inked = [
        # One pixel more on each side: a letter may lean out of its box.
        int(ink[top + size : top + height - gap, left - 1 : left + column + 1].sum())
        for top, left in places
    ]
    assert inked[0] == inked[3] > 10
    assert inked[1] == inked[2] == 0
    assert sum(inked) == int(ink.sum())


@settings(max_examples=20)
@given(st.lists(st.text(), min_size=1, max_size=3))
def test_any_text_can_be_a_caption(captions: list[str]) -> None:
    assert drawn([solid(8, 8)] * len(captions), captions).shape[0] == 1


def test_type_grows_with_the_cell() -> None:
    def height_of_ink(size: int) -> int:
        return int(is_ink(drawn([solid(size, size)], ["HHH"])[0]).any(dim=1).sum())

    heights = [height_of_ink(size) for size in (64, 256, 512, 1024)]
    assert heights == sorted(set(heights))
    assert heights[0] >= 6


def test_without_a_system_font_the_caption_is_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "SYSTEM_FONTS", ("no-such-font.ttf",))
    assert int(is_ink(drawn([solid(64, 64)], ["\u4e2d a"])[0]).sum()) > 10


def test_ink_is_dark_on_a_light_background() -> None:
    result = drawn([solid(256, 256)], ["HHHHHH"])[0]
    assert float(result[is_ink(result)].min()) == pytest.approx(INK[0] / 255, abs=0.01)
    assert math.fsum(GREY.tolist()) > 2.5


@pytest.mark.parametrize(
    ("pixels", "options", "named"),
    [
        ([], {}, "at least one image"),
        ([solid(4, 4)], {"captions": ["a", "b"]}, "2 captions for 1 images"),
        ([solid(4, 4)], {"captions": []}, "0 captions for 1 images"),
        ([solid(4, 4)], {"columns": -1}, "columns from 0, not -1"),
        ([solid(4, 4)], {"gap": -1}, "gap from 0, not -1"),
        ([solid(4, 4)], {"cell": -1}, "cell from 0, not -1"),
        ([solid(4, 4)], {"cell": 10_000}, "10016 x 10016 pixels"),
    ],
)
def test_a_sheet_refuses(pixels: list[Tensor], options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        drawn(pixels, **options)


def test_a_sheet_refuses_what_is_no_picture() -> None:
    with pytest.raises(ImageError, match="NaN"):
        drawn([torch.full((4, 4, 3), torch.nan)])
    with pytest.raises(ImageError, match=r"\[4, 3\]"):
        drawn(solid(4, 4))


@pytest.mark.parametrize("captions", [None, ["a", "b", "c", "d", "e", "f", "g"]])
def test_cells_are_where_the_pictures_are(captions: list[str] | None) -> None:
    made, cells = contact_sheet([solid(40, 60)] * 7, captions, columns=3)
    assert torch.equal(made, drawn([solid(40, 60)] * 7, captions, columns=3))
    blue = is_blue(made[0])
    assert len(cells) == 7
    for left, top, width, height in cells:
        assert left >= 0 and left + width <= made.shape[2] and top >= 0 and top + height <= made.shape[1]
        assert int(blue[top : top + height, left : left + width].sum()) == 40 * 60
        blue[top : top + height, left : left + width] = False
    assert not bool(blue.any())
