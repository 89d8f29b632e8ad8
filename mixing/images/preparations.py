"""Preparations: how an image that is not square becomes squares for a vision encoder."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from .resizing import resampled

Preparation = Literal["centre crop", "pad", "tile"]
PREPARATIONS: tuple[Preparation, ...] = ("centre crop", "pad", "tile")

MAX_TILES = 8

MAX_RATIO = 32
"""Longest supported ratio of the long side to the short side: memory use grows with the ratio, and nothing can be
recognised in a square made from a longer strip."""


def prepared(pixels: Tensor, size: int, how: Preparation) -> Tensor:
    """Make squares [n, size, size, 3] for a vision encoder from one picture [1, H, W, 3]; n is 1 except for "tile".

    - centre crop: resize so that the short side is `size` and the long side floor(size long / short), then cut the
      middle square at round((side - size) / 2). This is OpenAI CLIP's preprocessing (clip/clip.py: torchvision's
      Resize with bicubic interpolation, then CenterCrop) up to its normalisation.
    - pad: add white on both sides of the short side to make a square, then resize.
    - tile: cover the long side with ceil(long / short) squares of the short side, at most MAX_TILES, equally spaced
      and overlapping, and resize each.

    Resizing is bicubic with antialiasing; the result is clamped to 0 to 1. If the long side is more than MAX_RATIO
    times the short side, only the middle of the picture is used. Raises InputError on an unknown preparation.
    """
    middle = _middle(pixels)
    if how == "centre crop":
        squares = _centre_crop(middle, size)
    elif how == "pad":
        squares = _padded(middle, size)
    elif how == "tile":
        squares = torch.cat([resampled(tile, size, size) for tile in _tiles(middle)])
    else:
        raise InputError(f"The preparation is one of {', '.join(PREPARATIONS)}, not {how!r}.")
    return squares.clamp(0.0, 1.0)


def _middle(pixels: Tensor) -> Tensor:
    """Cut a picture to a ratio of sides of at most MAX_RATIO."""
    height, width = pixels.shape[1:3]
    longest = MAX_RATIO * min(height, width)
    return _cut(pixels, min(height, longest), min(width, longest))


def _cut(pixels: Tensor, height: int, width: int) -> Tensor:
    """Cut out the middle [height, width], at the offset of torchvision's `center_crop`, round((side - length) / 2.0)."""
    top, left = (round((side - length) / 2) for side, length in zip(pixels.shape[1:3], (height, width), strict=True))
    return pixels[:, top : top + height, left : left + width]


def _centre_crop(pixels: Tensor, size: int) -> Tensor:
    height, width = pixels.shape[1:3]
    short = min(height, width)
    return _cut(resampled(pixels, size * height // short, size * width // short), size, size)


def _padded(pixels: Tensor, size: int) -> Tensor:
    # Resampling works on one axis at a time. Padding between the two axes gives the same result as padding first, and
    # never holds a square of the long side.
    height, width = pixels.shape[1:3]
    missing = abs(height - width)
    before, after = missing // 2, missing - missing // 2
    if height < width:
        band, sides = resampled(pixels, height, size), (0, 0, 0, 0, before, after)
    else:
        band, sides = resampled(pixels, size, width), (0, 0, before, after, 0, 0)
    return resampled(functional.pad(band, sides, value=1.0), size, size)


def _tiles(pixels: Tensor) -> list[Tensor]:
    height, width = pixels.shape[1:3]
    short, long = sorted((height, width))
    count = min(MAX_TILES, math.ceil(long / short))
    starts = [round(i * (long - short) / max(1, count - 1)) for i in range(count)]
    return [pixels.narrow(2 if width > height else 1, start, short) for start in starts]
