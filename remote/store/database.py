"""The journal's file: one SQLite connection, its transactions, and messages for its errors."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .schema import MIGRATIONS, VERSION, newer_version


class Database:
    """The file `path`, shared by the threads of this process. Raise StoreError if it cannot be used.

    `busy_seconds` is how long a statement waits for another program that writes.
    """

    def __init__(self, path: Path, busy_seconds: float = 10.0) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self.guarded():
            if path.exists() and not path.stat().st_size and next(path.parent.glob("results/*/*.image"), None):
                raise StoreError(
                    f"The journal {path.name} is damaged (it is empty, but there are results next to it): restore a "
                    "backup, or move it away to start a new one, which may pay again for jobs that were in it."
                )
            self._db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._set_up()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        """Run one statement; return how many rows it changed."""
        with self.guarded():
            return self._db.execute(statement, values).rowcount

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of a query."""
        with self.guarded():
            return self._db.execute(statement, values).fetchall()

    def row(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the first row of a query, or None."""
        with self.guarded():
            return self._db.execute(statement, values).fetchone()

    @contextlib.contextmanager
    def transaction(self, lasting: bool = False) -> Iterator[None]:
        """Run the statements inside as one transaction: all of them take effect, or none.

        With `lasting`, wait until it is on the disk, with everything before it, so that it survives a power failure:
        otherwise a job could be sent again. Other changes only have to survive the process.
        """
        with self.guarded():
            if self._db.in_transaction:
                yield
                return
            if lasting:
                self._db.execute("PRAGMA synchronous = FULL")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            finally:
                if lasting:
                    self._db.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Hold this process's lock; turn SQLite's errors into StoreError."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise StoreError(_message(self._path.name, error)) from error

    def _set_up(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(newer_version(self._path.name, version))
        with contextlib.suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA journal_mode = WAL")  # a file system without WAL keeps the rollback journal
        self._db.execute("PRAGMA synchronous = NORMAL")
        if version == VERSION:
            return
        with self.transaction(lasting=True):
            version = self._db.execute("PRAGMA user_version").fetchone()[
                0
            ]  # another process may have migrated it just now
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")


def _message(name: str, error: sqlite3.Error) -> str:
    text = str(error).lower()
    if "locked" in text or "busy" in text:
        return (
            f"The journal {name} is locked by another program: close it, then queue again. Nothing is paid for twice."
        )
    if "closed" in text:
        return (
            f"The journal {name} was closed while a job ran: ComfyUI is shutting down. Queue again to continue the job."
        )
    if any(word in text for word in ("full", "readonly", "i/o", "unable to open")):
        return f"The journal {name} cannot be written ({text}): free some space or repair the disk, then queue again."
    return (
        f"The journal {name} is damaged ({text}): stop ComfyUI and restore a backup (without the -wal and -shm files), "
        "or move it away to start a new one, which may pay again for jobs that were in it."
    )
