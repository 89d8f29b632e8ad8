"""A check of the tree's English: the texts of sources and pages, and the turns of phrase that they avoid."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOT_PRODUCT = {"tests", "shared", "custom_nodes", "node_modules", "build", "dist"}

_ONE = r"one|two|three|four|five|several|\d[\d.,]*(?: ?(?:k|M|G)?[bB]| ?m?s| ?px)?"
_THINGS = (
    r"images?|pictures?|samples?|rows?|columns?|bytes?|bits?|weights?|generators?|seconds?|numbers?|tokens?|slots?|jobs?|"
    r"calls?|requests?|lines?|captions?|vectors?|sockets?|masks?|prompts?|steps?|seeds?|pixels?|megapixels?|levels?|files?|"
    r"threads?|tiles?|entries|entry|copies|copy|dollars?|cents?"
)
_UNITS = (
    r"variant|item|job|image|picture|row|minute|hour|day|week|month|run|step|ingredient|batch|process|slot|file|line|"
    r"socket|sample|channel|node|side|page|model|method|cell|column|pixel|layer|head|token|release|version|request|"
    r"second(?= (?:at|for|on|and|or|in|is|are|to|of|per|each)\b| ?[.,:;)\]]|$)|call|queue|thread|endpoint|workflow"
)

_NOT_ASKED = r"(?<!how many )(?<!how much )(?<!which )(?<!what )"
_NO_CLAUSE = (
    r"(?! (?:of|has|have|had|takes?|needs?|would|will|can|may|is|was|are|were|gets|gives|makes|uses|used|really)\b)"
)
"""A clause that leaves out "that": "how many jobs a run pays for", "the weight an image has", not "one weight an image"."""


@dataclass(frozen=True)
class Rule:
    """A turn of phrase to avoid, and what to say in its place. `kinds` are the kinds of text that it is looked for in."""

    name: str
    pattern: re.Pattern[str]
    instead: str
    kinds: frozenset[str] = frozenset({"docstring", "comment", "string", "page"})


def _rule(name: str, pattern: str, instead: str, *kinds: str) -> Rule:
    return Rule(name, re.compile(pattern), instead, frozenset(kinds) or Rule.kinds)


RULES = (
    _rule("per", rf"(?i){_NOT_ASKED}\b(?:{_ONE}|{_THINGS}) an? (?:{_UNITS})\b(?!-){_NO_CLAUSE}", "one seed per image"),
    _rule("each", rf"(?i)\b(?:an?|the) \w+ (?:{_UNITS}) each\b|, an? (?:{_UNITS}|{_THINGS}) each\b", "one per image"),
    _rule("none of", r"\b(?:is|are|was|were|be) none of\b", "is not a"),
    _rule(
        "is no",
        r"(?<!\bthere )(?<!\bThere )\b(?:is|are|was|were|be) no (?!longer|more|less|one\b|matter|use\b|[a-z]+er\b)",
        "is not a",
    ),
    _rule("has none", r"\b(?:has|have|had) (?:none\b|no [\w-]+(?: [\w-]+)? of (?:its|their) own\b)", "does not have"),
    _rule("has not", r"\b(?:has|have) not(?=[.,;:)]|$| (?:an?|the|one|any|its)\b)", "does not have"),
    _rule("mannered", r"(?i)\bby way of\b|\bsuch that nobody\b", "by, so that"),
    _rule("said of", r"\b(?:is|are|was|were) (?:said|told|asked) of\b|\bto be said of\b", "name who says what"),
    _rule("tells of", r"\b(?:tells?|told|hears?|heard) of\b|\bhears\b", "reports, receives"),
    _rule("inverted", r"(?:^|[.:] )(?:Asked|Told|Said|Kept|Sent|Meant|Wanted|Left out) (?:is|are) ", "subject first"),
    _rule("doubled", r"\b(?:what comes )?(first|last|then) \1\b", "in order"),
    _rule("where", r"\b(?:None|0|1|empty|nothing|True|False|zero|raises? \w+|Raises? \w+) where\b", "if"),
    _rule(
        "behind",
        r"(?<!stands )\bbehind (?:its|their|his|those|each|it\b|them\b|the (?:other|last|first|number|name|text|title)s?\b)",
        "after",
    ),
    _rule("alone", r"\b(?:takes?|reads?|holds?|accepts?) (?:(?:an?|the|its|their) )?[\w-]+ alone\b", "only"),
    _rule("what it is", r"\bwhat (?:it|there) is (?:said|to say|to be said)\b", "name it"),
    _rule(
        "imperative",
        r"^(?:Returns|Gives|Makes|Reads|Writes|Runs|Checks|Raises|Waits|Sends|Loads|Saves|Looks|Has|Leaves|Takes|Tells|"
        r"Shows|Keeps|Puts|Adds|Builds|Starts|Stops|Opens|Closes|Asks|Finds|Turns|Draws|Prints|Removes|Sets|Answers|"
        r"Forgets|Cuts|Calls|Copies|Counts|Does|Ends|Gets|Goes|Holds|Joins|Lets|Moves|Says|Uses|"
        r"What|Whether|How|Where|Which|Asked|Done)\b",
        "'Return ...', 'Say whether ...', 'Read ...'",
        "function",
    ),
)


@dataclass(frozen=True)
class Text:
    """One text of a file: its line, its kind (docstring, function, comment, string or page), and its words on one line.

    The docstring of a function that is not a property comes twice, as "docstring" and as "function".
    """

    line: int
    kind: str
    words: str


def files(root: Path) -> list[Path]:
    """The sources and the English pages of the product, its tools, its training and its benchmarks."""
    found = [path for path in root.iterdir() if path.is_file()]
    for folder in root.iterdir():
        if folder.is_dir() and folder.name not in NOT_PRODUCT and not folder.name.startswith("."):
            found += folder.rglob("*")
    kept = (".py", ".md", ".js", ".mjs")
    return sorted(path for path in found if path.suffix in kept and path.is_file() and "__pycache__" not in path.parts)


def texts(path: Path) -> Iterator[Text]:
    """Every text of a file that a person reads."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _python(source)
    elif path.suffix == ".md":
        yield from _page(source)
    else:
        yield from _script(source)


