"""The messages that help pages quote are messages of the code: who looks one up by its words must find it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("mixing", "network", "wire", "remote", "local", "server", "nodes")
LEAST = 0.65
"""The share of a quote's words that one text of the code must have. Names and numbers are filled in at run time."""


def words(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Za-z_]{2,}", text)}


@cache
def texts_of_the_code() -> tuple[frozenset[str], ...]:
    """Return the words of every text of the code."""
    found = []
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.JoinedStr, ast.Constant)):
                parts = [
                    one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
                if parts:
                    found.append(frozenset(words(" ".join(parts))))
    return tuple(found)


def quotes() -> list[tuple[str, str]]:
    """Return the quoted messages of all help pages, each with its page."""
    found = []
    for page in sorted((ROOT / "web" / "docs").glob("*.md")):
        section = page.read_text(encoding="utf-8").partition("\n## Messages\n")[2]
        found += [(page.stem, quote) for quote in re.findall(r"^- \*(.+?)\*[ ,]", section, re.MULTILINE)]
    return found


def test_there_are_quotes() -> None:
    assert len(quotes()) > 60


@pytest.mark.parametrize(("page", "quote"), quotes())
def test_a_quoted_message_is_one_of_the_code(page: str, quote: str) -> None:
    pieces = [words(piece) for piece in quote.split("\u2026")]
    found = sum(max(len(piece & text) for text in texts_of_the_code()) for piece in pieces)
    assert found >= LEAST * sum(map(len, pieces)), quote
