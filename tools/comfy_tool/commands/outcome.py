"""The outcome of test runs, read from the XML reports that pytest writes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..console import elapsed


@dataclass(frozen=True)
class Outcome:
    """The outcome of one tier, or of a part of it. `problem` is one line, empty if all passed.

    `noted` are the figures that tests recorded as properties, such as "test_x: unknown 2".
    """

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    problem: str = ""
    noted: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all passed."""
        return not self.problem

    def line(self) -> str:
        """Return the summary line."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped in {elapsed(self.seconds)}"
        return f"tier {self.name}: {'passed' if self.ok else 'FAILED'} ({counts}){self.problem and ': ' + self.problem}"


def joined(outcomes: Sequence[Outcome], names: Sequence[str]) -> list[Outcome]:
    """Return one outcome per name from those of its parts: counts and seconds added up, problems one after the other."""
    made = []
    for name in names:
        parts = [one for one in outcomes if one.name == name]
        passed, failed, skipped = (sum(getattr(one, key) for one in parts) for key in ("passed", "failed", "skipped"))
        problem = "; ".join(one.problem for one in parts if one.problem)
        noted = tuple(line for one in parts for line in one.noted)
        made.append(Outcome(name, passed, failed, skipped, sum(one.seconds for one in parts), problem, noted))
    return made


def counts_of(report: Path) -> tuple[int, int, int]:
    """Return (passed, failed, skipped) of a JUnit report; zeros if the file does not exist."""
    try:
        suites = ElementTree.parse(report).getroot().iter("testsuite")
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    passed = failed = skipped = 0
    for suite in suites:
        total, bad, left = (int(suite.get(key, "0")) for key in ("tests", "failures", "skipped"))
        bad += int(suite.get("errors", "0"))
        passed, failed, skipped = passed + total - bad - left, failed + bad, skipped + left
    return passed, failed, skipped


def noted_in(report: Path) -> tuple[str, ...]:
    """Return the properties that tests recorded in a JUnit report, each with its test's name."""
    try:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return ()
    return tuple(
        f"{case.get('name')}: {one.get('name')} {one.get('value')}" for case in cases for one in case.iter("property")
    )
