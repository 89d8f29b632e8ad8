"""`jobs`: sum up a server's journal: what was paid and delivered, what is missing or unknown. The server may be running."""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import pack
from ..console import printable, say
from ..errors import ToolError, UsageError
from ..install.installs import COMFYUI_VARIABLE
from ..paths import ROOT

if TYPE_CHECKING:
    from remote.store.ledger import Entry, Group, Sums

JOURNAL = Path("__image_mixer") / "journal.sqlite"
BYS = ("month", "run", "endpoint")
COLUMNS = (
    "time",
    "endpoint",
    "run",
    "take",
    "attempt",
    "sent_again",
    "state",
    "service_id",
    "images_wanted",
    "images_delivered",
    "seed",
    "seconds",
    "reason",
    "identity",
)
HEAD = ("begun", "paid jobs", "images", "delivered", "missing", "may be paid")
LONGEST_NAME = 40
FORMULA = ("=", "+", "-", "@")
"""A spreadsheet would run a cell that begins with one of these."""


def command(options: argparse.Namespace) -> int:
    """Read the journal, print its sums, and write the attempts to a file if --export names one."""
    ledger = pack.module("remote.store.ledger")
    export = _export_path(options.export) if options.export else None
    path = find_journal(options)
    say(f"Reading {path}")
    try:
        entries: list[Entry] = list(ledger.entries_of(path))
    except pack.module("remote.errors").StoreError as error:
        raise ToolError(str(error)) from error
    if options.month:
        entries = [entry for entry in entries if entry.month == options.month]
    groups, total, advice = ledger.grouped(entries, options.by), ledger.sums_of(entries), ledger.advice(entries)
    if export:
        _write(export, entries)
        say(f"Wrote {len(entries)} attempts to {export}")
    if options.json:
        facts = {
            "journal": str(path),
            "by": options.by,
            "month": options.month,
            "groups": [_facts(one) for one in groups],
            "total": _counts(total),
            "advice": advice,
        }
        print(json.dumps(facts))
    else:
        print(printable(table(groups, total, options.by)))
        if advice:
            print(advice)
    return 0


def month(text: str) -> str:
    """Check a month for --month, such as "2026-11", and return it."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise argparse.ArgumentTypeError(f"a month is written like 2026-11, not {text!r}")
    return text


def find_journal(options: argparse.Namespace) -> Path:
    """Return the journal in the folder that the options name: the user directory, the base directory, or ComfyUI's own.

    Without these options, return the first that exists of those in COMFYUI_PATH and in the ComfyUI that this pack lies
    in, and print the other one. Raises ToolError if there is none.
    """
    if options.user_directory:
        return _journal_in(options.user_directory)
    if options.base or options.comfyui:
        return _journal_in((options.base or options.comfyui) / "user")
    folders = [Path(os.environ[COMFYUI_VARIABLE])] if os.environ.get(COMFYUI_VARIABLE) else []
    folders += [ROOT.parent.parent] if ROOT.parent.name == "custom_nodes" else []
    found = list(dict.fromkeys(path for path in (_journal_in(one / "user") for one in folders) if path.exists()))
    if not found:
        raise ToolError(
            "no journal was found: name your ComfyUI with --comfyui, or the folders that it was started with: --base for its "
            "--base-directory, --user-directory for its --user-directory"
        )
    for other in found[1:]:
        say(f"There is another one, which is not read: {other} (name its ComfyUI with --comfyui)")
    return found[0]


def table(groups: Sequence[Group], total: Sums, by: str) -> str:
    """Return the sums as a table: one line per group, and one for the total."""
    rows: list[tuple[str, ...]] = [(by, *HEAD)]
    for group in groups:
        rows.append((_shown(group.name), _time(group.since)[:16].replace("T", " "), *_cells(group.sums)))
    rows.append(("total", "", *_cells(total)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(left + right))
    return "\n".join(lines)


def _journal_in(user_directory: Path) -> Path:
    return (user_directory.expanduser() / JOURNAL).absolute()


def _shown(name: str) -> str:
    name = name or "?"
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _cells(sums: Sums) -> tuple[str, ...]:
    return tuple(map(str, (sums.paid, sums.images, sums.delivered, sums.missing, sums.unknown)))


def _counts(sums: Sums) -> dict[str, int]:
    return {
        "paid_jobs": sums.paid,
        "images": sums.images,
        "delivered": sums.delivered,
        "missing": sums.missing,
        "may_be_paid_jobs": sums.unknown,
    }


def _facts(group: Group) -> dict[str, Any]:
    return {"name": group.name, "begun": _time(group.since), **_counts(group.sums)}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _export_path(path: Path) -> Path:
    if path.suffix.lower() not in (".csv", ".json"):
        raise UsageError(f"--export {path}: name a file that ends in .csv or .json")
    return path


def _write(path: Path, entries: Sequence[Entry]) -> None:
    rows = [_row(entry) for entry in entries]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            if path.suffix.lower() == ".json":
                json.dump([dict(zip(COLUMNS, row, strict=True)) for row in rows], file, ensure_ascii=False, indent=1)
            else:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows([_plain(cell) for cell in row] for row in rows)
    except OSError as error:
        raise ToolError(f"{path} cannot be written: {error.strerror}") from error


def _row(entry: Entry) -> tuple[Any, ...]:
    return (
        _time(entry.reserved),
        entry.endpoint,
        entry.run,
        entry.take,
        entry.attempt,
        entry.resent,
        entry.state,
        entry.remote_id,
        entry.wanted,
        entry.delivered,
        entry.seed,
        None if entry.seconds is None else round(entry.seconds, 3),
        entry.reason,
        entry.identity,
    )


def _plain(cell: Any) -> Any:
    """Return a cell of a CSV file that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
