"""Uploading pictures: once per content, and the URL is used again while the service keeps it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...mixing.mix import Picture
from ..client import Client
from ..store.journal import Journal
from ..timing import Backoff, Pause

MAX_BYTES = 5_000_000
MAX_SIDE = 1024
"""The service mixes at most 1024 pixels per side and accepts at most 5 MB per upload."""

REUSED = 23 * 3600.0
"""Seconds for which a URL is used again; the service keeps it for 24 hours."""


@dataclass
class Uploads:
    """The pictures of one run. Each is uploaded to the endpoint of `client` by one thread at a time.

    `encode(picture, max_bytes, max_side)` returns (bytes, MIME type).
    """

    client: Client
    journal: Journal
    encode: Callable[[Picture, int, int], tuple[bytes, str]]
    backoff: Backoff
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)

    def url(self, picture: Picture, pause: Pause) -> str:
        """Return the URL of `picture` at the service. Raise EngineError if the service does not accept it."""
        base_url = self.client.endpoint.base_url
        with self._lock:
            lock = self._locks.setdefault(picture.digest, threading.Lock())
        with lock:
            known = self.journal.uploads.find(base_url, picture.digest, REUSED)
            if known is not None:
                return known
            pause(0.0)
            data, mime = self.encode(picture, MAX_BYTES, MAX_SIDE)
            uri = f"data:{mime};base64,{base64.b64encode(data).decode()}"
            url = self.client.upload(uri, pause, self.backoff)
            self.journal.uploads.keep(base_url, picture.digest, url)
            self._fresh.add(picture.digest)
            return url

    def forget(self, pictures: tuple[Picture, ...], used: Mapping[str, str]) -> bool:
        """Forget the URLs from before this run, which the service may have deleted.

        Return whether any of `pictures` now has another URL than the one in `used` (by digest), or has to get one.
        """
        base_url, stale = self.client.endpoint.base_url, False
        with self._lock:
            for picture in pictures:
                if picture.digest not in self._fresh:
                    self.journal.uploads.forget(base_url, picture.digest)
                    stale = True
                elif self.journal.uploads.find(base_url, picture.digest, REUSED) != used.get(picture.digest):
                    stale = True  # another job of this run has uploaded it again
        return stale
