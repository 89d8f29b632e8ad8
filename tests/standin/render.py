"""Images that visibly depend on what was mixed: the inputs blended by weight, with stripes for prompt and seed."""

from __future__ import annotations

import hashlib
import io

from PIL import Image, ImageDraw


def rendered(inputs: list[bytes | str], weights: list[float], prompt: str, seed: int, size: tuple[int, int]) -> bytes:
    """Return a PNG. An input is the bytes of a picture, or a URL, which becomes a colour of its own."""
    total = sum(weights) or 1.0
    canvas: Image.Image | None = None
    share = 0.0
    for data, weight in zip(inputs, weights, strict=True):
        layer = _layer(data, size)
        share += weight / total
        canvas = layer if canvas is None else Image.blend(canvas, layer, (weight / total) / share if share else 0.0)
    canvas = canvas or Image.new("RGB", size)
    draw = ImageDraw.Draw(canvas)
    mark = hashlib.sha256(f"{prompt}|{seed}".encode()).digest()
    for index, byte in enumerate(mark[:8]):
        colour = (byte, mark[index + 8], mark[index + 16])
        draw.rectangle((index * 8, size[1] - 8, index * 8 + 7, size[1] - 1), fill=colour)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def size_of(data: bytes | str) -> tuple[int, int]:
    """Return (width, height) of an input in pixels; 512 x 512 for a URL."""
    if isinstance(data, str):
        return 512, 512
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def _layer(data: bytes | str, size: tuple[int, int]) -> Image.Image:
    if isinstance(data, str):
        digest = hashlib.sha256(data.encode()).digest()
        return Image.new("RGB", size, (digest[0], digest[1], digest[2]))
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").resize(size)
