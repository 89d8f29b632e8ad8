"""The pictures of finished jobs: one file per image, written whole or not at all, the oldest deleted first."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from ..errors import StoreError


class Results:
    """Files under `folder`, at most `cap` bytes in all."""

    def __init__(self, folder: Path, cap: int) -> None:
        self._folder = folder
        self._cap = cap

    def keep(self, identity: str, index: int, data: bytes) -> tuple[str, int]:
        """Store image `index` of a job; return its SHA-256 (hex) and size. Raise StoreError, e.g. on a full disk."""
        path = self._path(identity, index)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(
                f"The image cannot be stored ({error.strerror}): make room, then queue again. It is already paid for and "
                "will be downloaded, not generated again."
            ) from error
        return hashlib.sha256(data).hexdigest(), len(data)

    def read(self, identity: str, index: int, digest: str) -> bytes | None:
        """Return the bytes as they were stored, or None if the file is gone or was changed."""
        path = self._path(identity, index)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def trim(self, kept: frozenset[str]) -> None:
        """Delete the oldest images until the rest fit the cap; keep those of the jobs in `kept`."""
        files = []
        for path in self._folder.glob("*/*.image"):
            with contextlib.suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._cap:
                return
            if path.stem.rpartition("-")[0] in kept:
                continue
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size

    def _path(self, identity: str, index: int) -> Path:
        return self._folder / identity[:2] / f"{identity}-{index}.image"
