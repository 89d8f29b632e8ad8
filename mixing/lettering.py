"""Lines of text on a picture: the font that has the letters, and where a line breaks."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "arialuni.ttf",
    "msyh.ttc",
    "PingFang.ttc",
)
"""Looked up in Pillow's own places for fonts, where its built-in font, little more than ASCII, lacks a letter."""

_CLOSING = ("Pe", "Pf", "Po")
_OPENING = ("Ps", "Pi")
"""Unicode's categories of punctuation: at the end of a line, not at the beginning of the next, and the reverse."""


def wrapped(text: str, font: Font, width: int, most: int) -> list[str]:
    """`text` in at most `most` lines of at most `width` pixels, broken at spaces and between wide letters.

    A word that is too long for a line, or a line without such a place, is broken where it ends.
    """
    lines: list[str] = []
    while text:
        count = _fitting(text, "", font, width)
        if count < len(text) and len(lines) == most - 1:
            return [*lines, text[: _fitting(text, "…", font, width)].rstrip() + "…"]
        if count < len(text):
            count = next((k for k in range(count + (text[count] == " "), 0, -1) if _breaks(text, k)), count)
        lines.append(text[:count].rstrip())
        text = text[count:].lstrip()
    return lines


def _breaks(text: str, place: int) -> bool:
    """Whether a line may end before text[place]: after a space, and beside a wide letter such as a Chinese one, but
    neither before closing punctuation nor after an opening one."""
    before, after = text[place - 1], text[place : place + 1]
    if before == " ":
        return True
    if not after or unicodedata.category(after) in _CLOSING or unicodedata.category(before) in _OPENING:
        return False
    return any(unicodedata.east_asian_width(letter) in "WF" for letter in (before, after))


def _fitting(text: str, end: str, font: Font, width: int) -> int:
    """How many characters of `text`, at least 1, fit into `width` pixels with `end` behind them."""
    counts = range(1, len(text) + 1)
    return max(1, bisect_right(counts, float(width), key=lambda count: float(font.getlength(text[:count] + end))))


def font_for(size: int, text: str) -> Font:
    """Pillow's own font, or the system font that lacks fewest letters of `text` if Pillow's lacks any."""
    letters = {letter for letter in text if not letter.isspace()}
    best: Font = ImageFont.load_default(size)
    fewest = _lacking(best, letters)
    for name in SYSTEM_FONTS:
        if not fewest:
            break
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue
        lacking = _lacking(font, letters)
        if lacking < fewest:
            best, fewest = font, lacking
    return best


def _lacking(font: Font, letters: set[str]) -> int:
    """How many of `letters` the font draws as it draws U+10FFFF, which is no character and so in no font."""
    unknown = bytes(font.getmask("\U0010ffff"))
    return sum(bytes(font.getmask(letter)) == unknown for letter in letters)
