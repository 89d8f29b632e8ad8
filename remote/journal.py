"""The journal: one row a paid job, written before the job is sent and after every step.

A job is planned (reserved, nothing sent), intent (about to be sent, or sent), accepted (the service named it), ready
(its links are known), done (its bytes are on disk), failed (with a reason), or unknown (sent, and no answer was read).
It survives the death of the process at any moment, and processes that share it share its jobs. It never holds a key.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from ..mixing.errors import EngineError
from .answers import Links
from .errors import CAP_REACHED, StoreError
from .ownership import Ownership
from .schema import SCHEMA, VERSION

State = Literal["planned", "intent", "accepted", "ready", "done", "failed", "unknown"]
LEASE = 30.0
"""Seconds for which a claim or a place in the queue holds unless it is renewed."""

DAY = 86400.0


@dataclass(frozen=True)
class Caps:
    """How many jobs may be paid for in one run, and in 24 hours."""

    run: int
    day: int


@dataclass(frozen=True)
class NewJob:
    """A job as it is reserved: `place` is the endpoint's base URL, `account` what its limit is counted for."""

    identity: str
    account: str
    place: str
    take: int


@dataclass(frozen=True)
class Job:
    """A row. `files` are (SHA-256 in hex, size in bytes) of each image; times are seconds of the wall clock."""

    identity: str
    state: State
    owner: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    intended: float | None = None
    accepted: float | None = None
    remote_id: str | None = None
    fetch_url: str | None = None
    eta: float | None = None
    links: Links = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    seconds: float | None = None
    files: tuple[tuple[str, int], ...] = ()
    reason: str = ""


class LostClaim(Exception):
    """Another process took the job over: its row says how it stands."""


