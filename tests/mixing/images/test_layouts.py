"""Pictures and regions from tensors: channels, alpha, range, digests."""

from __future__ import annotations

import hashlib

import pytest
import torch
from image_mixer.mixing.errors import ImageError
from image_mixer.mixing.images import encode_jpeg, encode_png, picture, pictures, region, tensor_to_pil
from image_mixer.tests.mixing.images.samples import close, noise
from torch import Tensor


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        ([0.25], [0.25, 0.25, 0.25]),
        ([0.25, 0.5], [0.625, 0.625, 0.625]),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]),
        ([0.0, 0.5, 1.0, 0.5], [0.5, 0.75, 1.0]),
        ([0.0, 0.5, 1.0, 0.0], [1.0, 1.0, 1.0]),
        ([-1.0, 2.0, 0.5], [0.0, 1.0, 0.5]),
        ([0.0, 0.5, 1.0, 7.0], [0.0, 0.5, 1.0]),
    ],
)
def test_a_picture_is_rgb_on_white_from_0_to_1(pixel: list[float], expected: list[float]) -> None:
    made = picture(torch.tensor(pixel).expand(2, 3, len(pixel)))
    assert made.pixels.shape == (1, 2, 3, 3)
    assert made.pixels.is_contiguous()
    close(made.pixels, torch.tensor(expected).expand(1, 2, 3, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_picture_is_a_float32_copy(dtype: torch.dtype) -> None:
    pixels = noise(4, 5, 3).to(dtype).requires_grad_()
    made = picture(pixels)
    assert (made.pixels.dtype, made.pixels.requires_grad) == (torch.float32, False)
    with torch.no_grad():
        pixels.zero_()
    assert made.pixels.sum() > 1


def test_a_digest_is_that_of_shape_and_bytes() -> None:
    pixels = noise(2, 3, 3)
    made = picture(pixels)
    assert made.digest == hashlib.sha256(b"(1, 2, 3, 3)" + pixels.numpy().tobytes()).hexdigest()
    assert made == picture(pixels[None]) == picture(torch.cat([pixels, torch.ones(2, 3, 1)], dim=-1))
    assert made == picture(pixels.permute(1, 0, 2).contiguous().permute(1, 0, 2))
    assert made != picture(pixels.reshape(3, 2, 3))
    assert made != picture(pixels + 1e-6)


def test_pictures_are_those_of_the_batch() -> None:
    batch = noise(3, 4, 5, 4)
    assert pictures(batch) == tuple(picture(one) for one in batch)
    assert [made.pixels.shape for made in pictures(batch)] == [(1, 4, 5, 3)] * 3


@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (torch.zeros(4, 5), r"\[4, 5\]"),
        (torch.zeros(1, 1, 4, 5, 3), r"\[1, 1, 4, 5, 3\]"),
        (torch.zeros(4, 5, 7), r"\[4, 5, 7\]"),
        (torch.zeros(3, 64, 64), r"\[3, 64, 64\]"),
        (torch.zeros(0, 5, 3), "empty"),
        (torch.zeros(4, 5, 3, dtype=torch.uint8), "uint8"),
        (torch.full((4, 5, 3), torch.nan), "NaN"),
        (torch.full((4, 5, 4), torch.inf), "infinity"),
        (torch.full((4, 5, 3), 1e300, dtype=torch.float64), "infinity"),
        (torch.zeros(2, 4, 5, 3), "batch of 2"),
    ],
)
def test_a_picture_refuses(pixels: Tensor, named: str) -> None:
    for function in (picture, tensor_to_pil, encode_png, encode_jpeg):
        with pytest.raises(ImageError, match=named):
            function(pixels)


def test_pictures_refuse_what_is_no_batch() -> None:
    with pytest.raises(ImageError, match=r"\[4, 5, 3\]"):
        pictures(torch.zeros(4, 5, 3))
    with pytest.raises(ImageError, match="empty"):
        pictures(torch.zeros(0, 4, 5, 3))


def test_a_region_is_one_mask_from_0_to_1() -> None:
    mask = torch.tensor([[-1.0, 0.25, 2.0]], dtype=torch.float64)
    made = region(mask)
    assert made.mask.tolist() == [[0.0, 0.25, 1.0]]
    assert made.mask.dtype == torch.float32
    assert made == region(mask[None]) != region(mask / 2)
    assert region(mask > 0).mask.tolist() == [[0.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("mask", "named"),
    [
        (torch.zeros(2, 3, 4), "batch of 2"),
        (torch.zeros(3), r"\[3\]"),
        (torch.zeros(1, 1, 3, 4), r"\[1, 1, 3, 4\]"),
        (torch.zeros(0, 4), r"\[0, 4\]"),
        (torch.full((3, 4), torch.nan), "mask holds NaN"),
        (torch.zeros(3, 4, dtype=torch.int64), "int64"),
    ],
)
def test_a_region_refuses(mask: Tensor, named: str) -> None:
    with pytest.raises(ImageError, match=named):
        region(mask)
