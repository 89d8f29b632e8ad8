"""Which process still lives: each holds a lock on a file of its own, which the system lets go when it dies."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import uuid
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{32}")


class Ownership:
    """This process's name among those that share `folder`, and the lock that shows it lives.

    Where the file system has no locks, nobody is ever shown dead, and leases expire by time alone.
    """

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path(self.name), os.O_RDWR | os.O_CREAT, 0o600)
        _try_lock(self._handle)

    def close(self) -> None:
        """Lets go, so that others see this process as gone."""
        os.close(self._handle)
        with contextlib.suppress(OSError):
            self._path(self.name).unlink()

    def is_dead(self, name: str) -> bool:
        """Whether the process called `name` is shown to be gone. False where that cannot be told."""
        if name == self.name or not _NAME.fullmatch(name):
            return False
        try:
            handle = os.open(self._path(name), os.O_RDWR)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            dead = _try_lock(handle)
        finally:
            os.close(handle)
        if dead:
            with contextlib.suppress(OSError):
                self._path(name).unlink()
        return dead

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _try_lock(handle: int) -> bool:
    """Whether the lock was free and is now held. False where the file system has none."""
    try:
        if os.name == "nt":
            msvcrt = importlib.import_module("msvcrt")
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl = importlib.import_module("fcntl")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
