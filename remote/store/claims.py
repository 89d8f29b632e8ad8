"""Which run works on which attempt, so that two runs, or two processes, never work on the same one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from .database import Database
from .job_rows import JobRow, job_row
from .processes import ProcessLock
from .slots import LEASE


class Claims:
    """The claims in a journal. An `owner` is one run of one process. `wall` returns the time of day in seconds."""

    def __init__(self, database: Database, process: ProcessLock, wall: Callable[[], float]) -> None:
        self._db = database
        self._process = process
        self._wall = wall
        self._lock = threading.Lock()
        self._count = 0
        self._owners: set[str] = set()

    def new_owner(self) -> str:
        """Return a name for one run of this process. Its claims hold until `end_owner`."""
        with self._lock:
            self._count += 1
            owner = f"{self._process.name}:{self._count}"
            self._owners.add(owner)
        return owner

    def end_owner(self, owner: str) -> None:
        """End a run: its claims no longer hold, even if they could not be given back."""
        with self._lock:
            self._owners.discard(owner)

    def take(self, identity: str, owner: str) -> JobRow | None:
        """Claim an attempt for `owner` and return its row.

        Return None if another live run works on it, or if it does not exist.
        """
        with self._db.transaction():
            row = self._db.row("SELECT * FROM jobs WHERE identity = ?", (identity,))
            if row is None or (row["owner"] not in (None, owner) and self._is_live(row["owner"], row["renewed"])):
                return None
            self._db.execute(
                "UPDATE jobs SET owner = ?, renewed = ? WHERE identity = ?", (owner, self._wall(), identity)
            )
            return job_row(row)

    def release(self, identity: str, owner: str) -> None:
        """Give a claim back. Delete an attempt that was only planned, and its reservation with it."""
        with self._db.transaction():
            self._db.execute(
                "DELETE FROM jobs WHERE identity = ? AND owner = ? AND state = 'planned'", (identity, owner)
            )
            self._db.execute("UPDATE jobs SET owner = NULL WHERE identity = ? AND owner = ?", (identity, owner))

    def release_plans(self, owner: str) -> None:
        """Delete what `owner` reserved and did not begin."""
        self._db.execute("DELETE FROM jobs WHERE owner = ? AND state = 'planned'", (owner,))

    def delete_stale_plans(self) -> None:
        """Delete what runs reserved that ended, or that are no longer alive."""
        for row in self._db.rows("SELECT identity, owner, renewed FROM jobs WHERE state = 'planned'"):
            if row["owner"] is None or not self._is_live(row["owner"], row["renewed"]):
                self._db.execute("DELETE FROM jobs WHERE identity = ?", (row["identity"],))

    def renew(self, owners: Iterable[str]) -> None:
        """Keep the claims of `owners` for another LEASE."""
        for owner in owners:
            self._db.execute("UPDATE jobs SET renewed = ? WHERE owner = ?", (self._wall(), owner))

    def _is_live(self, owner: str, renewed: float) -> bool:
        process = owner.partition(":")[0]
        if process == self._process.name:
            with self._lock:
                return owner in self._owners
        return abs(self._wall() - renewed) < LEASE and not self._process.is_dead(process)
