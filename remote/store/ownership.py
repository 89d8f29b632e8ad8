"""Which process still lives: each holds a lock on a file of its own, which the system lets go when it dies."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import uuid
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{32}")
_STARTS = 5
"""So many names a process tries, since another one may sweep its file before it holds the lock."""


class Ownership:
    """This process's name among those that share `folder`, and the lock that shows it lives.

    Making one sweeps the files of processes that are shown dead. On a file system without locks nobody is ever shown
    dead, and leases expire by time alone. Raises OSError if the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self._handle = self._started(_STARTS)
        for path in folder.glob("*.lock"):
            self.is_dead(path.stem)

    def close(self) -> None:
        """Let go, so that others see this process as gone."""
        os.close(self._handle)
        self._remove(self.name)

    def is_dead(self, name: str) -> bool:
        """Whether the process called `name` is shown to be gone; its file goes too. False if that cannot be told."""
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
            if dead:
                self._remove(name)  # while the lock is held: a process that is only starting must see that it is gone
        finally:
            os.close(handle)
        if dead:
            self._remove(name)  # for Windows, which removes no file that is open, and so none of a living process
        return dead

    def _started(self, tries: int) -> tuple[str, int]:
        """A name with its file, and a handle that holds the lock unless the file system has none."""
        name = uuid.uuid4().hex
        handle = os.open(self._path(name), os.O_RDWR | os.O_CREAT, 0o600)
        if (_try_lock(handle) and self._path(name).exists()) or tries == 1:
            return name, handle
        os.close(handle)
        self._remove(name)
        return self._started(tries - 1)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _try_lock(handle: int) -> bool:
    """Whether the lock was free and is now held. False if the file system has none."""
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