def hits(text: Text) -> Iterator[tuple[Rule, str]]:
    """Each rule that a text breaks, with the words around."""
    for rule in RULES:
        if text.kind in rule.kinds:
            for match in rule.pattern.finditer(text.words):
                yield rule, text.words[max(0, match.start() - 30) : match.end() + 30]


def _python(source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for index, statement in enumerate(body if isinstance(body, list) else ()):
            if isinstance(statement, ast.Expr) and _is_text(statement.value):
                docstrings.add(id(statement.value))
                words = _words(statement.value)
                yield Text(statement.lineno, "docstring", words)
                if index == 0 and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_property(node):
                    yield Text(statement.lineno, "function", words)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    inner -= {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) or (_is_text(node) and id(node) not in docstrings | inner):
            words = _words(node)
            if words.count(" ") >= 2:
                yield Text(node.lineno, "string", words)
    yield from _comments(source)


def _is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(one) for one in function.decorator_list)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _words(node: ast.AST) -> str:
    """The text of a string, with X for each value of an f-string."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    values = (part.value if isinstance(part, ast.Constant) else "X" for part in parts)
    return " ".join("".join(str(value) for value in values).split())


def _comments(source: str) -> Iterator[Text]:
    """The comments; lines that follow each other are one text."""
    first, last, words = 0, -1, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, said = token.start[0], token.string.lstrip("# ").strip()
            if line == last + 1:
                words, last = f"{words} {said}", line
                continue
            if words:
                yield Text(first, "comment", words)
            first = last = line
            words = said
    if words:
        yield Text(first, "comment", words)


def _page(source: str) -> Iterator[Text]:
    """The paragraphs, list items and lines of tables of a Markdown page, without code blocks."""
    first, words, fenced = 0, "", False
    for number, line in enumerate([*source.splitlines(), ""], 1):
        said = line.strip()
        if said.startswith("```"):
            fenced = not fenced
        begins = re.match(r"(?:[-*|#>]|\d+\.) ?", said)
        if (not said or begins or fenced or said.startswith("```")) and words:
            yield Text(first, "page", words.replace("`", ""))
            words = ""
        if said and not fenced and not said.startswith("```"):
            plain = re.sub(r"^\d+\. ", "", said)
            first, words = (first, f"{words} {plain}") if words else (number, plain)


def _script(source: str) -> Iterator[Text]:
    """The comments and texts of a script, a line each: code seldom reads like a sentence."""
    for number, line in enumerate(source.splitlines(), 1):
        said = line.strip()
        for part in re.findall(r"//(.*)$|^\*(.*)$|/\*(.*)|'([^']*)'|\"([^\"]*)\"|`([^`]*)`", said):
            words = " ".join(" ".join(part).split())
            if words.count(" ") >= 2:
                yield Text(number, "comment", words)
