"""The journal as an account book: what was paid, delivered, is missing or unknown. It reads a file and writes none.

A journal of any version is read as it lies, also while a server writes to it. What leaves this module holds no key, no
address and no prompt.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from ...wire.texts import harmless
from ..errors import StoreError
from .schema import VERSION

By = Literal["run", "month", "endpoint"]

PAID = ("accepted", "ready", "done", "failed")
"""States in which the service is known to have taken the job."""

OPEN = ("intent", "unknown")
"""States of a job that was sent, or may have been, and of which no answer is known: it may be paid for."""

HIDDEN = "***"
SHORT = 12
"""Characters of an identity that are shown."""

_ADDRESS = re.compile(r"\w+://\S+")
_LONG = re.compile(r"\S{24,}")
"""What may be a key in an odd spelling. Keys in a usual spelling were hidden before the reason was written down."""

_OLD = {"first": None, "attempt": 0, "resent": 0, "endpoint": "", "wanted": 1}
"""What stands for the columns that a journal of version 1 lacks."""

_SHARED = 16
"""So many characters in a row that are also in the prompt are taken for a part of it."""


@dataclass(frozen=True)
class Entry:
    """One attempt at a job.

    `reserved` is in seconds of the wall clock, `seconds` how long the service took, `wanted` and `delivered` count
    images; delivered are those whose bytes were stored. `identity` and `first`, that of the job's first attempt, are
    shortened. `endpoint` is the host for rows that version 0.1.0 wrote.
    """

    reserved: float
    endpoint: str
    run: str
    take: int
    attempt: int
    resent: bool
    state: str
    remote_id: str
    wanted: int
    delivered: int
    seed: int | None
    seconds: float | None
    reason: str
    identity: str
    first: str

    @property
    def paid(self) -> bool:
        """Whether the service took it."""
        return self.state in PAID

    @property
    def unknown(self) -> bool:
        """Whether it may be paid for."""
        return self.state in OPEN

    @property
    def missing(self) -> int:
        """Images that are paid for and were not delivered."""
        return max(0, self.wanted - self.delivered) if self.paid else 0

    @property
    def month(self) -> str:
        """The month of `reserved` in local time: "2026-11"."""
        return time.strftime("%Y-%m", time.localtime(self.reserved))


@dataclass(frozen=True)
class Sums:
    """`paid` and `unknown` count attempts, the others the images of those that are paid."""

    paid: int
    unknown: int
    images: int
    delivered: int
    missing: int


@dataclass(frozen=True)
class Group:
    """The sums of one run, month or endpoint. `since` is when its first attempt was reserved."""

    name: str
    since: float
    sums: Sums


def sums_of(entries: Iterable[Entry]) -> Sums:
    """What `entries` come to. Attempts that were only planned count for nothing."""
    listed = list(entries)
    paid = [entry for entry in listed if entry.paid]
    return Sums(
        len(paid),
        sum(entry.unknown for entry in listed),
        sum(entry.wanted for entry in paid),
        sum(entry.delivered for entry in paid),
        sum(entry.missing for entry in paid),
    )


def grouped(entries: Iterable[Entry], by: By) -> tuple[Group, ...]:
    """The sums by run, month or endpoint, in the order in which those began."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.reserved):
        groups.setdefault(getattr(entry, by), []).append(entry)
    return tuple(Group(name, members[0].reserved, sums_of(members)) for name, members in groups.items())


def advice(entries: Sequence[Entry]) -> str:
    """One line that says what to do about images that are missing and jobs that are unknown; "" if there are none.

    What another attempt at the same job delivered is not waited for any longer.
    """
    settled = {entry.first for entry in entries if entry.delivered >= entry.wanted}
    left = [entry for entry in entries if entry.first not in settled]
    missing, unknown = sum(entry.missing for entry in left), sum(entry.unknown for entry in left)
    parts = []
    if missing:
        parts.append(f"{missing} image{'s are' if missing > 1 else ' is'} paid for and not here")
    if unknown:
        parts.append(f"{unknown} job{'s' * (unknown > 1)} may be paid for")
    if not parts:
        return ""
    return (
        f"{' and '.join(parts)}: queue the graph again, which asks for what was paid and does not pay for it again. "
        "If it still does not come, raise pay_again of Image Mixer (Remote) by 1 to pay for another."
    )