class Journal:
    """The journal in `path`. `wall` gives seconds of the wall clock, which may jump: nothing is paid twice for that."""

    def __init__(self, path: Path, wall: Callable[[], float], busy_seconds: float = 10.0) -> None:
        self._path = path
        self._wall = wall
        self._lock = threading.RLock()
        self._claims = 0
        with self._guarded():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._ownership = Ownership(path.parent / "owners")
            except OSError as error:
                raise StoreError(f"The journal cannot be kept in {path.parent.name}: {error.strerror}.") from error
            self._db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._set_up()

    def close(self) -> None:
        """Closes the file, and shows other processes that this one is gone."""
        with self._lock:
            self._db.close()
            self._ownership.close()

    def new_owner(self) -> str:
        """A name for one claimant of this process."""
        with self._lock:
            self._claims += 1
            return f"{self._ownership.name}:{self._claims}"

    def job(self, identity: str) -> Job | None:
        """The row of a job, or None where it was never reserved or was let go unsent."""
        with self._guarded():
            row = self._row(identity)
        return None if row is None else _job(row)

    def reserve(self, jobs: Iterable[NewJob], run: str, caps: Caps, owner: str) -> None:
        """Plans those of `jobs` that have no row yet, all or none. Raises EngineError "cap reached"."""
        with self._transaction():
            self._drop_stale_plans()
            new = [job for job in jobs if self._row(job.identity) is None]
            self._check_caps(len(new), run, caps)
            for job in new:
                self._db.execute(
                    "INSERT INTO jobs (identity, state, account, place, run, take, reserved, owner, renewed) "
                    "VALUES (?, 'planned', ?, ?, ?, ?, ?, ?, ?)",
                    (job.identity, job.account, job.place, run, job.take, self._wall(), owner, self._wall()),
                )

    def claim(self, identity: str, owner: str) -> Job | None:
        """Makes `owner` the one who works on a job, and gives its row; None while another one lives and does, or
        where there is no row."""
        with self._transaction():
            row = self._row(identity)
            if row is None or (row["owner"] not in (None, owner) and self._lives(row["owner"], row["renewed"])):
                return None
            self._db.execute("UPDATE jobs SET owner = ?, renewed = ? WHERE identity = ?",
                             (owner, self._wall(), identity))
            return _job(row)

    def release(self, identity: str, owner: str) -> None:
        """Lets a claim go. A job that was only planned is forgotten, and its reservation with it."""
        with self._transaction():
            self._db.execute("DELETE FROM jobs WHERE identity = ? AND owner = ? AND state = 'planned'",
                             (identity, owner))
            self._db.execute("UPDATE jobs SET owner = NULL WHERE identity = ? AND owner = ?", (identity, owner))

    def release_plans(self, owner: str) -> None:
        """Forgets what `owner` reserved and did not begin."""
        with self._guarded():
            self._db.execute("DELETE FROM jobs WHERE owner = ? AND state = 'planned'", (owner,))

    def intend(self, identity: str, owner: str, request: Mapping[str, Any]) -> None:
        """Says that `request` (without key) is about to be sent. Raises LostClaim: then it must not be."""
        with self._lasting(), self._transaction():
            changed = self._db.execute(
                "UPDATE jobs SET state = 'intent', request = ?, intended = ?, renewed = ? "
                "WHERE identity = ? AND owner = ? AND state = 'planned'",
                (json.dumps(request), self._wall(), self._wall(), identity, owner),
            ).rowcount
            if changed != 1:
                raise LostClaim

    def not_taken(self, identity: str, owner: str) -> None:
        """Back to planned: the service took nothing."""
        self._set(identity, "planned", "AND state = 'intent' AND owner = ?", (owner,))

    def accept(self, identity: str, remote_id: str, fetch_url: str | None, eta: float | None, links: Links) -> None:
        """The service took the job, whoever asks by now. Raises StoreError where another job has that id."""
        with self._lasting(), self._transaction():
            self._db.execute(
                "UPDATE jobs SET state = 'accepted', remote_id = ?, fetch_url = ?, eta = ?, links = ?, accepted = ?, "
                "reason = NULL WHERE identity = ? AND state IN ('planned', 'intent', 'unknown', 'failed')",
                (remote_id, fetch_url, eta, json.dumps(links), self._wall(), identity),
            )

    def unsettled(self, account: str) -> list[Job]:
        """The jobs of this account that were sent, or may have been, and of which no answer is known."""
        with self._guarded():
            rows = self._db.execute("SELECT * FROM jobs WHERE account = ? AND state IN ('intent', 'unknown')",
                                    (account,)).fetchall()
        return [_job(row) for row in rows]

    def adopt(self, identity: str, remote_id: str) -> bool:
        """Accepts a job found in the account's list, unless that id, or an equal request in flight, is another's."""
        with self._lasting(), self._transaction():
            rival = self._db.execute(
                "SELECT 1 FROM jobs AS mine JOIN jobs AS other ON other.identity != mine.identity "
                "AND other.account = mine.account AND (other.remote_id = ? OR "
                "(other.state = 'intent' AND other.request = mine.request)) WHERE mine.identity = ?",
                (remote_id, identity),
            ).fetchone()
            if rival is None:
                self.accept(identity, remote_id, None, None, ())
            return rival is None

    def ready(self, identity: str, links: Links, meta: Mapping[str, Any], seed: int | None,
              seconds: float | None, remote_id: str | None) -> None:
        """The links are known. `seconds` is how long the job took, where that was seen."""
        text = json.dumps(meta, default=str)
        self._set(identity, "ready", "", (), links=json.dumps(links), meta=text if len(text) <= 20_000 else "{}",
                  seed=seed if seed is not None and seed < 2**63 else None, seconds=seconds, remote_id=remote_id,
                  reason=None)

    def done(self, identity: str, files: tuple[tuple[str, int], ...]) -> None:
        """The bytes are on disk."""
        with self._lasting():
            self._set(identity, "done", "", (), files=json.dumps(files))

    def fail(self, identity: str, reason: str) -> None:
        """The service took the job and will not deliver."""
        self._set(identity, "failed", "AND state != 'done'", (), reason=reason)

    def lose_sight(self, identity: str, reason: str) -> None:
        """The job was sent, and whether it was taken is not known."""
        self._set(identity, "unknown", "AND state IN ('intent', 'unknown')", (), reason=reason)

    def take_slot(self, account: str, identity: str, limit: int) -> bool:
        """Whether a place among the account's jobs in flight was free, or is this job's already."""
        with self._guarded():
            live = self._db.execute("SELECT count(*) FROM slots WHERE account = ? AND identity != ? AND "
                                    "abs(? - renewed) < ?", (account, identity, self._wall(), LEASE)).fetchone()[0]
        if live >= limit:
            return False
        with self._transaction():
            now = self._wall()
            self._db.execute("DELETE FROM slots WHERE abs(? - renewed) >= ?", (now, LEASE))
            held = self._db.execute("SELECT identity FROM slots WHERE account = ?", (account,)).fetchall()
            if len(held) >= limit and identity not in {row["identity"] for row in held}:
                return False
            self._db.execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?)",
                             (identity, account, self._ownership.name, now))
            return True

    def free_slot(self, identity: str) -> None:
        """Gives the place back."""
        with self._guarded():
            self._db.execute("DELETE FROM slots WHERE identity = ?", (identity,))

    def abandon_slot(self, identity: str) -> None:
        """Leaves the place to run out by itself: the service still works on the job."""
        with self._guarded():
            self._db.execute("UPDATE slots SET owner = NULL, renewed = ? WHERE identity = ?", (self._wall(), identity))

    def renew(self, owners: Iterable[str]) -> None:
        """Keeps the claims of `owners`, and this process's places, alive for another LEASE."""
        with self._transaction():
            for owner in owners:
                self._db.execute("UPDATE jobs SET renewed = ? WHERE owner = ?", (self._wall(), owner))
            self._db.execute("UPDATE slots SET renewed = ? WHERE owner = ?", (self._wall(), self._ownership.name))

    def uploaded(self, place: str, digest: str, within: float) -> str | None:
        """The URL under which `place` got this content in the last `within` seconds."""
        with self._guarded():
            row = self._db.execute("SELECT url FROM uploads WHERE place = ? AND digest = ? AND at BETWEEN ? AND ?",
                                   (place, digest, self._wall() - within, self._wall() + 60)).fetchone()
        return None if row is None else str(row["url"])

    def keep_upload(self, place: str, digest: str, url: str) -> None:
        """Remembers an upload from now on."""
        with self._guarded():
            self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", (place, digest, url, self._wall()))

    def forget_upload(self, place: str, digest: str) -> None:
        """Forgets an upload that the service no longer finds."""
        with self._guarded():
            self._db.execute("DELETE FROM uploads WHERE place = ? AND digest = ?", (place, digest))

    def seconds_taken(self, place: str) -> tuple[float, ...]:
        """How long the last jobs of this place took, at most 20, newest first."""
        with self._guarded():
            rows = self._db.execute("SELECT seconds FROM jobs WHERE place = ? AND seconds IS NOT NULL "
                                    "ORDER BY accepted DESC LIMIT 20", (place,)).fetchall()
        return tuple(row["seconds"] for row in rows)

    def known_ids(self, account: str) -> frozenset[str]:
        """The service's ids of all jobs of this account in the journal."""
        with self._guarded():
            rows = self._db.execute("SELECT remote_id FROM jobs WHERE account = ? AND remote_id IS NOT NULL",
                                    (account,)).fetchall()
        return frozenset(row["remote_id"] for row in rows)

    def newest_id(self, account: str, before: float) -> int:
        """The largest whole number among the ids of jobs accepted before a time of the wall clock; -1 for none."""
        with self._guarded():
            rows = self._db.execute("SELECT remote_id FROM jobs WHERE account = ? AND accepted < ?",
                                    (account, before)).fetchall()
        return max((int(row["remote_id"]) for row in rows if (row["remote_id"] or "").isdigit()), default=-1)

    def _set(self, identity: str, state: State, also: str, values: tuple[Any, ...], **columns: Any) -> None:
        names = "".join(f", {name} = ?" for name in columns)
        with self._guarded():
            self._db.execute(f"UPDATE jobs SET state = ?{names} WHERE identity = ? {also}",
                             (state, *columns.values(), identity, *values))

    def _row(self, identity: str) -> Any:
        return self._db.execute("SELECT * FROM jobs WHERE identity = ?", (identity,)).fetchone()

    def _lives(self, owner: str, renewed: float) -> bool:
        process = owner.partition(":")[0]
        if process == self._ownership.name:
            return True
        return abs(self._wall() - renewed) < LEASE and not self._ownership.is_dead(process)

    def _drop_stale_plans(self) -> None:
        for row in self._db.execute("SELECT identity, owner, renewed FROM jobs WHERE state = 'planned'").fetchall():
            if row["owner"] is None or not self._lives(row["owner"], row["renewed"]):
                self._db.execute("DELETE FROM jobs WHERE identity = ?", (row["identity"],))

    def _check_caps(self, new: int, run: str, caps: Caps) -> None:
        counts = (
            ("this run", "max_jobs_per_run", caps.run, "run = ?", run),
            ("24 hours", "max_jobs_per_day", caps.day, "reserved > ?", self._wall() - DAY),
        )
        for what, name, cap, where, value in counts:
            used = self._db.execute(f"SELECT count(*) FROM jobs WHERE {where}", (value,)).fetchone()[0]
            if new and used + new > cap:
                raise EngineError(
                    f"This needs {new} paid job{'s' * (new > 1)}, and {used} of at most {cap} in {what} are used: ask "
                    f"for fewer images, or raise {name} under [spending] in endpoints.toml on the server.", CAP_REACHED,
                )

    def _set_up(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(f"{self._path.name} was written by a newer Image Mixer: update this one.")
        with contextlib.suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA journal_mode = WAL")  # leaves the rollback journal where the file system has none
        self._db.execute("PRAGMA synchronous = NORMAL")
        if version < VERSION:
            with self._transaction():
                for statement in SCHEMA:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def _lasting(self) -> Iterator[None]:
        """What is written inside is on the disk afterwards, with all before it, also if the power fails: without that
        a job could be sent again. The rest only has to survive the process, which needs no waiting for the disk."""
        with self._guarded():
            if self._db.in_transaction:
                yield
                return
            self._db.execute("PRAGMA synchronous = FULL")
            try:
                yield
            finally:
                self._db.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guarded():
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise StoreError(_line(self._path.name, error)) from error


def _line(name: str, error: sqlite3.Error) -> str:
    text = str(error).lower()
    if "locked" in text or "busy" in text:
        return f"The journal {name} is locked by another program: close that, then queue again. Nothing is paid again."
    if "full" in text or "readonly" in text or "i/o" in text:
        return f"The journal {name} cannot be written ({text}): make room or mend the disk, then queue again."
    if "constraint" in text:
        return f"The service named one id for two jobs ({text}): the second is not adopted."
    return (
        f"The journal {name} is damaged ({text}): put a copy of it back, or move it away to begin a new one, "
        "which may pay again for jobs in it."
    )


def _job(row: sqlite3.Row) -> Job:
    def stored(name: str, default: Any) -> Any:
        try:
            return json.loads(row[name]) if row[name] else default
        except ValueError as error:
            raise StoreError(f"The journal is damaged: {name} of job {row['identity'][:12]} cannot be read.") from error

    return Job(
        row["identity"], cast(State, row["state"]), row["owner"], stored("request", {}), row["intended"],
        row["accepted"], row["remote_id"], row["fetch_url"], row["eta"],
        tuple(tuple(image) for image in stored("links", [])), stored("meta", {}), row["seed"], row["seconds"],
        tuple((digest, size) for digest, size in stored("files", [])), row["reason"] or "",
    )
