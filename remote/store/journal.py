"""The journal: one row per paid attempt at a job, written before it is sent and after every step.

An attempt is planned (reserved, nothing sent), intent (about to be sent, or sent), accepted (the service named it),
ready (its links are known), done (its images are on disk), failed (with a reason), or unknown (sent, but no clear answer
was read). Rows survive the death of the process at any moment, and processes that share a journal share its jobs. A row
never holds a key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ...wire.links import Links
from ..errors import StoreError
from .accounts import Accounts
from .caps import Caps, check_caps
from .claims import Claims
from .database import Database
from .job_rows import Files, FinishedJob, JobRow, NewJob, State, job_row
from .processes import ProcessLock
from .schema import BASE_URL
from .slots import Slots
from .upload_urls import UploadUrls

LARGEST_META, LARGEST_LINKS = 20_000, 400_000
"""Most characters of `meta` that are kept, and of the links of a job that is done."""


class LostClaim(Exception):
    """Another process took the job over: its row tells how to go on."""


class Journal:
    """The journal in the file `path`. Raise StoreError if it cannot be opened.

    `wall` returns the time of day in seconds. It may jump: nothing is paid for twice because of that. `clock` is
    monotonic, in seconds. `busy_seconds` is how long a step waits for another program that writes to the file.
    """

    def __init__(
        self,
        path: Path,
        wall: Callable[[], float],
        busy_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._process = ProcessLock(path.parent / "owners")
        except OSError as error:
            raise StoreError(f"The journal cannot be kept in {path.parent.name}: {error.strerror}.") from error
        try:
            self._db = Database(path, busy_seconds)
        except StoreError:
            self._process.close()
            raise
        self._wall = wall
        self._clock = clock
        self.claims = Claims(self._db, self._process, wall)
        self.slots = Slots(self._db, wall)
        self.uploads = UploadUrls(self._db, wall)
        self.accounts = Accounts(self._db)

    def close(self) -> None:
        """Close the file, and let other processes see that this one is gone."""
        self._db.close()
        self._process.close()

    def renew(self, owners: Iterable[str]) -> None:
        """Keep the claims and slots of `owners` for another LEASE."""
        with self._db.transaction():
            for owner in owners:
                self.claims.renew([owner])
                self.slots.renew([owner])

    def one_transaction(self) -> AbstractContextManager[None]:
        """Make the reads and writes inside one lasting step for all processes."""
        return self._db.transaction(lasting=True)

    # The steps of an attempt

    def reserve(self, jobs: Iterable[NewJob], run: str, caps: Caps, owner: str) -> None:
        """Plan those of `jobs` that have no row yet, all of them or none. Raise EngineError "cap reached"."""
        with self._db.transaction():
            self.claims.delete_stale_plans()
            new = [job for job in jobs if self._row(job.identity) is None]
            check_caps(self._db, len(new), run, caps, self._wall())
            for job in new:
                now = self._wall()
                self._insert(
                    {
                        "identity": job.identity,
                        "state": "planned",
                        "account": job.account,
                        BASE_URL: job.base_url,
                        "run": run,
                        "take": job.take,
                        "reserved": now,
                        "owner": owner,
                        "renewed": now,
                        "first": job.first or job.identity,
                        "attempt": job.attempt,
                        "resent": int(job.resent),
                        "endpoint": job.endpoint,
                        "wanted": job.wanted,
                    }
                )

    def check_caps_for(self, jobs_at_least: int, run: str, caps: Caps) -> None:
        """Raise EngineError "cap reached" if `jobs_at_least` jobs exceed the caps even if all known jobs are among
        them."""
        known = self._db.row("SELECT count(*) FROM jobs")[0]
        check_caps(self._db, max(0, jobs_at_least - known), run, caps, self._wall())

    def intend(self, identity: str, owner: str, request: Mapping[str, Any]) -> None:
        """Record that `request` (without the key) is about to be sent. Raise LostClaim if it must not be sent."""
        with self._db.transaction(lasting=True):
            changed = self._db.execute(
                "UPDATE jobs SET state = 'intent', request = ?, intended = ?, renewed = ?, sent = ?, ticks = ? "
                "WHERE identity = ? AND owner = ? AND state = 'planned'",
                (json.dumps(request), self._wall(), self._wall(), self._next_step(), self._clock(), identity, owner),
            )
            if changed != 1:
                raise LostClaim

    def not_taken(self, identity: str, owner: str) -> None:
        """Record that the service did not accept the job: it is planned again."""
        self._set(identity, "planned", "AND state = 'intent' AND owner = ?", (owner,))

    def accept(self, identity: str, remote_id: str, fetch_url: str | None, eta: float | None, links: Links) -> None:
        """Record that the service accepted the job, whichever run owns it by now."""
        with self._db.transaction(lasting=True):
            self._db.execute(
                "UPDATE jobs SET state = 'accepted', remote_id = ?, fetch_url = ?, eta = ?, links = ?, accepted = ?, "
                "taken = ?, reason = NULL WHERE identity = ? AND state IN ('planned', 'intent', 'unknown', 'failed')",
                (remote_id, fetch_url, eta, json.dumps(links), self._wall(), self._next_step(), identity),
            )

    def adopt(self, identity: str, remote_id: str) -> bool:
        """Accept a job that was found in the account's list.

        Return False if the id belongs to another attempt, or if an equal request is being sent right now.
        """
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
        """Record that a failed job is in progress after all: it is accepted again."""
        self._set(identity, "accepted", "AND state = 'failed' AND remote_id IS NOT NULL", (), reason=None)

    def ready(self, identity: str, finished: FinishedJob) -> None:
        """Record the links of a job that is done."""
        meta = json.dumps(finished.meta, default=str)
        seeds = tuple(seed if seed is not None and seed < 2**63 else None for seed in finished.seeds)
        self._set(
            identity,
            "ready",
            "",
            (),
            links=json.dumps(finished.links),
            meta=meta if len(meta) <= LARGEST_META else "{}",
            seed=seeds[0] if seeds else None,
            seeds=json.dumps(seeds),
            seconds=finished.seconds,
            remote_id=finished.remote_id,
            unsafe=int(finished.unsafe),
            placed=int(finished.order_known),
            reason=None,
            files=None,
        )

    def pending(self, identity: str, seconds: float) -> None:
        """Record that the job was still in progress `seconds` after it was accepted."""
        self._db.execute("UPDATE jobs SET pended = max(coalesce(pended, 0), ?) WHERE identity = ?", (seconds, identity))

    def not_delivered(self, first: str, counter: int) -> None:
        """Record that a run with pay_again at `counter` did not get the job's images."""
        self._db.execute("UPDATE jobs SET seen = ? WHERE identity = ?", (counter, first))

    def done(self, identity: str, files: Files) -> None:
        """Record that the images are on disk. Forget very long links, which held the pictures themselves."""
        with self._db.transaction(lasting=True):
            self._set(identity, "done", "", (), files=json.dumps(files))
            self._db.execute(
                "UPDATE jobs SET links = NULL WHERE identity = ? AND length(links) > ?", (identity, LARGEST_LINKS)
            )
            self._db.execute(
                "UPDATE jobs SET delivered = coalesce(delivered, ?) WHERE identity = ?", (self._wall(), identity)
            )

    def fail(self, identity: str, reason: str) -> None:
        """Record that the service accepted the job and says that it will not deliver it."""
        self._set(identity, "failed", "AND state != 'done'", (), reason=reason)

    def lose_sight(self, identity: str, reason: str) -> None:
        """Record that the job was sent, and that it is not known whether it was accepted."""
        self._set(identity, "unknown", "AND state IN ('intent', 'unknown')", (), reason=reason)

    def clear(self, identity: str, at: float | None) -> None:
        """Record when the account's list first showed that an unknown attempt was not accepted; None undoes that."""
        self._set(identity, "unknown", "AND state = 'unknown'", (), cleared=at)

    # What is known

    def job(self, identity: str) -> JobRow | None:
        """Return the row of an attempt; None if it was never reserved, or was given back without being sent."""
        row = self._row(identity)
        return None if row is None else job_row(row)

    def attempts(self, first: str) -> list[JobRow]:
        """Return all attempts at a job that may have been sent, in the order in which they were paid."""
        rows = self._db.rows(
            "SELECT * FROM jobs WHERE first = ? AND state != 'planned' ORDER BY attempt, resent, reserved", (first,)
        )
        return [job_row(row) for row in rows]

    def seconds_since_sent(self, row: JobRow) -> float:
        """Return how long ago an attempt was sent: by the wall clock or the monotonic one, whichever is less.

        The monotonic clock is the same for all processes until the machine restarts. After a restart it is not used.
        """
        ago = self._wall() - row.intended if row.intended is not None else 0.0
        since = self._clock() - row.ticks if row.ticks is not None else -1.0
        return ago if since < 0 else min(ago, since)

    def seconds_taken(self, base_url: str) -> tuple[float, ...]:
        """Return how long the last jobs of this service took, at most 20, newest first."""
        rows = self._db.rows(
            f"SELECT seconds FROM jobs WHERE {BASE_URL} = ? AND seconds IS NOT NULL ORDER BY accepted DESC LIMIT 20",
            (base_url,),
        )
        return tuple(row["seconds"] for row in rows)

    def longest_taken(self, base_url: str) -> float:
        """Return the longest that a job of this service was seen to take, in seconds; 0 if there is none."""
        row = self._db.row(f"SELECT max(seconds), max(pended) FROM jobs WHERE {BASE_URL} = ?", (base_url,))
        return max(float(row[0] or 0.0), float(row[1] or 0.0))

    # Helpers

    def _insert(self, columns: Mapping[str, Any]) -> None:
        marks = ", ".join("?" * len(columns))
        self._db.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))

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
