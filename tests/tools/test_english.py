"""The English of docstrings, comments, messages, tooltips and pages: plain, and none of the turns that make one stop."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from image_mixer.tests.tools.english import RULES, Text, files, hits, texts

ROOT = Path(__file__).resolve().parents[2]

ALLOWED: dict[str, str] = {'"is no", "is none of"': "CONTRIBUTING.md names the turns to avoid"}
"""Ordinary English that a rule matches, word for word as in a text, and why it is right."""


def broken(kind: str, words: str) -> list[str]:
    """The rules that a text breaks, by name."""
    return [rule.name for rule, _ in hits(Text(1, kind, words))]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("per", "Sampled with one generator an item."),
        ("per", "Images a variant; the report lists them."),
        ("per", "A number an image, separated by commas"),
        ("per", "one column a socket"),
        ("per", "PNG bytes, 8 bits a channel, with text"),
        ("per", "at most 500 bytes a second."),
        ("per", "It downloads 3.5 MB a second for minutes"),
        ("per", "Two jobs a minute at most"),
        ("per", "0.3 s an image"),
        ("per", "16 jobs a queue and 200 a day"),
        ("each", "The pictures to mix, a socket each."),
        ("each", "The seeds, a run each."),
        ("none of", "The method is none of this node's: choose one from its list."),
        ("is no", "What is set as X is no key."),
        ("is no", "Raises InputError on text that is no recipe"),
        ("is no", "These 9 bytes are no PNG picture."),
        ("has none", "`auto`, which has no inputs of its own"),
        ("has none", "1 where it has none"),
        ("has not", "The vectors have not the needed numbers."),
        ("has not", "a program that finds faces, which this pack has not."),
        ("said of", "what is said of it in the log"),
        ("said of", "Nothing to be said of the rest"),
        ("tells of", "The images that a report tells of."),
        ("tells of", "It hears what the service says"),
        ("inverted", "Asked is the service's own list."),
        ("inverted", "A run ends here. Kept are the pictures."),
        ("mannered", "By way of a proxy"),
        ("mannered", "Kept such that nobody reads it"),
        ("doubled", "The steps, what comes first first."),
        ("where", "None where the file is absent."),
        ("where", "Raises InputError where a row is short."),
        ("where", "It is 0 where nothing is known"),
        ("behind", "The mix with this image behind its others."),
        ("behind", "the ingredients come behind those of the mix"),
        ("alone", "The input takes a link alone."),
        ("alone", "v6 takes digits alone"),
        ("alone", "the workflow holds its name alone"),
    ],
)
def test_a_rule_finds(rule: str, words: str) -> None:
    assert rule in broken("string", words)


@pytest.mark.parametrize(
    "words",
    [
        "Sampled with one generator per item.",
        "Give each image a weight of its own.",
        "It shows the picture a second time.",
        "The job is sent a second time only if the list shows that it was not accepted.",
        "Once a day the journal is trimmed.",
        "There is no image in the mix.",
        "If there are no weights, the pad is used.",
        "It is no longer needed.",
        "A row is no longer than the first; it is no one's fault.",
        "None of these nodes needs a model.",
        "The service has not answered yet.",
        "Each node has its own seed.",
        "A server behind a proxy.",
        "The graph behind this sheet.",
        "The folder where the file lies.",
        "Say where the ingredient acts.",
        "The first image alone in a corner.",
        "The model takes text and images.",
        "A picture is made for each variant.",
        "How many jobs a queue would pay for.",
        "Which seed a run really used, and how much of its weight an image has.",
        "Give the image a batch of 9.",
        "rows of a matrix, images of a batch",
    ],
)
def test_ordinary_english_passes(words: str) -> None:
    assert broken("string", words) == []


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("Returns the rows.", False),
        ("Gives 0.", False),
        ("Makes a file.", False),
        ("Whether it is there.", False),
        ("What a job is told of.", False),
        ("Return the rows.", True),
        ("The rows of a matrix.", True),
        ("Looking at the first row.", True),
    ],
)
def test_docstrings_of_functions_are_imperative(words: str, right: bool) -> None:
    assert ("imperative" in broken("function", words)) == (not right)
    assert "imperative" not in broken("docstring", words)


def test_every_rule_has_an_example() -> None:
    marks = test_a_rule_finds.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {rule.name for rule in RULES} - {rule for rule, _ in marks} <= {"imperative", "what it is"}


PLANTED = {
    "module.py": '"""A row a variant, in a module."""\n',
    "function.py": 'def run() -> None:\n    """Run with one seed\n    an image."""\n',
    "value.py": 'LIMIT = 3\n"""Three jobs a minute."""\n',
    "comment.py": "x = 1  # eight bits\n# one line\n# a picture, over two lines\n",
    "message.py": 'raise ValueError(f"There are {1} weights "\n    "a variant: give one.")\n',
    "tooltip.py": 'Input("x", tooltip="How many: one "\n    "an image.")\n',
    "page.md": "# A page\n\nIt takes 3 s\na picture, as measured.\n\n- another\n",
    "script.mjs": "// one row a variant\nconst x = 'so'\n",
    "said.js": "t('a weight a picture here')\n",
}
CLEAN = {
    "code.md": "# A page\n\n```\none row a variant\n```\n",
    "property.py": 'class A:\n    @property\n    def b(self) -> int:\n        """Whether it is there."""\n',
    "short.py": "x = {'a variant': 1}\n",
    "tests/test_x.py": '"""One row a variant."""\n',
    ".hidden/x.py": '"""One row a variant."""\n',
    "picture.txt": "one row a variant\n",
}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_every_kind_of_text_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / "docs" / name
    file.parent.mkdir()
    file.write_text(PLANTED[name], encoding="utf-8")
    assert [rule.name for path in files(tmp_path) for text in texts(path) for rule, _ in hits(text)] == ["per"]


@pytest.mark.parametrize("name", sorted(CLEAN))
def test_nothing_else_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(CLEAN[name], encoding="utf-8")
    assert [text for path in files(tmp_path) for text in texts(path) if list(hits(text))] == []


def test_the_tree_is_read() -> None:
    read = {path.relative_to(ROOT).parts[0] for path in files(ROOT)}
    assert read >= {"README.md", "CHANGELOG.md", "__init__.py", "mixing", "nodes", "local", "wire", "network", "remote"}
    assert read >= {"server", "tools", "training", "benchmarks", "web", "docs"}


def test_every_exception_has_a_reason_and_is_needed() -> None:
    everything = [text.words for path in files(ROOT) for text in texts(path)] if ALLOWED else []
    for phrase, reason in ALLOWED.items():
        assert reason.strip(), phrase
        assert any(phrase in words for words in everything), f"{phrase!r} is not in the tree: remove the exception"


def test_the_tree_is_in_plain_english() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in files(ROOT):
        name = path.relative_to(ROOT).as_posix()
        for text in texts(path):
            for rule, excerpt in hits(text):
                if not any(phrase in excerpt for phrase in ALLOWED):
                    folder = name.split("/", 1)[0]
                    found[folder].append(f"{name}:{text.line}: {rule.name} (say: {rule.instead}): ...{excerpt}...")
    count = sum(map(len, found.values()))
    listed = "\n".join(f"\n{folder}: {len(lines)}\n" + "\n".join(lines) for folder, lines in sorted(found.items()))
    assert not found, f"{count} phrases to say plainly:\n{listed}"
