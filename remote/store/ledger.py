"""The journal as an account book: what was paid, delivered, is missing or unknown. It never writes to the file.

A journal of any known version is read without migrating it, also while a server writes to it. What this module returns
holds no key, URL or prompt.
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
from .job_rows import ACCEPTED
from .schema import BASE_URL, VERSION, newer_version

By = Literal["run", "month", "endpoint"]

OPEN = ("intent", "unknown")
"""States of a job that was sent, or may have been, without a known answer: it may be paid for."""

HIDDEN = "***"
SHORT = 12
"""How many characters of an identity are shown."""

_URL = re.compile(r"\w+://\S+")
_LONG = re.compile(r"\S{24,}")
"""What may be a key in an odd spelling. Keys in the usual spelling were hidden before the reason was recorded."""

_OLD = {"first": None, "attempt": 0, "resent": 0, "endpoint": "", "wanted": 1}
"""Defaults for the columns that a journal of version 1 does not have."""

_SHARED = 16
"""This many consecutive characters that are also in the prompt count as part of it."""


@dataclass(frozen=True)
class Entry:
    """One attempt at a job.

    `reserved` is in seconds of the wall clock, `seconds` is how long the service took. `wanted` and `delivered` count
    images; an image is delivered if its bytes were stored. `identity` and `first` (the identity of the job's first
    attempt) are shortened. In rows that version 0.1.0 wrote, `endpoint` is the host.
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
        """Whether the service accepted it."""
        return self.state in ACCEPTED

    @property
    def unknown(self) -> bool:
        """Whether it may be paid for."""
        return self.state in OPEN

    @property
    def missing(self) -> int:
        """How many images are paid for and were not delivered."""
        return max(0, self.wanted - self.delivered) if self.paid else 0

    @property
    def month(self) -> str:
        """The month of `reserved` in local time: "2026-11"."""
        return time.strftime("%Y-%m", time.localtime(self.reserved))


@dataclass(frozen=True)
class Sums:
    """`paid` and `unknown` count attempts; the other fields count the images of the paid ones."""

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
    """Return the sums of `entries`. Attempts that were only planned do not count."""
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
    """Return the sums per run, month or endpoint, in the order in which those began."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.reserved):
        groups.setdefault(getattr(entry, by), []).append(entry)
    return tuple(Group(name, members[0].reserved, sums_of(members)) for name, members in groups.items())


def advice(entries: Sequence[Entry]) -> str:
    """Return one line on what to do about missing images and unknown jobs; "" if there are none.

    A job that another attempt delivered does not count.
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
        f"{' and '.join(parts)}: queue the graph again to collect what was paid for, without paying again. "
        "If it still does not come, raise pay_again of Image Mixer (Remote) by 1 to pay for another."
    )


def entries_of(path: Path) -> tuple[Entry, ...]:
    """Return all attempts in the journal at `path`, oldest first. Raise StoreError if it cannot be read."""
    with _read_only(path) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(newer_version(path.name, version))
        return tuple(_entry(path, row) for row in db.execute("SELECT * FROM jobs ORDER BY reserved, identity"))


@contextlib.contextmanager
def _read_only(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(_uri(path), timeout=10.0, uri=True)) as db:
            db.row_factory = sqlite3.Row
            yield db
    except FileNotFoundError as error:
        raise StoreError(f"There is no journal at {path}.") from error
    except OSError as error:
        raise StoreError(f"The journal {path} cannot be read ({error.strerror}).") from error
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise StoreError(f"The journal {path} is locked by another program: try again.") from error
        raise StoreError(f"The journal {path} is damaged, or is not a journal ({error}).") from error


def _uri(path: Path) -> str:
    """Return the URI that opens a file read-only.

    A journal in WAL mode that no program has open is opened as immutable: otherwise SQLite would leave two more files
    next to it.
    """
    full = path.resolve().as_posix()
    uri = f"file://{'' if full.startswith('/') else '/'}{quote(full)}?mode=ro"
    with path.open("rb") as file:
        wal = file.read(20)[18:] == b"\x02\x02"
    return f"{uri}&immutable=1" if wal and not path.with_name(f"{path.name}-wal").exists() else uri


def _entry(path: Path, row: sqlite3.Row) -> Entry:
    try:
        cells = {**_OLD, **dict(row)}
        fields = json.loads(cells["request"] or "{}").get("fields") or {}
        files = json.loads(cells["files"] or "[]")
        time.localtime(float(cells["reserved"]))  # raises if it is not a time
        return Entry(
            float(cells["reserved"]),
            harmless(cells["endpoint"] or _host(cells[BASE_URL])),
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
    """Return the seed that was used, or the one that was sent if that is not known."""
    return next((seed for seed in (used, sent) if isinstance(seed, int)), None)


def _host(base_url: str) -> str:
    return urlsplit(base_url).hostname or ""


def _harmless_reason(reason: str, prompts: Iterable[Any]) -> str:
    """Return a reason without URLs, without what may be a key, and without what it repeats of the prompts."""
    for prompt in prompts:
        if isinstance(prompt, str):
            reason = _without(reason, prompt.strip())
    return harmless(_LONG.sub(HIDDEN, _URL.sub("(URL)", reason)))


def _without(text: str, prompt: str) -> str:
    least = max(3, min(_SHARED, len(prompt)))
    found = difflib.SequenceMatcher(None, text, prompt, False).find_longest_match(0, len(text), 0, len(prompt))
    if found.size < least:
        return text
    return _without(text[: found.a], prompt) + HIDDEN + _without(text[found.a + found.size :], prompt)
