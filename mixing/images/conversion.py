"""Conversion between Pillow images and tensors."""

from __future__ import annotations

import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from ..errors import ImageError
from .layouts import rgb, single_rgb

STRIP_VALUES = 32_767
"""Values of an image that are converted to floats at a time. This keeps temporary memory small. It also stays below
32,768, from which torch starts threads: the remote engine decodes in many threads, and each would start its own."""


def pil_to_tensor(image: Image.Image) -> Tensor:
    """Return [1, H, W, 3], float32, 0 to 1, of any Pillow image: its first frame, upright by EXIF, on white.

    16-bit grey ("I;16", or "I", which Pillow also uses for it) is divided by 65535; all else is converted by Pillow and
    divided by 255. Raises ImageError on a mode that Pillow cannot convert.
    """
    return tensor_of(loaded(image))


def tensor_to_pil(pixels: Tensor) -> Image.Image:
    """Return an RGB Pillow image of [H, W, C] or [1, H, W, C], rounded to the nearest of 256 levels.

    Raises ImageError as `picture` does.
    """
    levels = (single_rgb(pixels)[0] * 255.0).round().to(torch.uint8)
    return Image.frombytes("RGB", (levels.shape[1], levels.shape[0]), levels.numpy().tobytes())


def loaded(image: Image.Image) -> Image.Image:
    """Return the first frame, upright, in mode RGB, RGBA or 16-bit grey. Raises ImageError as `pil_to_tensor` does."""
    if image.tell():
        image.seek(0)
    upright = _upright(image)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    if upright.mode.startswith("I") or upright.mode == mode:
        return upright
    try:
        return upright.convert(mode)
    except ValueError as error:
        raise ImageError(f"An image of mode {image.mode!r} cannot be converted to RGB.") from error


def tensor_of(image: Image.Image) -> Tensor:
    """Return [1, H, W, 3], float32, 0 to 1, of an image that `loaded` returned."""
    pixels = torch.empty((1, image.height, image.width, 3), dtype=torch.float32)
    fill(pixels[0], image)
    return pixels


def fill(pixels: Tensor, image: Image.Image) -> None:
    """Write an image that `loaded` returned into [H, W, 3]."""
    rows = max(1, STRIP_VALUES // (4 * image.width))
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        pixels[top:bottom] = _strip(image.crop((0, top, image.width, bottom)))[0]


def _strip(image: Image.Image) -> Tensor:
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return rgb(values.reshape(1, image.height, image.width, -1) / 255.0)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:
        # Pillow raises many kinds of errors on broken EXIF data, and the pixels are good without it.
        return image


def _from_16_bit(image: Image.Image) -> Tensor:
    whole = image.convert("I")
    values = torch.frombuffer(bytearray(whole.tobytes()), dtype=torch.int32)
    grey = values.reshape(1, whole.height, whole.width, 1)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey = grey.where(grey != transparent, 65535)
    return rgb(grey / 65535.0)
