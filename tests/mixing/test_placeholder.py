"""The picture in place of a missing one: its size, what stands on it, and where."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_mixer.mixing.placeholder import CROSS, GROUND, INK, SIDE, filled, placeholder_png
from PIL import Image

SHORT = "The service refused the job"
LONG = (
    'modelslab v6 says that job 18273645 failed: "CUDA out of memory". It was paid for. Queue again to ask for it once '
    "more, or raise pay_again to pay for another. See https://example.com/" + "a" * 80
)
CHINESE = 8 * "\u8bf7\u518d\u6b21\u6392\u961f\uff0c" + "pay_again"
SIZES = [(512, 512), (256, 256), (1024, 640), (64, 64), (640, 64), (64, 640)]


def opened(data: bytes) -> Image.Image:
    """The picture of a PNG."""
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return image


def lettered(image: Image.Image, edge: int) -> tuple[int, int, int, int] | None:
    """The box of what is darker than ground and cross, without the frame: `edge` pixels on each side are left out."""
    width, height = image.size
    inner = image.convert("L").crop((edge, edge, width - edge, height - edge))
    return inner.point([255 * (level < 190) for level in range(256)]).getbbox()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reason", [SHORT, LONG, CHINESE, "W" * 400, ""])
def test_the_text_stands_inside_with_a_margin(size: tuple[int, int], reason: str) -> None:
    image = opened(placeholder_png(*size, reason))
    assert image.size == size
    stroke = max(1, min(size) // 256)
    box = lettered(image, stroke)
    assert box is not None, "not even the title is there"
    width, height = (side - 2 * stroke for side in size)
    assert box[0] >= 2 and box[1] >= 2 and box[2] <= width - 2 and box[3] <= height - 2
    assert abs((box[0] + box[2]) - width) <= 0.1 * width, "the text is not in the middle"


@pytest.mark.parametrize("size", SIZES)
def test_each_reason_has_its_own_picture_and_always_the_same(size: tuple[int, int]) -> None:
    made = [placeholder_png(*size, reason) for reason in (SHORT, LONG, "late", "refused")]
    assert len(set(made)) == 4
    assert made == [placeholder_png(*size, reason) for reason in (SHORT, LONG, "late", "refused")]


def test_a_long_reason_is_set_smaller_until_its_end_can_be_read() -> None:
    twice = f"{LONG} {LONG}"
    assert placeholder_png(256, 256, twice) != placeholder_png(256, 256, f"{twice[:-1]}b")
    assert placeholder_png(64, 64, twice) == placeholder_png(64, 64, f"{twice[:-1]}b")


def test_a_large_picture_has_larger_letters() -> None:
    heights = []
    for side in (64, 256, 512, 1024):
        box = lettered(opened(placeholder_png(side, side, "")), max(1, side // 256))
        assert box is not None
        heights.append(box[3] - box[1])
    assert heights == sorted(set(heights))


@settings(max_examples=30)
@given(st.integers(1, 90), st.integers(1, 90), st.text(max_size=200))
def test_any_size_and_any_reason_make_a_picture(width: int, height: int, reason: str) -> None:
    assert opened(placeholder_png(width, height, reason)).size == (width, height)


def test_what_is_too_small_for_letters_is_framed_and_crossed_out() -> None:
    image = opened(placeholder_png(24, 12, SHORT))
    assert {image.getpixel((x, y)) for x in range(24) for y in range(12)} == {GROUND, CROSS, INK}
    assert lettered(image, 1) is None


def test_missing_ones_are_filled_with_their_reasons_in_the_size_of_those_that_came() -> None:
    file = io.BytesIO()
    Image.new("RGB", (80, 48), (0, 0, 255)).save(file, "JPEG")
    came = file.getvalue()
    files = filled([None, came, None], ["first", "second"], (512, 256))
    assert files == [placeholder_png(80, 48, "first"), came, placeholder_png(80, 48, "second")]


@pytest.mark.parametrize(
    ("files", "size", "made"),
    [([None], (320, 256), (320, 256)), ([None], (0, 0), (SIDE, SIDE)), ([b"no picture", None], (64, 64), (SIDE, SIDE))],
)
def test_the_size_if_none_came_that_has_one(
    files: list[bytes | None], size: tuple[int, int], made: tuple[int, int]
) -> None:
    assert opened(filled(files, ["why"], size)[-1]).size == made
