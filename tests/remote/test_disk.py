"""A disk that fails at any step of a job and is then repaired: the next run in the same process gets the picture."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import MixError
from image_mixer.remote.engine import Engine
from image_mixer.remote.errors import StoreError, UnknownOutcome
from image_mixer.tests.remote import harness
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Manners

PACE = 20.0
SEED = 2**62 + 5
KINDS = ("full", "readonly", "locked")
MOST_STEPS = 400
ENDS_WITHIN = 30.0


@dataclass
class Disk:
    """A disk between an engine and its journal, which breaks at statement number `at`. `kind` is how."""

    kind: str
    file: Path
    at: int
    steps: int = 0
    broken: bool = False
    real: Any = None
    _rival: sqlite3.Connection | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def execute(self, statement: str, *values: Any) -> Any:
        with self._lock:
            self.steps += 1
            if self.steps == self.at:
                self.break_()
        writes = not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "ROLLBACK"))
        if self.broken and self.kind == "full" and writes:
            raise sqlite3.OperationalError("database or disk is full")
        return self.real.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def break_(self) -> None:
        self.broken = True
        if self.kind == "readonly":
            self.real.execute("PRAGMA query_only = ON")
        elif self.kind == "locked" and not self.real.in_transaction:
            self._rival = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False, timeout=1.0)
            self._rival.execute("BEGIN IMMEDIATE")

    def repair(self) -> None:
        self.broken = False
        if self.kind == "readonly":
            self.real.execute("PRAGMA query_only = OFF")
        if self._rival is not None:
            self._rival.close()

    def keep(self, kept: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that stores pictures as `kept` does, on this disk."""

        def keep(*values: Any) -> Any:
            if self.broken and self.kind != "locked":
                number = errno.ENOSPC if self.kind == "full" else errno.EROFS
                raise StoreError(f"The image cannot be stored ({errno.errorcode[number]}).")
            return kept(*values)

        return keep


def scene(folder: Path, service: Service, kind: str, at: int) -> tuple[Engine, Disk]:
    """Return an engine and the disk that breaks under it."""
    folder.mkdir()
    disk = Disk(kind, folder / "journal.sqlite", at)
    engine = harness.engine(
        service.base,
        folder,
        clock=lambda: time.monotonic() * PACE,
        busy_seconds=0.05,
        sleep=lambda seconds: time.sleep(seconds / PACE),
    )
    disk.real, engine.journal._db._db = engine.journal._db._db, disk  # type: ignore[assignment]
    engine.results.keep = disk.keep(engine.results.keep)  # type: ignore[method-assign]
    return engine, disk


def played(folder: Path, kind: str, at: int) -> int:
    """Break at a step, repair, and run again. Return how many statements the first run took."""
    with Service(manners=Manners(took=[0.05])) as service:
        service.state.clock = lambda: time.monotonic() * PACE
        service.start()
        engine, disk = scene(folder, service, kind, at)
        order = harness.order(harness.recipe(seed=SEED))
        try:
            engine.run(order)
        except MixError as error:
            assert isinstance(error, (StoreError, UnknownOutcome)), error
            assert "\n" not in str(error)
        steps = disk.steps
        if disk.broken:
            disk.repair()
        began = time.monotonic()
        outcome = engine.start(order).result(ENDS_WITHIN)
        assert time.monotonic() - began < ENDS_WITHIN
        assert outcome.images == (harness.rendered(order.recipe),), (kind, at)
        assert len(service.state.paid) == 1, (kind, at)
        service.shutdown()
    return steps


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_fails_at_each_step(tmp_path: Path, kind: str) -> None:
    steps = played(tmp_path / "whole", kind, MOST_STEPS)
    assert 20 < steps < MOST_STEPS
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: played(tmp_path / str(at), kind, at), range(1, steps + 1)))