def entries_of(path: Path) -> tuple[Entry, ...]:
    """All attempts in the journal at `path`, oldest first. Raises StoreError if it is missing or cannot be read."""
    with _read_only(path) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(f"{path.name} was written by a newer Image Mixer: update this one.")
        return tuple(_entry(path, row) for row in db.execute("SELECT * FROM jobs ORDER BY reserved, identity"))


@contextlib.contextmanager
def _read_only(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(_address(path), timeout=10.0, uri=True)) as db:
            db.row_factory = sqlite3.Row
            yield db
    except FileNotFoundError as error:
        raise StoreError(f"There is no journal at {path}.") from error
    except OSError as error:
        raise StoreError(f"The journal {path} cannot be read ({error.strerror}).") from error
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise StoreError(f"The journal {path} is locked by another program: try again.") from error
        raise StoreError(f"The journal {path} is damaged, or is not one ({error}).") from error


def _address(path: Path) -> str:
    """The URI that opens a file for reading alone.

    A journal in WAL mode that no program has open is read as it lies: SQLite would leave two more files beside it.
    """
    place = path.resolve().as_posix()
    uri = f"file://{'' if place.startswith('/') else '/'}{quote(place)}?mode=ro"
    with path.open("rb") as file:
        wal = file.read(20)[18:] == b"\x02\x02"
    return f"{uri}&immutable=1" if wal and not path.with_name(f"{path.name}-wal").exists() else uri


def _entry(path: Path, row: sqlite3.Row) -> Entry:
    try:
        cells = {**_OLD, **dict(row)}
        fields = json.loads(cells["request"] or "{}").get("fields") or {}
        files = json.loads(cells["files"] or "[]")
        time.localtime(float(cells["reserved"]))  # a time that is not one ends here
        return Entry(
            float(cells["reserved"]),
            harmless(cells["endpoint"] or _host(cells["place"])),
            harmless(cells["run"]),
            int(cells["take"]),
            int(cells["attempt"]),
            bool(cells["resent"]),
            str(cells["state"]),
            cells["remote_id"] or "",
            max(int(cells["wanted"]), int(fields.get("samples") or 1), len(files)),
            sum(file is not None for file in files),
            _seed(cells["seed"], fields.get("seed")),
            cells["seconds"],
            _harmless_reason(cells["reason"] or "", (fields.get("prompt"), fields.get("negative_prompt"))),
            str(cells["identity"])[:SHORT],
            str(cells["first"] or cells["identity"])[:SHORT],
        )
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, OSError) as error:
        raise StoreError(f"The journal {path} is damaged: a row of it cannot be read.") from error


def _seed(used: Any, sent: Any) -> int | None:
    """The seed that was used, else the one that was sent."""
    return next((seed for seed in (used, sent) if isinstance(seed, int)), None)


def _host(place: str) -> str:
    return urlsplit(place).hostname or ""


def _harmless_reason(reason: str, prompts: Iterable[Any]) -> str:
    """A reason without addresses, without what may be a key, and without what it repeats of the prompts."""
    for prompt in prompts:
        if isinstance(prompt, str):
            reason = _without(reason, prompt.strip())
    return harmless(_LONG.sub(HIDDEN, _ADDRESS.sub("(address)", reason)))


def _without(text: str, prompt: str) -> str:
    least = max(3, min(_SHARED, len(prompt)))
    found = difflib.SequenceMatcher(None, text, prompt, False).find_longest_match(0, len(text), 0, len(prompt))
    if found.size < least:
        return text
    return _without(text[: found.a], prompt) + HIDDEN + _without(text[found.a + found.size :], prompt)
