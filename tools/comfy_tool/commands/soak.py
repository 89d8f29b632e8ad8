"""Record a soak run in benchmarks/RESULTS.md."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ..console import elapsed
from ..paths import ROOT

HEADING = "## Soak"


class Ran(Protocol):
    """What is recorded about one run."""

    @property
    def name(self) -> str: ...
    @property
    def passed(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def problem(self) -> str: ...
    @property
    def noted(self) -> Sequence[str]: ...


def write_results(outcomes: Sequence[Ran], file: Path) -> None:
    """Replace the section about the last soak run in a Markdown file, or add one."""
    old = file.read_text(encoding="utf-8") if file.is_file() else "# Results\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(replace_section(old, HEADING, section(outcomes)), encoding="utf-8", newline="\n")


def section(outcomes: Sequence[Ran]) -> str:
    """Return the section: what ran on which machine, and the outcomes."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    rows = []
    for one in outcomes:
        counts = f"{one.passed} | {one.failed} | {one.skipped}"
        rows.append(f"| {one.name} | {counts} | {elapsed(one.seconds)} | {one.problem or 'passed'} |")
    noted = [f"- {one.name}, {line}" for one in outcomes for line in one.noted]
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return "\n".join(
        [
            HEADING,
            "",
            f"{date}, commit {commit()}, on {machine}; `tools/comfy.py test --tier soak`.",
            "",
            "| run | passed | failed | skipped | time | outcome |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            *([*noted, ""] if noted else []),
        ]
    )


def replace_section(text: str, heading: str, content: str) -> str:
    """Return `text` with the section under `heading`, up to the next heading of its level, replaced or added."""
    lines = text.rstrip("\n").split("\n")
    try:
        first = lines.index(heading)
    except ValueError:
        return "\n".join(lines) + "\n\n" + content
    last = next((i for i in range(first + 1, len(lines)) if lines[i].startswith(("# ", "## "))), len(lines))
    after = "\n".join(lines[last:])
    return "\n".join(lines[:first]) + "\n" + content + (f"\n{after}\n" if after else "")


def commit() -> str:
    """Return the short name of the commit that was tested, marked if there are changes; `unknown` without git."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return asked.stdout.strip() or "unknown"
