"""Pictures go to the service once each, by their content; their URLs are used again while they live."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...mixing.mix import Picture
from ..client import Client
from ..store.journal import Journal
from ..timing import Backoff, Pause

REUSED = 23 * 3600.0
"""Seconds for which a URL is used again; the service keeps it 24 hours."""


@dataclass
class Uploads:
    """The pictures of one run, each uploaded at most once at a time to the endpoint of `client`."""

    client: Client
    journal: Journal
    encode: Callable[[Picture, int, int], tuple[bytes, str]]
    backoff: Backoff
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)

    def url(self, picture: Picture, pause: Pause) -> str:
        """The URL of `picture` at the service. Raises EngineError where the service does not take it."""
        place = self.client.endpoint.base_url
        with self._lock:
            one = self._locks.setdefault(picture.digest, threading.Lock())
        with one:
            known = self.journal.uploads.find(place, picture.digest, REUSED)
            if known is not None:
                return known
            pause(0.0)
            data, mime = self.encode(picture, self.client.wire.upload_bytes, self.client.wire.limits.side[1])
            uri = f"data:{mime};base64,{base64.b64encode(data).decode()}"
            url = self.client.upload(uri, pause, self.backoff)
            self.journal.uploads.keep(place, picture.digest, url)
            self._fresh.add(picture.digest)
            return url

    def forget(self, pictures: tuple[Picture, ...], used: Mapping[str | None, str]) -> bool:
        """Forget the addresses from before this run, which the service may no longer know.

        True if any of these pictures will now have another address than the one `used`, by digest.
        """
        place, stale = self.client.endpoint.base_url, False
        with self._lock:
            for picture in pictures:
                if picture.digest not in self._fresh:
                    self.journal.uploads.forget(place, picture.digest)
                    stale = True
                elif self.journal.uploads.find(place, picture.digest, REUSED) != used.get(picture.digest):
                    stale = True  # another job of this run has uploaded it anew
        return stale
