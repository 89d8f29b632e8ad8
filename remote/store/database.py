"""The journal's file: one SQLite connection, its transactions, and what its faults mean to a person."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .schema import MIGRATIONS, VERSION


class Database:
    """The file `path`, shared by the threads of this process. Raises StoreError if it cannot be used.

    `busy_seconds` is how long a step waits for another program that writes.
    """

    def __init__(self, path: Path, busy_seconds: float = 10.0) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self.guarded():
            if path.exists() and not path.stat().st_size and next(path.parent.glob("results/*/*.image"), None):
                raise StoreError(
                    f"The journal {path.name} is damaged (it is empty, and the results beside it are not): put a copy "
                    "of it back, or move it away to begin a new one, which may pay again for jobs that were in it."
                )
            self._db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._set_up()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        """Run one statement; give the number of rows that it changed."""
        with self.guarded():
            return self._db.execute(statement, values).rowcount

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """The rows that a query gives."""
        with self.guarded():
            return self._db.execute(statement, values).fetchall()

    def row(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """The first row that a query gives, or None."""
        with self.guarded():
            return self._db.execute(statement, values).fetchone()

    @contextlib.contextmanager
    def transaction(self, lasting: bool = False) -> Iterator[None]:
        """What is done inside is done whole or not at all.

        With `lasting` it is on the disk afterwards, with all before it, also if the power fails: without that a job
        could be sent again. The rest only has to survive the process, which needs no waiting for the disk.
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
        """Hold the lock of this process; turn SQLite's errors into StoreError."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise StoreError(_line(self._path.name, error)) from error

    def _set_up(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(f"{self._path.name} was written by a newer Image Mixer: update this one.")
        with contextlib.suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA journal_mode = WAL")  # leaves the rollback journal if the file system has none
        self._db.execute("PRAGMA synchronous = NORMAL")
        if version == VERSION:
            return
        with self.transaction(lasting=True):
            version = self._db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been faster
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")


def _line(name: str, error: sqlite3.Error) -> str:
    text = str(error).lower()
    if "locked" in text or "busy" in text:
        return f"The journal {name} is locked by another program: close that, then queue again. Nothing is paid again."
    if "closed" in text:
        return f"The journal {name} was closed while a job ran: ComfyUI is ending. The next queue goes on with the job."
    if any(word in text for word in ("full", "readonly", "i/o", "unable to open")):
        return f"The journal {name} cannot be written ({text}): make room or mend the disk, then queue again."
    return (
        f"The journal {name} is damaged ({text}): stop ComfyUI and put a copy of it back (without its files -wal and "
        "-shm), or move it away to begin a new one, which may pay again for jobs in it."
    )
