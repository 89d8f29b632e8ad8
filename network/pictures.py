"""Recognise pictures by their first bytes, never by a header of the answer."""

from __future__ import annotations

import base64
import binascii
import struct
from urllib.parse import unquote_to_bytes

from ..mixing.errors import ImageError

MAX_PIXELS = 64_000_000
_TEXT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n")


def picture_bytes(body: bytes, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return the picture in `body`, which may also be base64 text or a data URI of one.

    Raise ImageError if it is not a picture, or if its header states more than `max_pixels` pixels.
    """
    data = body if is_picture(body) else _from_text(body)
    if not is_picture(data):
        raise ImageError("The download is not a PNG, JPEG, WebP or GIF.")
    stated = stated_size(data)
    if stated is not None and stated[0] * stated[1] > max_pixels:
        raise ImageError(f"The download states {stated[0]} x {stated[1]} pixels, over {max_pixels // 10**6} million.")
    return data


def is_picture(data: bytes) -> bool:
    """Return whether the first bytes are those of a PNG, JPEG, GIF or WebP."""
    if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")):
        return True
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels from the header of a PNG, GIF or JPEG, or None if it does not state them."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            width, height = struct.unpack(">II", data[16:24])
            return width, height
        if data[:3] == b"GIF":
            width, height = struct.unpack("<HH", data[6:10])
            return width, height
        return _jpeg_size(data) if data[:2] == b"\xff\xd8" else None
    except struct.error:
        return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return None


def _from_text(body: bytes) -> bytes:
    text = body.strip()
    if text[:5].lower() == b"data:":
        text = unquote_to_bytes(text.partition(b",")[2])
    if not text or not _TEXT.issuperset(text[:4096]):
        return b""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
