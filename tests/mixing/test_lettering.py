"""Lines of text: where they break, and the font that has their letters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing import lettering
from image_mixer.mixing.lettering import wrapped
from PIL import ImageFont


class Columns:
    """A font of a terminal: each letter is a column wide, a Chinese one two."""

    def getlength(self, text: str) -> float:
        """The width in columns."""
        return float(sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text))


def test_a_text_takes_so_many_lines_at_most_and_ends_in_an_ellipsis() -> None:
    font = ImageFont.load_default(10)
    lines = wrapped("several words that will not all fit here", font, 64, 2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert "several words that will not all fit here".startswith(" ".join(lines)[:-1])
    assert all(font.getlength(line) <= 64 for line in lines)
    assert wrapped("two words", font, 40, 2) == ["two", "words"]
    assert wrapped("two words", font, 64, 2) == ["two words"]


@given(st.text(), st.integers(64, 200))
def test_lines_fit_and_lose_nothing_but_the_end(text: str, width: int) -> None:
    font = ImageFont.load_default(10)
    text = " ".join(text.split())
    lines = wrapped(text, font, width, 2)
    assert len(lines) <= 2
    assert all(font.getlength(line) <= width for line in lines)
    kept = "".join("".join(lines).split())
    whole = "".join(text.split())
    assert kept == whole or (kept.endswith("…") and whole.startswith(kept[:-1]))


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("\u4e00\u4e8c\u4e09\u56db\u4e94\u516d", 4, ["\u4e00\u4e8c\u4e09\u56db", "\u4e94\u516d"]),
        ("\u4e00\u4e8c\u4e09\u56db\uff0c\u4e94\u516d", 4, ["\u4e00\u4e8c\u4e09", "\u56db\uff0c\u4e94\u516d"]),
        ("\u4e00\u4e8c\u4e09\uff08\u56db\uff09\u4e94", 4, ["\u4e00\u4e8c\u4e09", "\uff08\u56db\uff09\u4e94"]),
        ("\u4e00\u4e8c word \u4e09\u56db", 4, ["\u4e00\u4e8c", "word \u4e09", "\u56db"]),
        ("\u4e00\u4e8c abc\u4e09\u56db", 4, ["\u4e00\u4e8c abc", "\u4e09\u56db"]),
        ("wordword", 2, ["word", "word"]),
    ],
)
def test_wide_letters_break_anywhere_but_before_closing_and_after_opening_punctuation(
    text: str, columns: int, lines: list[str]
) -> None:
    assert wrapped(text, Columns(), columns * 2, 9) == lines  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("missing", "taken", "asked_for"),
    [
        ({"built in": 3, "b.ttf": 1, "c.ttf": 0}, "c.ttf", ["a.ttf", "b.ttf", "c.ttf"]),
        ({"built in": 3, "b.ttf": 1, "c.ttf": 2, "d.ttf": 1}, "b.ttf", ["a.ttf", "b.ttf", "c.ttf", "d.ttf"]),
        ({"built in": 3, "b.ttf": 3, "c.ttf": 3, "d.ttf": 4}, "built in", ["a.ttf", "b.ttf", "c.ttf", "d.ttf"]),
        ({"built in": 0}, "built in", []),
    ],
)
def test_the_font_with_fewest_missing_letters_is_taken(
    missing: dict[str, int], taken: str, asked_for: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def truetype(name: str, size: int) -> str:
        asked.append(name)
        if name == "a.ttf":
            raise OSError("no such font")
        return name

    monkeypatch.setattr(lettering, "SYSTEM_FONTS", ("a.ttf", "b.ttf", "c.ttf", "d.ttf"))
    monkeypatch.setattr(lettering, "_lacking", lambda font, letters: missing[font])
    monkeypatch.setattr(ImageFont, "load_default", lambda size: "built in")
    monkeypatch.setattr(ImageFont, "truetype", truetype)
    assert (lettering.font_for(16, "x"), asked) == (taken, asked_for)


def test_missing_letters_are_counted() -> None:
    font = ImageFont.load_default(16)
    assert lettering._lacking(font, set("0.5, seed·…")) == 0
    assert lettering._lacking(font, {"a", "\u4e2d", "\u03a9"}) == 2
