"""`bench`: the figures of benchmarks/NAME.py, measured in the sandbox, beside what they should be.

The contract: the script prints what it likes, and as the last line of its standard output one JSON object, figure
name to {"value": number, "aim": text or null, "unit": text}. An aim is text such as "<= 1.02" or ">= 0.9"; null
where there is none. The script exits with 0, whatever the figures are. It may import what lies beside it.
"""

from __future__ import annotations

import argparse
import json
import operator
import re
import subprocess
from typing import Any

from ..console import printable, say
from ..errors import ToolError, UsageError
from ..install.sandbox import Builder
from ..paths import ROOT
from .sandboxed import sandbox_environment

FOLDER = ROOT / "benchmarks"
_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq}


def command(options: argparse.Namespace) -> int:
    """Run one benchmark; its exit code is 0 even where an aim is missed, since a figure is no test."""
    names = available()
    if options.name not in names:
        listed = ", ".join(names) or "none yet"
        raise UsageError(f"benchmarks: {listed}" if not options.name else f"no benchmark {options.name!r}: {listed}")
    figures = measure(options.name)
    if options.json:
        print(json.dumps(figures))
    else:
        print(printable(table(figures)))
    return 0


def available() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def measure(name: str) -> dict[str, dict[str, Any]]:
    """Run a script in the sandbox's Python; what it prints before its figures goes to standard error."""
    sandbox = Builder().sandbox()
    # Not in the root: its folder `nodes` would hide ComfyUI's module from processes that the script starts.
    command = [str(sandbox.python), str(FOLDER / f"{name}.py")]
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env=sandbox_environment(sandbox),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    lines = done.stdout.rstrip().splitlines()
    for line in lines[:-1]:
        say(line)
    if done.returncode != 0:
        raise ToolError(f"benchmarks/{name}.py ended with exit code {done.returncode}: see its output above")
    return figures_of(lines[-1] if lines else "", name)


def figures_of(line: str, name: str) -> dict[str, dict[str, Any]]:
    """The figures in a script's last line. Raises ToolError when they do not follow the contract."""
    try:
        figures = json.loads(line)
    except ValueError:
        figures = None
    if not isinstance(figures, dict) or not figures:
        raise ToolError(f"benchmarks/{name}.py did not end with a JSON object of figures, but with {line[:80]!r}")
    for figure, facts in figures.items():
        if not isinstance(facts, dict) or set(facts) != {"value", "aim", "unit"}:
            raise ToolError(f"benchmarks/{name}.py, figure {figure}: it needs exactly value, aim and unit")
    return figures


def verdict(value: object, aim: object) -> str:
    """`met` or `missed`, or nothing where there is no aim to compare with."""
    match = re.fullmatch(r"(<=|>=|<|>|=)\s*(-?[0-9.]+(?:e-?[0-9]+)?)", str(aim).strip())
    if not match or not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    return "met" if _COMPARE[match[1]](value, float(match[2])) else "missed"


def table(figures: dict[str, dict[str, Any]]) -> str:
    """The figures for a person, one a line."""
    rows = [("figure", "value", "aim", "")]
    for name, facts in figures.items():
        value = facts["value"]
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        aim = "" if facts["aim"] is None else str(facts["aim"])
        rows.append((name, f"{shown} {facts['unit']}".strip(), aim, verdict(value, aim)))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
