"""Which processes are still alive: each one holds a lock on its own file, which the system frees when it dies."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import uuid
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{32}")
_STARTS = 5
"""How many names a process tries: another process may delete its file before it holds the lock."""


class ProcessLock:
    """This process's name among those that share `folder`, and the lock that shows that it is alive.

    Creating one deletes the files of dead processes. On a file system without locks no process is ever found dead, and
    leases only expire by time. Raise OSError if the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self._handle = self._started(_STARTS)
        for path in folder.glob("*.lock"):
            self.is_dead(path.stem)

    def close(self) -> None:
        """Release the lock, so that other processes see that this one is gone."""
        os.close(self._handle)
        self._remove(self.name)

    def is_dead(self, name: str) -> bool:
        """Return whether the process called `name` is certainly gone, and delete its file if so."""
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
                self._remove(
                    name
                )  # while the lock is held: a process that is just starting must see that its file is gone
        finally:
            os.close(handle)
        if dead:
            self._remove(name)  # for Windows, which does not remove an open file, and so never one of a live process
        return dead

    def _started(self, tries: int) -> tuple[str, int]:
        """Return a name whose file exists, and a handle that holds its lock if the file system has locks."""
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
    """Return whether the lock was free and is now held; False on a file system without locks."""
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
