"""Guarded downloads of pictures: from public https addresses and from hosts that the owner trusts, never with a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

from ..mixing.errors import ImageError
from ..mixing.urls import Origin
from .addresses import Disallowed, Resolve, route_to
from .lookups import in_time
from .pictures import picture_bytes
from .transport import Call, NoAnswer, NotSent, Reply, TooLarge, Transport, environment_proxy

MAX_BYTES = 64_000_000
MAX_REDIRECTS = 5

_GONE = (401, 403, 404, 410, 451)


@dataclass(frozen=True)
class Missed:
    """Why a download failed.

    `gone`: the server says that it does not have the picture (yet). `barred`: the URL must not be contacted, or can never
    work. `spoilt`: what arrived is not a picture.
    """

    reason: str
    gone: bool = False
    barred: bool = False
    spoilt: bool = False


@dataclass(frozen=True)
class Downloader:
    """Downloads pictures through `transport`.

    `resolve` looks host names up, and `check` raises ImageError on bytes that are not a whole picture. `own` and `hosts`
    are trusted by the owner and may be private (see `route_to`). `connect`, `read`, and `total` are time limits in
    seconds, the last one for a whole download with its redirects.
    """

    transport: Transport
    resolve: Resolve
    check: Callable[[bytes], None]
    own: Origin | None = None
    hosts: tuple[str, ...] = ()
    connect: float = 10.0
    read: float = 60.0
    total: float = 120.0

    def picture(self, url: str) -> bytes | Missed:
        """Return the picture at `url`, or why there is none. Raise nothing.

        Follow at most MAX_REDIRECTS redirects and check each of them like the first URL. `url` may be any text: if it
        holds a picture itself, as a data URI or as base64, return that one.
        """
        end = time.monotonic() + self.total
        for _ in range(MAX_REDIRECTS + 1):
            try:
                reply = self._get(url, end)
            except Disallowed as error:
                return self._held_in(url, f"its address is not allowed: {error}")
            except TimeoutError:
                return Missed("the host of the image was not looked up in time")
            except OSError:
                return Missed("the host of the image is not found")
            except (NotSent, NoAnswer) as error:
                return Missed(str(error), barred=isinstance(error, TooLarge))
            if 300 <= reply.status < 400 and "location" in reply.headers:
                try:
                    url = urljoin(url, reply.headers["location"])
                except ValueError:
                    return Missed("it redirects to an address that cannot be read", barred=True)
                continue
            if reply.status != 200:
                return Missed(f"HTTP {reply.status}", gone=reply.status in _GONE)
            try:
                return self._checked(reply.body)
            except ImageError as error:
                return Missed(str(error), spoilt=True)
        return Missed(f"more than {MAX_REDIRECTS} redirects", barred=True)

    def _held_in(self, link: str, otherwise: str) -> bytes | Missed:
        try:
            return self._checked(link.encode("ascii", "replace"))
        except ImageError:
            return Missed(otherwise, barred=True)

    def _checked(self, body: bytes) -> bytes:
        data = picture_bytes(body)
        self.check(data)
        return data

    def _get(self, url: str, end: float) -> Reply:
        """Fetch `url` until `end` of the monotonic clock, with the look-up of its name. Raise as `route_to` and `transport`
        do, and TimeoutError."""
        route = in_time(
            lambda: route_to(url, self.own, self.hosts, self.resolve, environment_proxy), end - time.monotonic()
        )
        left = max(0.001, end - time.monotonic())
        return self.transport(
            Call("GET", url, None, self.connect, self.read, left, MAX_BYTES, route.addresses, route.proxy)
        )
