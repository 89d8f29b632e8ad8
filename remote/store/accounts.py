"""What the journal knows of all the jobs of an account: by it a lost job is told from the others in the account's list."""

from __future__ import annotations

import json
from typing import Any

from .database import Database
from .rows import Job, job_of


class Accounts:
    """Questions to a journal. An `account` is one credential at one place, as `Endpoint.account` names it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def unsettled(self, account: str) -> list[Job]:
        """The attempts of this account that were sent, or may have been, and of which no answer is known."""
        rows = self._db.rows("SELECT * FROM jobs WHERE account = ? AND state IN ('intent', 'unknown')", (account,))
        return [job_of(row) for row in rows]

    def sent_requests(self, account: str) -> list[tuple[str, Any]]:
        """(Identity of its job's first attempt, fields) of all that was ever sent to this account."""
        rows = self._db.rows("SELECT first, request FROM jobs WHERE account = ? AND request IS NOT NULL", (account,))
        return [(row["first"], json.loads(row["request"]).get("fields") or {}) for row in rows]

    def accepted_as(self, account: str, remote_id: str) -> list[Job]:
        """The attempts of this account that the service answered with this id."""
        rows = self._db.rows("SELECT * FROM jobs WHERE account = ? AND remote_id = ?", (account, remote_id))
        return [job_of(row) for row in rows]

    def known_ids(self, account: str) -> frozenset[str]:
        """The service's ids of all jobs of this account in the journal."""
        rows = self._db.rows("SELECT remote_id FROM jobs WHERE account = ? AND remote_id IS NOT NULL", (account,))
        return frozenset(row["remote_id"] for row in rows)

    def newest_id(self, account: str, before: int) -> int:
        """The largest whole number among the ids of jobs taken before step `before`; -1 for none.

        Also -1 if the service's ids were seen to fall: then they say nothing about age.
        """
        rows = self._db.rows(
            "SELECT remote_id, taken FROM jobs WHERE account = ? AND remote_id IS NOT NULL ORDER BY taken", (account,)
        )
        numbers = [(int(row["remote_id"]), row["taken"]) for row in rows if row["remote_id"].isdigit()]
        new = [number for number, taken in numbers if taken]
        if len(new) > 1 and new[-1] < new[0]:
            return -1
        return max((number for number, taken in numbers if taken < before), default=-1)

    def neighbours(self, row: Job) -> tuple[frozenset[str], frozenset[str]]:
        """The ids of this account's jobs that were taken before an attempt was sent, and of those sent after it."""
        rows = self._db.rows(
            "SELECT remote_id, sent, taken FROM jobs WHERE account = ? AND remote_id IS NOT NULL", (row.account,)
        )
        return (
            frozenset(other["remote_id"] for other in rows if other["taken"] < row.sent),
            frozenset(other["remote_id"] for other in rows if other["sent"] > row.sent),
        )
