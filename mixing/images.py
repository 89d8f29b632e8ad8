"""Pictures: the one place for tensor layouts and for the coding and decoding of image files.

Everywhere else a picture is ComfyUI's IMAGE: a tensor [batch, height, width, channels], float32, 0 to 1, sRGB.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional

from .errors import ImageError, InputError
from .mix import Picture, Region

Preparation = Literal["centre crop", "pad", "tile"]
PREPARATIONS: tuple[Preparation, ...] = ("centre crop", "pad", "tile")

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Formats that `decode` reads: those that services answer with. Pillow's other readers stay out of reach."""

MAX_PIXELS = 64_000_000
MAX_TILES = 8

MAX_RATIO = 32
"""`prepared` looks at the middle of a picture that is longer than this many times its short side: its memory use would
grow with the ratio, and nothing so long can be recognised in a square."""

UPLOAD_QUALITIES = (95, 90, 80, 70, 50)

STRIP_VALUES = 32_767
"""Values of a picture that become floats at a time. Temporaries stay small, and torch starts no threads for fewer than
32,768 values: it would start some for each thread that decodes, and the remote engine decodes in many."""

PNG_COMPRESSION = 4
"""zlib level of ComfyUI's own PNG files; higher levels take far longer for few bytes."""


def picture(pixels: Tensor) -> Picture:
    """One picture from [H, W, C] or [1, H, W, C] with C = 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha).

    The result holds [1, H, W, 3], float32, on the CPU: clamped to 0 to 1, grey repeated, alpha composited on white.
    Its digest is the SHA-256 (hex) of that shape and those bytes.
    Raises ImageError on another layout, a batch, an empty picture, values that are not float, and NaN or infinity.
    """
    return _picture(_one(pixels))


def pictures(batch: Tensor) -> tuple[Picture, ...]:
    """The pictures of a batch [B, H, W, C], each as `picture` makes it. Raises ImageError as `picture` does."""
    if batch.dim() != 4:
        raise ImageError(f"A batch of images is [batch, height, width, channels], not {list(batch.shape)}.")
    return tuple(_picture(one.unsqueeze(0)) for one in _rgb(batch))


def region(mask: Tensor) -> Region:
    """Where an ingredient acts, from a mask [H, W] or [1, H, W]: float or bool, clamped to 0 to 1.

    The result holds [H, W], float32, on the CPU. Raises ImageError on another layout, several masks, NaN and infinity.
    """
    one = mask.unsqueeze(0) if mask.dim() == 2 else mask
    if one.dim() != 3 or not one.numel() or not (one.is_floating_point() or one.dtype == torch.bool):
        raise ImageError(f"A region is a mask [height, width] of floats, not {list(mask.shape)} of {_dtype(mask)}.")
    if one.shape[0] != 1:
        raise ImageError(f"One mask is needed for a region, not a batch of {one.shape[0]}: pick one of them.")
    values = _floats(one[0], "mask")
    return Region(_digest(values), values)


def _picture(rgb: Tensor) -> Picture:
    return Picture(_digest(rgb), rgb)


def _one(pixels: Tensor) -> Tensor:
    """[1, H, W, 3] as `_rgb` makes it. Raises ImageError on a batch."""
    rgb = _rgb(pixels)
    if rgb.shape[0] != 1:
        raise ImageError(f"One picture is needed here, not a batch of {rgb.shape[0]}: pick one of them.")
    return rgb


def _rgb(pixels: Tensor) -> Tensor:
    """[B, H, W, 3], float32, 0 to 1, contiguous, on the CPU, from [H, W, C] or [B, H, W, C]. Raises ImageError."""
    batch = pixels.unsqueeze(0) if pixels.dim() == 3 else pixels
    if batch.dim() != 4 or not 1 <= batch.shape[-1] <= 4:
        raise ImageError(f"An image is [height, width, 1 to 4 channels], not {list(pixels.shape)}.")
    if not batch.numel():
        raise ImageError(f"The image is empty: its shape is {list(pixels.shape)}.")
    if not batch.is_floating_point():
        raise ImageError(f"An image holds floats from 0 to 1, not {_dtype(pixels)}: divide bytes by 255.")
    values = _floats(batch, "image")
    if values.shape[-1] in (2, 4):
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    return values.expand(*values.shape[:-1], 3).contiguous()


def _floats(values: Tensor, name: str) -> Tensor:
    """A copy as float32, clamped to 0 to 1, contiguous, on the CPU. Raises ImageError on NaN and infinity."""
    floats = values.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(floats).all()):
        raise ImageError(f"The {name} holds NaN or infinity: what made it went wrong, often a VAE in half precision.")
    return floats.clamp(0.0, 1.0).contiguous()


