"""The preparations: squares for a vision encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from image_mixer.mixing.errors import InputError
from image_mixer.mixing.images import PREPARATIONS, prepared, resized, resizing
from image_mixer.tests.mixing.images.samples import close, photo
from torch import Tensor


@pytest.mark.parametrize("how", PREPARATIONS)
@pytest.mark.parametrize("size", [1, 7, 16])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (9, 31), (31, 9), (1, 1), (2, 3)])
def test_prepared_pictures_are_squares_in_range(how: Any, size: int, height: int, width: int) -> None:
    result = prepared(photo(height, width), size, how)
    assert result.shape == (result.shape[0], size, size, 3)
    assert (result.shape[0] == 1) == (how != "tile" or height == width)
    assert 0 <= float(result.min()) <= float(result.max()) <= 1


@pytest.mark.parametrize("how", PREPARATIONS)
def test_a_square_of_the_size_is_left_alone(how: Any) -> None:
    pixels = photo(16, 16)
    assert prepared(pixels, 16, how).equal(pixels)


@pytest.mark.parametrize("how", PREPARATIONS)
def test_preparing_goes_with_turning_the_picture(how: Any) -> None:
    pixels = photo(20, 50)
    close(prepared(pixels.transpose(1, 2), 8, how), prepared(pixels, 8, how).transpose(1, 2))


@pytest.mark.parametrize(
    ("height", "width", "first"), [(4, 4, 0), (4, 6, 1), (4, 5, 0), (4, 7, 2), (4, 9, 2), (4, 11, 4)]
)
def test_the_crop_is_at_the_rounded_middle(height: int, width: int, first: int) -> None:
    # Python rounds halves to the even number: (5 - 4) / 2 to 0, (7 - 4) / 2 to 2, (9 - 4) / 2 to 2.
    pixels = photo(height, width)
    assert prepared(pixels, 4, "centre crop").equal(pixels[:, :, first : first + 4])


@pytest.mark.parametrize(("height", "width"), [(50, 70), (70, 50), (37, 101), (30, 43), (16, 16), (200, 90)])
def test_centre_crop_is_that_of_clip(height: int, width: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms.functional")
    bicubic = pytest.importorskip("torchvision.transforms").InterpolationMode.BICUBIC
    planes = photo(height, width).movedim(-1, 1)
    theirs = transforms.center_crop(transforms.resize(planes, [32], bicubic, antialias=True), [32, 32])
    close(prepared(planes.movedim(1, -1), 32, "centre crop"), theirs.movedim(1, -1).clamp(0, 1))


@pytest.mark.parametrize(("height", "width"), [(20, 50), (51, 20), (9, 10), (40, 40)])
def test_pad_is_a_white_square_resized(height: int, width: int) -> None:
    pixels = photo(height, width)
    long = max(height, width)
    square = torch.ones(1, long, long, 3)
    top, left = (long - height) // 2, (long - width) // 2
    square[:, top : top + height, left : left + width] = pixels
    close(prepared(pixels, 16, "pad"), resized(square, 16, 16), 1e-5)


@pytest.mark.parametrize(
    ("width", "starts"), [(8, [0]), (9, [0, 1]), (16, [0, 8]), (20, [0, 6, 12]), (100, [0, 13, 26, 39, 53, 66, 79, 92])]
)
def test_tiles_cover_the_long_side(width: int, starts: list[int]) -> None:
    pixels = photo(8, width)
    assert prepared(pixels, 8, "tile").equal(torch.cat([pixels[:, :, start : start + 8] for start in starts]))


@pytest.mark.parametrize("how", PREPARATIONS)
@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (2, 60_000)])
def test_extreme_shapes_need_little_memory(how: Any, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    interpolate = resizing.functional.interpolate

    def watched(planes: Tensor, *arguments: Any, **options: Any) -> Tensor:
        nonlocal largest
        result = interpolate(planes, *arguments, **options)
        largest = max(largest, planes.numel(), result.numel())
        return result

    monkeypatch.setattr(resizing.functional, "interpolate", watched)
    result = prepared(photo(*shape), 48, how)
    assert result.shape[0] == (8 if how == "tile" else 1)
    assert 0 < largest <= 32 * 48 * 48 * 3


def test_an_unknown_preparation_is_named() -> None:
    with pytest.raises(InputError, match="'stretch'"):
        prepared(photo(2, 2), 2, "stretch")  # type: ignore[arg-type]
