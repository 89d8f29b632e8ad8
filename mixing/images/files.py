"""Image files: encoding to PNG and JPEG, and decoding of files that may be broken or hostile."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..errors import ImageError
from .conversion import fill, loaded, tensor_of, tensor_to_pil
from .resizing import resized

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Formats that `decode` reads: those that services answer with. Pillow's other readers are never called."""

MAX_PIXELS = 64_000_000

UPLOAD_QUALITIES = (95, 90, 80, 70, 50)
"""JPEG qualities that `encode_within` tries, best first."""

PNG_COMPRESSION = 4
"""zlib level of ComfyUI's own PNG files; higher levels take much longer and save few bytes."""


def encode_png(pixels: Tensor, text: Mapping[str, str] | None = None) -> bytes:
    """Encode [H, W, C] or [1, H, W, C] as PNG, 8 bits per channel, with `text` by keyword in its text chunks.

    A keyword is 1 to 79 characters of Latin-1 (PNG specification, 11.3.3). Text outside Latin-1 goes into iTXt chunks.
    Raises ImageError as `picture` does.
    """
    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        # A lone surrogate, which JSON may hold, cannot be encoded as UTF-8.
        chunks.add_text(keyword, value.encode("utf-8", "replace").decode("utf-8"))
    return _encoded(tensor_to_pil(pixels), "PNG", pnginfo=chunks, compress_level=PNG_COMPRESSION)


def encode_jpeg(pixels: Tensor, quality: int = 92) -> bytes:
    """Encode [H, W, C] or [1, H, W, C] as JPEG; `quality` is 1 to 95.

    Raises ImageError as `picture` does, and on a side longer than JPEG's 65535 pixels.
    """
    return _encoded(tensor_to_pil(pixels), "JPEG", quality=quality)


def encode_within(pixels: Tensor, max_bytes: int, max_side: int) -> tuple[bytes, str]:
    """Encode [1, H, W, 3], scaled down if a side is longer than `max_side` pixels; return (bytes, MIME type).

    The file is a PNG if that takes at most `max_bytes`, otherwise a JPEG of the best quality that does.
    Raises ImageError if no quality fits, and as `picture` does.
    """
    height, width = pixels.shape[1:3]
    scale = min(1.0, max_side / max(height, width))
    if scale < 1.0:
        pixels = resized(pixels, max(1, round(width * scale)), max(1, round(height * scale)))
    data = encode_png(pixels)
    if len(data) <= max_bytes:
        return data, "image/png"
    for quality in UPLOAD_QUALITIES:
        data = encode_jpeg(pixels, quality)
        if len(data) <= max_bytes:
            return data, "image/jpeg"
    raise ImageError(f"A picture of {width} x {height} pixels does not fit into {max_bytes} bytes: make it smaller.")


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Return [1, H, W, 3], float32, 0 to 1, of one PNG, JPEG, WEBP, GIF or BMP file, as `pil_to_tensor` does.

    Raises ImageError, and no other error, on bytes of another format, on a broken or truncated file, and on an image of
    more than `max_pixels` pixels. Such an image is refused before any pixel is decoded.
    """
    return tensor_of(_opened(data, max_pixels))


def decode_batch(files: list[bytes]) -> tuple[Tensor, int]:
    """Decode `files` into one batch [B, H, W, 3] and return it with the number of images that were resized.

    Images are resized to the size of the first one. `files` is emptied on the way, so that memory never holds more than
    the batch and the files that are left. Raises ImageError as `decode` does.
    """
    files.reverse()
    count, resizings = len(files), 0
    image = _opened(files.pop(), MAX_PIXELS)
    width, height = image.size
    batch = torch.empty((count, height, width, 3), dtype=torch.float32)
    for pixels in batch:
        if image.size == (width, height):
            fill(pixels, image)
        else:
            pixels.copy_(resized(tensor_of(image), width, height)[0])
            resizings += 1
        if files:
            image = _opened(files.pop(), MAX_PIXELS)
    return batch, resizings


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, form, **options)
    except (OSError, ValueError) as error:
        size = f"{image.width} x {image.height}"
        raise ImageError(f"A picture of {size} pixels cannot be written as {form}: {error}.") from error
    return buffer.getvalue()


def _opened(data: bytes, max_pixels: int) -> Image.Image:
    """Open a file and return its image as `loaded` does. Raises ImageError as `decode` does."""
    try:
        # Pillow warns about large images and odd metadata; this function decides about both.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise ImageError(
                        f"The picture has {image.width} x {image.height} pixels: at most {max_pixels} are read."
                    )
                return loaded(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"These {len(data)} bytes are not a {_either(FORMATS)} picture.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"The picture is too large: at most {max_pixels} pixels are read.") from error
    except Exception as error:
        shown = f"{type(error).__name__}: {error}"[:120]
        raise ImageError(f"The picture cannot be decoded because its file is broken ({shown}).") from error


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