def _dtype(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")


def _digest(values: Tensor) -> str:
    digest = hashlib.sha256(repr(tuple(values.shape)).encode())
    digest.update(values.numpy().data)
    return digest.hexdigest()


def resized(pixels: Tensor, width: int, height: int) -> Tensor:
    """[B, height, width, 3] from [B, H, W, 3]: bicubic with antialiasing, clamped to 0 to 1, float32."""
    return _resampled(pixels, height, width).clamp(0.0, 1.0)


def resized_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """[height, width] from [H, W]: bilinear with antialiasing, clamped to 0 to 1, float32."""
    scaled = functional.interpolate(mask.float()[None, None], (height, width), mode="bilinear", antialias=True)
    return scaled[0, 0].clamp(0.0, 1.0)


def _resampled(pixels: Tensor, height: int, width: int) -> Tensor:
    """Bicubic (a = -0.5 under antialiasing, as in Pillow), not clamped: it overshoots at edges."""
    if pixels.shape[1:3] == (height, width):
        return pixels.float()
    planes = pixels.float().movedim(-1, 1)
    return functional.interpolate(planes, (height, width), mode="bicubic", antialias=True).movedim(1, -1).contiguous()


def prepared(pixels: Tensor, size: int, how: Preparation) -> Tensor:
    """Squares [n, size, size, 3] for a tower from one picture [1, H, W, 3]; n is 1 except for "tile".

    - centre crop: the short side becomes `size`, the long one floor(size long / short); the middle square is cut at
      round((side - size) / 2). This is OpenAI CLIP's preprocessing (clip/clip.py: torchvision's Resize with bicubic
      interpolation, then CenterCrop) before it normalises.
    - pad: white is added on both sides of the short side to make a square, which is then resized.
    - tile: the long side is covered by ceil(long / short) squares of the short side, at most MAX_TILES, equally spaced
      and overlapping; each is resized.

    Resizing is bicubic with antialiasing; the result is clamped to 0 to 1. Beyond a ratio of sides of MAX_RATIO only
    the middle of the picture is looked at. Raises InputError on an unknown preparation.
    """
    middle = _middle(pixels)
    if how == "centre crop":
        squares = _centre_crop(middle, size)
    elif how == "pad":
        squares = _padded(middle, size)
    elif how == "tile":
        squares = torch.cat([_resampled(tile, size, size) for tile in _tiles(middle)])
    else:
        raise InputError(f"The preparation is one of {', '.join(PREPARATIONS)}, not {how!r}.")
    return squares.clamp(0.0, 1.0)


def _middle(pixels: Tensor) -> Tensor:
    height, width = pixels.shape[1:3]
    longest = MAX_RATIO * min(height, width)
    return _cut(pixels, min(height, longest), min(width, longest))


def _cut(pixels: Tensor, height: int, width: int) -> Tensor:
    """The middle [height, width], at the offset of torchvision's `center_crop`, round((side - length) / 2.0)."""
    top, left = (round((side - length) / 2) for side, length in zip(pixels.shape[1:3], (height, width), strict=True))
    return pixels[:, top : top + height, left : left + width]


def _centre_crop(pixels: Tensor, size: int) -> Tensor:
    height, width = pixels.shape[1:3]
    short = min(height, width)
    return _cut(_resampled(pixels, size * height // short, size * width // short), size, size)


def _padded(pixels: Tensor, size: int) -> Tensor:
    # Resampling works on one axis at a time, so padding between the two gives what padding first would, without ever
    # holding a square of the long side.
    height, width = pixels.shape[1:3]
    missing = abs(height - width)
    before, after = missing // 2, missing - missing // 2
    if height < width:
        band, sides = _resampled(pixels, height, size), (0, 0, 0, 0, before, after)
    else:
        band, sides = _resampled(pixels, size, width), (0, 0, before, after, 0, 0)
    return _resampled(functional.pad(band, sides, value=1.0), size, size)


def _tiles(pixels: Tensor) -> list[Tensor]:
    height, width = pixels.shape[1:3]
    short, long = sorted((height, width))
    count = min(MAX_TILES, math.ceil(long / short))
    starts = [round(i * (long - short) / max(1, count - 1)) for i in range(count)]
    return [pixels.narrow(2 if width > height else 1, start, short) for start in starts]


def pil_to_tensor(image: Image.Image) -> Tensor:
    """[1, H, W, 3], float32, 0 to 1, from any Pillow image: first frame, upright by EXIF, transparency on white.

    16-bit grey ("I;16", and "I", in which Pillow keeps it too) is divided by 65535, everything else by 255 after
    Pillow's own conversion. Raises ImageError on a mode that Pillow cannot convert.
    """
    return _floats_of(_loaded(image))


def _floats_of(loaded: Image.Image) -> Tensor:
    pixels = torch.empty((1, loaded.height, loaded.width, 3), dtype=torch.float32)
    _fill(pixels[0], loaded)
    return pixels


def _fill(pixels: Tensor, loaded: Image.Image) -> None:
    """Write what `_loaded` gave into [H, W, 3]."""
    rows = max(1, STRIP_VALUES // (4 * loaded.width))
    for top in range(0, loaded.height, rows):
        bottom = min(loaded.height, top + rows)
        pixels[top:bottom] = _strip(loaded.crop((0, top, loaded.width, bottom)))[0]


def _strip(image: Image.Image) -> Tensor:
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return _rgb(values.reshape(1, image.height, image.width, -1) / 255.0)


def _loaded(image: Image.Image) -> Image.Image:
    """The first frame, upright, its mode RGB, RGBA or one of 16-bit grey. Raises ImageError as `pil_to_tensor` does."""
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


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:
        # Broken EXIF raises almost anything, and the picture is good without it.
        return image


def _from_16_bit(image: Image.Image) -> Tensor:
    whole = image.convert("I")
    values = torch.frombuffer(bytearray(whole.tobytes()), dtype=torch.int32)
    grey = values.reshape(1, whole.height, whole.width, 1)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey = grey.where(grey != transparent, 65535)
    return _rgb(grey / 65535.0)


def tensor_to_pil(pixels: Tensor) -> Image.Image:
    """An RGB Pillow image from [H, W, C] or [1, H, W, C], rounded to the nearest of 256 levels.

    Raises ImageError as `picture` does.
    """
    levels = (_one(pixels)[0] * 255.0).round().to(torch.uint8)
    return Image.frombytes("RGB", (levels.shape[1], levels.shape[0]), levels.numpy().tobytes())


def encode_png(pixels: Tensor, text: Mapping[str, str] | None = None) -> bytes:
    """PNG bytes of [H, W, C] or [1, H, W, C], 8 bits a channel, with `text` by keyword in its text chunks.

    A keyword is 1 to 79 characters of Latin-1 (PNG specification, 11.3.3). Text outside Latin-1 goes into iTXt chunks.
    Raises ImageError as `picture` does.
    """
    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        # A lone surrogate, which JSON may hold, has no UTF-8.
        chunks.add_text(keyword, value.encode("utf-8", "replace").decode("utf-8"))
    return _encoded(tensor_to_pil(pixels), "PNG", pnginfo=chunks, compress_level=PNG_COMPRESSION)


def encode_jpeg(pixels: Tensor, quality: int = 92) -> bytes:
    """JPEG bytes of [H, W, C] or [1, H, W, C]; `quality` is 1 to 95.

    Raises ImageError as `picture` does, and on a side longer than JPEG's 65535 pixels.
    """
    return _encoded(tensor_to_pil(pixels), "JPEG", quality=quality)


def encode_within(pixels: Tensor, max_bytes: int, max_side: int) -> tuple[bytes, str]:
    """(bytes, MIME type) of [1, H, W, 3], scaled down so that no side is over `max_side`: PNG where that has at most
    `max_bytes`, else the best JPEG that does. Raises ImageError where none fits, and as `picture` does."""
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


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, form, **options)
    except (OSError, ValueError) as error:
        size = f"{image.width} x {image.height}"
        raise ImageError(f"A picture of {size} pixels cannot be written as {form}: {error}.") from error
    return buffer.getvalue()


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Tensor:
    """[1, H, W, 3], float32, 0 to 1, from the bytes of one PNG, JPEG, WEBP, GIF or BMP file, as `pil_to_tensor` does.

    Raises ImageError, and nothing else, on bytes that are none of these, broken or cut short, and on a picture of more
    than `max_pixels` pixels, of which no pixel is decoded.
    """
    return _floats_of(_opened(data, max_pixels))


def decode_batch(files: list[bytes]) -> tuple[Tensor, int]:
    """One batch [B, H, W, 3] of the pictures of `files`, each as `decode` makes it, and how many were resized: those of
    another size than the first one's.

    Empties `files` on the way, so that at most the batch and what is left of them are in memory at a time. Raises
    ImageError as `decode` does.
    """
    files.reverse()
    count, resizings = len(files), 0
    loaded = _opened(files.pop(), MAX_PIXELS)
    width, height = loaded.size
    batch = torch.empty((count, height, width, 3), dtype=torch.float32)
    for pixels in batch:
        if loaded.size == (width, height):
            _fill(pixels, loaded)
        else:
            pixels.copy_(resized(_floats_of(loaded), width, height)[0])
            resizings += 1
        if files:
            loaded = _opened(files.pop(), MAX_PIXELS)
    return batch, resizings


def _opened(data: bytes, max_pixels: int) -> Image.Image:
    """The picture of a file as `_loaded` gives it. Raises ImageError as `decode` does."""
    try:
        # Pillow warns of large pictures and of odd metadata; either is decided here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise ImageError(
                        f"The picture has {image.width} x {image.height} pixels: at most {max_pixels} are read."
                    )
                return _loaded(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"These {len(data)} bytes are no {', '.join(FORMATS)} picture.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"The picture is too large: at most {max_pixels} pixels are read.") from error
    except Exception as error:
        shown = f"{type(error).__name__}: {error}"[:120]
        raise ImageError(f"The picture cannot be decoded, its file is broken ({shown}).") from error
