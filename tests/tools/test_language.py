"""Texts are in plain English: no docstring, comment, message or page uses the turns that made readers stop.

CONTRIBUTING.md has the rules. This test knows only those that a pattern can tell.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("mixing", "network", "wire", "remote", "local", "server", "nodes", "tools", "training", "benchmarks")
"""The rooms whose sources are read."""

PAGES = ("*.md", "docs/*.md", "web/docs/*.md", "local/demo_model/*.md", "web/*.js", "web/lib/*.mjs", "locales/en/*.json")
"""What else is read: pages, scripts (.js, .mjs) and locales (.json)."""

_MEASURED = (
    r"images?|pictures?|numbers?|weights?|rows?|columns?|lines?|jobs?|tokens?|samples?|seeds?|generators?|vectors?|threads?"
    r"|bytes|megabytes|requests?|frames?|calls?|steps?|entr(?:y|ies)|files?|folders?|dots?|patch(?:es)?|times|once|twice"
    r"|one|softmax|embeddings?|sockets?|attentions?|\d+"
)
_UNIT = (
    r"variant|ingredient|socket|image|picture|item|sample|batch|row|step|second|minute|hour|day|month|job|queue|run|node|slot"
    r"|layer|side|factor|word|value|head|host|process|page|version|prompt|endpoint|account|forward|attempt|method|kind"
)
TURNS = {
    "per, not a": rf"\b(?:{_MEASURED}) an? (?:{_UNIT})\b"
    r"(?! (?:has|is|was|of|that|in|with|for|at|would|can|could|may|must|will|needs?|makes?|gives?|used|really|pays?|does)\b)",
    "is not a, not is no": r"\b(?:is|are|was|be) none of\b"
    r"|(?<!there )\b(?:is|was) no (?!longer|more|other|different|matter|way|need)[a-z]",
    "does not have, not has not": r"\b(?:has|have) not (?:a|the|one|any|its)\b"
    r"|\bhas no \w+ of its own\b",
    "if, not where": r"\b(?:None|False|True|empty|raises? \w+(?: \(\"[\w ]+\"\))?) where\b|\b[01] where (?:it|one|none|there)\b",
    "after, not behind": r"\bbehind (?:its|those|the other|the others|each|every|it|them)\b",
    "mannered": r"\bwhat is said of\b|\bwhat comes first first\b|\bhears\b|\btakes a link alone\b|\bby way of\b"
    r"|\bsuch that nobody\b",
}


def texts_of_code(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every comment and every text of a Python file, with its line."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def texts_of_page(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every line of a Markdown page, or the comments and texts of a script."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if path.suffix == ".md":
            yield number, line
        else:
            yield from ((number, text) for text in re.findall(r"//.*|/?\*.*|'[^']*'|`[^`]*`", line))


def texts_of_locale(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every text of a locale."""

    def leaves(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for part in value.values():
                yield from leaves(part)
        elif isinstance(value, str):
            yield value

    yield from ((0, text) for text in leaves(json.loads(path.read_text(encoding="utf-8"))))


def files() -> list[Path]:
    """Return every file whose texts people read."""
    found = [path for room in CODE for path in (ROOT / room).rglob("*.py")]
    found += [path for pattern in PAGES for path in ROOT.glob(pattern)]
    return sorted(path for path in found if path.name != "CONTRIBUTING.md")  # which quotes the turns


@pytest.mark.parametrize("path", [path.relative_to(ROOT).as_posix() for path in files()])
def test_texts_are_plain(path: str) -> None:
    read = {".py": texts_of_code, ".json": texts_of_locale}.get(Path(path).suffix, texts_of_page)
    found = [
        f"{path}:{line}: {rule}: {match[0]!r} in {' '.join(text.split())[:160]!r}"
        for line, text in read(ROOT / path)
        for rule, pattern in TURNS.items()
        for match in re.finditer(pattern, " ".join(text.split()), re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("per, not a", "one generator an item"),
        ("per, not a", "Images a variant, 1 to 64"),
        ("per, not a", "16 jobs a queue and 200 a day"),
        ("is not a, not is no", "What is set as X is no key"),
        ("is not a, not is no", "The method is none of this node's"),
        ("does not have, not has not", "The vectors have not the needed numbers."),
        ("if, not where", "1 where it has none"),
        ("if, not where", "None where the file is absent"),
        ("if, not where", "Raises InputError where the span is empty"),
        ("after, not behind", "the mix with this image behind its others"),
        ("mannered", "It hears a job's step"),
    ],
)
def test_the_patterns_find_what_they_are_for(rule: str, text: str) -> None:
    assert re.search(TURNS[rule], text, re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    ["It makes a picture.", "one generator per item", "there is no longer a key", "behind a proxy", "It is not a key."],
)
def test_the_patterns_leave_plain_english_alone(text: str) -> None:
    assert not any(re.search(pattern, text, re.IGNORECASE) for pattern in TURNS.values())
