"""Pixels and files for the tests of images, and how near two tensors must be."""

from __future__ import annotations

import io
from typing import Any

import torch
from PIL import Image
from torch import Tensor


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random values from 0 to 1 of a shape."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def photo(height: int, width: int) -> Tensor:
    """[1, height, width, 3], on exact 8-bit levels."""
    return (noise(1, height, width, 3) * 255).round() / 255


def file_of(image: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of a file of a Pillow format."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def noisy(mode: str, width: int, height: int) -> Image.Image:
    """Random bytes in a mode; a palette of random colours."""
    values = bytes((noise(height * width * 4, seed=7) * 256).to(torch.uint8).tolist())
    size = {"I;16": 2, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 1) * width * height
    image = Image.frombytes(mode, (width, height), values[:size])
    if mode == "P":
        image.putpalette(values[:768])
        image.info["transparency"] = values[:256]
    return image


def close(left: Tensor, right: Tensor, within: float = 1e-6) -> None:
    """Assert that no value differs by more than `within`."""
    torch.testing.assert_close(left, right, rtol=0, atol=within)
