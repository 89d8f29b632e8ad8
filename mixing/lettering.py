"""Lines of text on a picture: choosing a font that has the letters, and breaking lines."""

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
"""Tried, in the folders where Pillow looks for fonts, if its built-in font lacks a letter: it has little more than
ASCII."""

_CLOSING = ("Pe", "Pf", "Po")
_OPENING = ("Ps", "Pi")
"""Unicode's categories of punctuation that must not begin a line, and that must not end one."""


def wrapped(text: str, font: Font, width: int, most: int) -> list[str]:
    """Break `text` into at most `most` lines of at most `width` pixels, at spaces and between wide letters.

    A word that is longer than a line is broken where the line is full. Text that does not fit ends in an ellipsis.
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


def _breaks(text: str, index: int) -> bool:
    """Say whether a line may end before text[index].

    It may after a space and next to a wide letter, such as a Chinese one, but not before closing punctuation or after
    opening punctuation.
    """
    before, after = text[index - 1], text[index : index + 1]
    if before == " ":
        return True
    if not after or unicodedata.category(after) in _CLOSING or unicodedata.category(before) in _OPENING:
        return False
    return any(unicodedata.east_asian_width(letter) in "WF" for letter in (before, after))


def _fitting(text: str, end: str, font: Font, width: int) -> int:
    """Count the characters of `text`, at least 1, that fit into `width` pixels followed by `end`."""
    counts = range(1, len(text) + 1)
    return max(1, bisect_right(counts, float(width), key=lambda count: float(font.getlength(text[:count] + end))))


def font_for(size: int, text: str) -> Font:
    """Return Pillow's built-in font or, if it lacks letters of `text`, the font that lacks the fewest."""
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
    """Count the letters that the font draws like U+10FFFF, which is not a character and therefore not in any font."""
    unknown = bytes(font.getmask("\U0010ffff"))
    return sum(bytes(font.getmask(letter)) == unknown for letter in letters)
