"""How many jobs of an account run at once: each one holds a slot, a lease that its run renews."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .database import Database

LEASE = 30.0
"""Seconds for which a claim or a slot is held unless it is renewed."""


class Slots:
    """The slots of all accounts in a journal. `wall` returns the time of day in seconds."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._db = database
        self._wall = wall

    def take(self, account: str, identity: str, limit: int, owner: str) -> bool:
        """Take one of the account's `limit` slots. Return False if all are taken by other jobs."""
        live = self._db.row(
            "SELECT count(*) FROM slots WHERE account = ? AND identity != ? AND abs(? - renewed) < ?",
            (account, identity, self._wall(), LEASE),
        )[0]
        if live >= limit:
            return False
        with self._db.transaction():
            now = self._wall()
            self._db.execute("DELETE FROM slots WHERE abs(? - renewed) >= ?", (now, LEASE))
            held = self._db.rows("SELECT identity FROM slots WHERE account = ?", (account,))
            if len(held) >= limit and identity not in {row["identity"] for row in held}:
                return False
            self._db.execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?)", (identity, account, owner, now))
            return True

    def free(self, identity: str) -> None:
        """Give the slot back."""
        self._db.execute("DELETE FROM slots WHERE identity = ?", (identity,))

    def abandon(self, identity: str) -> None:
        """Keep the slot until its lease expires: the service still works on the job."""
        self._db.execute("UPDATE slots SET owner = NULL, renewed = ? WHERE identity = ?", (self._wall(), identity))

    def renew(self, owners: Iterable[str]) -> None:
        """Keep the slots of `owners` for another LEASE."""
        for owner in owners:
            self._db.execute("UPDATE slots SET renewed = ? WHERE owner = ?", (self._wall(), owner))
