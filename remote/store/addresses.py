"""The addresses of uploaded pictures, by what they hold, while the service keeps them."""

from __future__ import annotations

from collections.abc import Callable

from .database import Database


class UploadedAddresses:
    """The uploads in a journal. `place` is the base URL of a service, `digest` the SHA-256 (hex) of a picture."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._db = database
        self._wall = wall

    def find(self, place: str, digest: str, within: float) -> str | None:
        """The address under which `place` got this content in the last `within` seconds."""
        row = self._db.row(
            "SELECT url FROM uploads WHERE place = ? AND digest = ? AND at BETWEEN ? AND ?",
            (place, digest, self._wall() - within, self._wall() + 60),
        )
        return None if row is None else str(row["url"])

    def keep(self, place: str, digest: str, url: str) -> None:
        """Remember an upload from now on."""
        self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", (place, digest, url, self._wall()))

    def forget(self, place: str, digest: str) -> None:
        """Forget an upload that the service no longer finds."""
        self._db.execute("DELETE FROM uploads WHERE place = ? AND digest = ?", (place, digest))
