"""The journal: one row per paid attempt at a job, written before it is sent and after every step.

An attempt is planned (reserved, nothing sent), intent (about to be sent, or sent), accepted (the service named it),
ready (its links are known), done (its bytes are on disk), failed (with a reason), or unknown (sent, and no clear answer
was read). Rows survive the death of the process at any moment, and processes that share them share their jobs. They
never hold a key.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ...wire.links import Links
from ..errors import StoreError
from .accounts import Accounts
from .addresses import UploadedAddresses
from .caps import check_caps
from .database import Database
from .ownership import Ownership
from .rows import Caps, Files, Job, NewJob, State, job_of
from .slots import LEASE, Slots

LARGEST_META, LARGEST_LINKS = 20_000, 400_000


class LostClaim(Exception):
    """Another process took the job over: its row says how it stands."""


class Journal:
    """The journal in `path`. `wall` gives seconds of the wall clock, which may jump: nothing is paid twice for that.
    `clock` is monotonic, in seconds."""

    def __init__(
        self,
        path: Path,
        wall: Callable[[], float],
        busy_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._ownership = Ownership(path.parent / "owners")
        except OSError as error:
            raise StoreError(f"The journal cannot be kept in {path.parent.name}: {error.strerror}.") from error
        try:
            self._db = Database(path, busy_seconds)
        except StoreError:
            self._ownership.close()
            raise
        self._wall = wall
        self._lock = threading.Lock()
        self._clock = clock
        self._claims = 0
        self._owners: set[str] = set()
        self.slots = Slots(self._db, wall)
        self.uploads = UploadedAddresses(self._db, wall)
        self.accounts = Accounts(self._db)

    def close(self) -> None:
        """Close the file, and show other processes that this one is gone."""
        self._db.close()
        self._ownership.close()

    # Who works on what

    def new_owner(self) -> str:
        """A name for one run of this process. Its claims hold until `end_owner`."""
        with self._lock:
            self._claims += 1
            owner = f"{self._ownership.name}:{self._claims}"
            self._owners.add(owner)
        return owner

    def end_owner(self, owner: str) -> None:
        """The run is over: from now on its claims are free, even if they could not be given back."""
        with self._lock:
            self._owners.discard(owner)

    def claim(self, identity: str, owner: str) -> Job | None:
        """Make `owner` the one who works on an attempt, and give its row.

        None while another run lives and works on it, or if there is no row.
        """
        with self._db.transaction():
            row = self._row(identity)
            if row is None or (row["owner"] not in (None, owner) and self._lives(row["owner"], row["renewed"])):
                return None
            self._db.execute(
                "UPDATE jobs SET owner = ?, renewed = ? WHERE identity = ?", (owner, self._wall(), identity)
            )
            return job_of(row)

    def release(self, identity: str, owner: str) -> None:
        """Let a claim go. An attempt that was only planned is forgotten, and its reservation with it."""
        with self._db.transaction():
            self._db.execute(
                "DELETE FROM jobs WHERE identity = ? AND owner = ? AND state = 'planned'", (identity, owner)
            )
            self._db.execute("UPDATE jobs SET owner = NULL WHERE identity = ? AND owner = ?", (identity, owner))

    def release_plans(self, owner: str) -> None:
        """Forget what `owner` reserved and did not begin."""
        self._db.execute("DELETE FROM jobs WHERE owner = ? AND state = 'planned'", (owner,))

    def renew(self, owners: Iterable[str]) -> None:
        """Keep the claims and slots of `owners` for another LEASE."""
        with self._db.transaction():
            for owner in owners:
                self._db.execute("UPDATE jobs SET renewed = ? WHERE owner = ?", (self._wall(), owner))
                self.slots.renew([owner])

    # The steps of an attempt

    def reserve(self, jobs: Iterable[NewJob], run: str, caps: Caps, owner: str) -> None:
        """Plan those of `jobs` that have no row yet, all or none. Raises EngineError "cap reached"."""
        with self._db.transaction():
            self._drop_stale_plans()
            new = [job for job in jobs if self._row(job.identity) is None]
            check_caps(self._db, len(new), run, caps, self._wall())
            for job in new:
                now = self._wall()
                self._db.execute(
                    "INSERT INTO jobs (identity, state, account, place, run, take, reserved, owner, renewed, first, "
                    "attempt, resent, endpoint, wanted) VALUES (?, 'planned', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        job.identity,
                        job.account,
                        job.place,
                        run,
                        job.take,
                        now,
                        owner,
                        now,
                        job.first or job.identity,
                        job.attempt,
                        int(job.resent),
                        job.endpoint,
                        job.wanted,
                    ),
                )

    def check_caps_for(self, jobs_at_least: int, run: str, caps: Caps) -> None:
        """Raise EngineError "cap reached" if that many different jobs need more new ones than the caps allow,
        whichever of the journal's jobs are among them."""
        known = self._db.row("SELECT count(*) FROM jobs")[0]
        check_caps(self._db, max(0, jobs_at_least - known), run, caps, self._wall())

    def intend(self, identity: str, owner: str, request: Mapping[str, Any]) -> None:
        """`request` (without key) is about to be sent. Raises LostClaim: then it must not be."""
        with self._db.transaction(lasting=True):
            changed = self._db.execute(
                "UPDATE jobs SET state = 'intent', request = ?, intended = ?, renewed = ?, sent = ?, ticks = ? "
                "WHERE identity = ? AND owner = ? AND state = 'planned'",
                (json.dumps(request), self._wall(), self._wall(), self._next_step(), self._clock(), identity, owner),
            )
            if changed != 1:
                raise LostClaim

    def not_taken(self, identity: str, owner: str) -> None:
        """Back to planned: the service took nothing."""
        self._set(identity, "planned", "AND state = 'intent' AND owner = ?", (owner,))

    def accept(self, identity: str, remote_id: str, fetch_url: str | None, eta: float | None, links: Links) -> None:
        """The service took the job, whoever asks by now."""
        with self._db.transaction(lasting=True):
            self._db.execute(
                "UPDATE jobs SET state = 'accepted', remote_id = ?, fetch_url = ?, eta = ?, links = ?, accepted = ?, "
                "taken = ?, reason = NULL WHERE identity = ? AND state IN ('planned', 'intent', 'unknown', 'failed')",
                (remote_id, fetch_url, eta, json.dumps(links), self._wall(), self._next_step(), identity),
            )

    def at_once(self) -> AbstractContextManager[None]:
        """What is asked and written inside is one step for all processes, and lasts."""
        return self._db.transaction(lasting=True)

    def adopt(self, identity: str, remote_id: str) -> bool:
        """Accept a job found in the account's list, unless that id, or an equal request in flight, is another's."""
        with self._db.transaction(lasting=True):
            rival = self._db.row(
                "SELECT 1 FROM jobs AS mine JOIN jobs AS other ON other.identity != mine.identity "
                "AND other.account = mine.account AND (other.remote_id = ? OR "
                "(other.state = 'intent' AND other.request = mine.request)) WHERE mine.identity = ?",
                (remote_id, identity),
            )
            if rival is None:
                self.accept(identity, remote_id, None, None, ())
            return rival is None

    def reopen(self, identity: str) -> None:
        """A job that had failed is being made after all: back to accepted."""
        self._set(identity, "accepted", "AND state = 'failed' AND remote_id IS NOT NULL", (), reason=None)

    def ready(
        self,
        identity: str,
        links: Links,
        *,
        meta: Mapping[str, Any],
        seeds: tuple[int | None, ...],
        seconds: float | None,
        remote_id: str | None,
        unsafe: bool = False,
        placed: bool = True,
    ) -> None:
        """The links are known. `seconds` is how long the job took, if that was seen."""
        text = json.dumps(meta, default=str)
        kept = tuple(seed if seed is not None and seed < 2**63 else None for seed in seeds)
        self._set(
            identity,
            "ready",
            "",
            (),
            links=json.dumps(links),
            meta=text if len(text) <= LARGEST_META else "{}",
            seed=kept[0] if kept else None,
            seeds=json.dumps(kept),
            seconds=seconds,
            remote_id=remote_id,
            unsafe=int(unsafe),
            placed=int(placed),
            reason=None,
            files=None,
        )

    def pending(self, identity: str, seconds: float) -> None:
        """The job was still in the making so many seconds after it was taken."""
        self._db.execute("UPDATE jobs SET pended = max(coalesce(pended, 0), ?) WHERE identity = ?", (seconds, identity))

    def not_delivered(self, first: str, counter: int) -> None:
        """A run with pay_again at `counter` did not get the job's images."""
        self._db.execute("UPDATE jobs SET seen = ? WHERE identity = ?", (counter, first))

    def done(self, identity: str, files: Files) -> None:
        """The bytes are on disk. Links that were pictures themselves are forgotten: they take much room."""
        with self._db.transaction(lasting=True):
            self._set(identity, "done", "", (), files=json.dumps(files))
            self._db.execute(
                "UPDATE jobs SET links = NULL WHERE identity = ? AND length(links) > ?", (identity, LARGEST_LINKS)
            )
            self._db.execute(
                "UPDATE jobs SET delivered = coalesce(delivered, ?) WHERE identity = ?", (self._wall(), identity)
            )

    def fail(self, identity: str, reason: str) -> None:
        """The service took the job and says that it will not deliver."""
        self._set(identity, "failed", "AND state != 'done'", (), reason=reason)

    def lose_sight(self, identity: str, reason: str) -> None:
        """The job was sent, and whether it was taken is not known."""
        self._set(identity, "unknown", "AND state IN ('intent', 'unknown')", (), reason=reason)

    def clear(self, identity: str, at: float | None) -> None:
        """When the account's list first showed that this unknown attempt was not taken; None takes that back."""
        self._set(identity, "unknown", "AND state = 'unknown'", (), cleared=at)

    # What is known

    def job(self, identity: str) -> Job | None:
        """The row of an attempt, or None if it was never reserved or was let go unsent."""
        row = self._row(identity)
        return None if row is None else job_of(row)

    def attempts(self, first: str) -> list[Job]:
        """All attempts at a job that may have been sent, in the order in which they were paid."""
        rows = self._db.rows(
            "SELECT * FROM jobs WHERE first = ? AND state != 'planned' ORDER BY attempt, resent, reserved", (first,)
        )
        return [job_of(row) for row in rows]

    def seconds_since_sent(self, row: Job) -> float:
        """How long ago an attempt was sent: by the wall clock or the monotonic one, whichever says less.

        The monotonic one counts for all processes since the machine was started, unless that was after the sending.
        """
        ago = self._wall() - row.intended if row.intended is not None else 0.0
        since = self._clock() - row.ticks if row.ticks is not None else -1.0
        return ago if since < 0 else min(ago, since)

    def seconds_taken(self, place: str) -> tuple[float, ...]:
        """How long the last jobs of this place took, at most 20, newest first."""
        rows = self._db.rows(
            "SELECT seconds FROM jobs WHERE place = ? AND seconds IS NOT NULL ORDER BY accepted DESC LIMIT 20", (place,)
        )
        return tuple(row["seconds"] for row in rows)

    def longest_taken(self, place: str) -> float:
        """The longest that a job of this place was seen to take, in seconds; 0 if none was."""
        row = self._db.row("SELECT max(seconds), max(pended) FROM jobs WHERE place = ?", (place,))
        return max(float(row[0] or 0.0), float(row[1] or 0.0))

    # Inside

    def _set(self, identity: str, state: State, also: str, values: tuple[Any, ...], **columns: Any) -> None:
        names = "".join(f", {name} = ?" for name in columns)
        self._db.execute(
            f"UPDATE jobs SET state = ?{names} WHERE identity = ? {also}",
            (state, *columns.values(), identity, *values),
        )

    def _next_step(self) -> int:
        return int(self._db.row("SELECT max(max(sent), max(taken)) + 1 FROM jobs")[0] or 1)

    def _row(self, identity: str) -> Any:
        return self._db.row("SELECT * FROM jobs WHERE identity = ?", (identity,))

    def _lives(self, owner: str, renewed: float) -> bool:
        process = owner.partition(":")[0]
        if process == self._ownership.name:
            with self._lock:
                return owner in self._owners
        return abs(self._wall() - renewed) < LEASE and not self._ownership.is_dead(process)

    def _drop_stale_plans(self) -> None:
        for row in self._db.rows("SELECT identity, owner, renewed FROM jobs WHERE state = 'planned'"):
            if row["owner"] is None or not self._lives(row["owner"], row["renewed"]):
                self._db.execute("DELETE FROM jobs WHERE identity = ?", (row["identity"],))
