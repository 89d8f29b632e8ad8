"""The URLs of uploaded pictures, found by content, for as long as the service keeps them."""

from __future__ import annotations

from collections.abc import Callable

from .database import Database
from .schema import BASE_URL


class UploadUrls:
    """The uploads in a journal. `base_url` is that of a service, `digest` the SHA-256 (hex) of a picture."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._db = database
        self._wall = wall

    def find(self, base_url: str, digest: str, within: float) -> str | None:
        """Return the URL that the service gave this content in the last `within` seconds, or None."""
        row = self._db.row(
            f"SELECT url FROM uploads WHERE {BASE_URL} = ? AND digest = ? AND at BETWEEN ? AND ?",
            (base_url, digest, self._wall() - within, self._wall() + 60),
        )
        return None if row is None else str(row["url"])

    def keep(self, base_url: str, digest: str, url: str) -> None:
        """Remember an upload, made now."""
        self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", (base_url, digest, url, self._wall()))

    def forget(self, base_url: str, digest: str) -> None:
        """Forget an upload that the service may no longer have."""
        self._db.execute(f"DELETE FROM uploads WHERE {BASE_URL} = ? AND digest = ?", (base_url, digest))
