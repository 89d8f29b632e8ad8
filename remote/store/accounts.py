"""All jobs of one account, as the journal knows them: they tell a lost job from the others in the account's list."""

from __future__ import annotations

import json
from typing import Any

from .database import Database
from .job_rows import JobRow, job_row


class Accounts:
    """Queries by `account`: one credential at one service, as `Endpoint.account` names it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def unsettled(self, account: str) -> list[JobRow]:
        """Return the attempts that were sent, or may have been, without a known answer."""
        rows = self._db.rows("SELECT * FROM jobs WHERE account = ? AND state IN ('intent', 'unknown')", (account,))
        return [job_row(row) for row in rows]

    def sent_requests(self, account: str) -> list[tuple[str, Any]]:
        """Return (identity of the job's first attempt, fields) of every request ever sent."""
        rows = self._db.rows("SELECT first, request FROM jobs WHERE account = ? AND request IS NOT NULL", (account,))
        return [(row["first"], json.loads(row["request"]).get("fields") or {}) for row in rows]

    def accepted_as(self, account: str, remote_id: str) -> list[JobRow]:
        """Return the attempts that the service accepted under this id."""
        rows = self._db.rows("SELECT * FROM jobs WHERE account = ? AND remote_id = ?", (account, remote_id))
        return [job_row(row) for row in rows]

    def known_ids(self, account: str) -> frozenset[str]:
        """Return the service's ids of all jobs in the journal."""
        rows = self._db.rows("SELECT remote_id FROM jobs WHERE account = ? AND remote_id IS NOT NULL", (account,))
        return frozenset(row["remote_id"] for row in rows)

    def newest_id(self, account: str, before: int) -> int:
        """Return the largest numeric id among the jobs accepted before step `before`; -1 if there are none.

        Also return -1 if the service's ids were seen to fall: then an id does not tell a job's age.
        """
        rows = self._db.rows(
            "SELECT remote_id, taken FROM jobs WHERE account = ? AND remote_id IS NOT NULL ORDER BY taken", (account,)
        )
        numbers = [(int(row["remote_id"]), row["taken"]) for row in rows if row["remote_id"].isdigit()]
        new = [number for number, taken in numbers if taken]
        if len(new) > 1 and new[-1] < new[0]:
            return -1
        return max((number for number, taken in numbers if taken < before), default=-1)

    def neighbours(self, row: JobRow) -> tuple[frozenset[str], frozenset[str]]:
        """Return the ids of the jobs accepted before an attempt was sent, and of those sent after it."""
        rows = self._db.rows(
            "SELECT remote_id, sent, taken FROM jobs WHERE account = ? AND remote_id IS NOT NULL", (row.account,)
        )
        return (
            frozenset(other["remote_id"] for other in rows if other["taken"] < row.sent),
            frozenset(other["remote_id"] for other in rows if other["sent"] > row.sent),
        )
