"""Pictures for tests: random pixels for the local engine, and PNG files of one colour for the remote one.

Torch is imported only when random pixels are asked for, so that tests of the remote engine can use this module too.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from image_mixer.mixing.errors import ImageError
from image_mixer.mixing.mix import Ingredient, Picture
from PIL import Image

if TYPE_CHECKING:
    import torch

RED = (200, 30, 30)


def noise(seed: int, height: int = 56, width: int = 56) -> torch.Tensor:
    """Return random pixels [1, height, width, 3], float32 from 0 to 1. Equal seeds give equal pixels."""
    import torch

    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(seed))


def picture(seed: int = 0, height: int = 56, width: int = 56) -> Ingredient:
    """Return an image ingredient of random pixels."""
    from image_mixer.mixing import images

    return Ingredient("image", images.picture(noise(seed, height, width)))


def coloured(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (64, 64)) -> Picture:
    """Return a picture of one colour whose `pixels` are the bytes of a PNG file; `size` is (width, height)."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return of_file(file.getvalue())


def of_file(data: bytes) -> Picture:
    """Return a picture whose `pixels` are the bytes of an image file."""
    return Picture(hashlib.sha256(data).hexdigest(), data)


def size_of(given: Picture) -> tuple[int, int]:
    """Return (width, height) of a picture that holds the bytes of a file."""
    with Image.open(io.BytesIO(given.pixels)) as image:
        return image.size


def check(data: bytes) -> None:
    """Raise ImageError if the image file cannot be read to its end."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"The download is a broken picture: {type(error).__name__}.") from error
