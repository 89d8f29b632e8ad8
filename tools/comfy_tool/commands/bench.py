"""`bench`: measure the figures of benchmarks/NAME.py in ComfyUI's Python, and compare them with their aims.

What a script must do: print one JSON object as the last line of its standard output, figure name to {"value": number,
"aim": text or null, "unit": text}, and exit with 0 whatever the figures are. An aim is text such as "<= 1.02" or
">= 0.9", null if there is none. The script may print anything before that line, and import its neighbours.
With --quick it measures every figure at its smallest size, without aims, to show that it still works.
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
from ..install.installs import COMFYUI_VARIABLE, Install, find_install
from ..paths import ROOT
from .libraries import announce

FOLDER = ROOT / "benchmarks"
_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq}


def command(options: argparse.Namespace) -> int:
    """Run one benchmark. The exit code is 0 even if an aim is missed, since a figure is not a test."""
    names = available()
    if options.name not in names:
        listed = ", ".join(names) or "none yet"
        raise UsageError(f"benchmarks: {listed}" if not options.name else f"no benchmark {options.name!r}: {listed}")
    install = find_install(options.comfyui, options.python, options.version)
    announce(install)
    figures = measure(options.name, install, options.quick)
    if options.json:
        print(json.dumps(figures))
    else:
        print(printable(table(figures)))
    return 0


def available() -> list[str]:
    """Return the names of all benchmarks."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def command_of(name: str, quick: bool = False) -> list[str]:
    """Return Python's arguments for a benchmark."""
    return [str(FOLDER / f"{name}.py"), *(["--quick"] if quick else [])]


def measure(name: str, install: Install, quick: bool = False) -> dict[str, dict[str, Any]]:
    """Run a script in ComfyUI's Python and return its figures. What it prints before them goes to standard error."""
    # Not in the pack's root: its folder `nodes` would hide ComfyUI's module from processes that the script starts.
    command = [str(install.python), *command_of(name, quick)]
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env={**install.environment(), COMFYUI_VARIABLE: str(install.comfyui), "PYTHONPATH": str(install.comfyui)},
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
    """Return the figures in a script's last line. Raises ToolError if it has the wrong form."""
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
    """Return `met` or `missed`, "" if there is no aim to compare with."""
    match = re.fullmatch(r"(<=|>=|<|>|=)\s*(-?[0-9.]+(?:e-?[0-9]+)?)", str(aim).strip())
    if not match or not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    return "met" if _COMPARE[match[1]](value, float(match[2])) else "missed"


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Return the figures as a table, one line per figure."""
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
