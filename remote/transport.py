"""One exchange over HTTP, with what `requests` alone does not tell or keep: whether a byte was sent, a limit on the
whole time and size, and a connection to an address that was checked before."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeAlias

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util import connection as sockets

from .addresses import is_loopback, origin_of

_CHUNK = 65536
_TLS_WORDS = ("sslerror", "sslcert", "ssleof", "[ssl")
"""Names of errors: shorter words are in those of the pools and of hosts too."""


@dataclass(frozen=True)
class Call:
    """What to send. `connect`, `read` and `total` in seconds, `max_bytes` of the answer's body.

    `address` is the numeric address to connect to instead of asking DNS. `fresh` takes no connection used before, so
    that a failure cannot mean a stale one. The body is not shown: it holds the key.
    """

    method: str
    url: str
    body: bytes | None = field(default=None, repr=False)
    connect: float = 10.0
    read: float = 60.0
    total: float = 60.0
    max_bytes: int = 4_000_000
    address: str | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Reply:
    """What came back, whole. Header names are lower case; no redirect was followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class NotSent(Exception):
    """No byte of the request left this machine. `offline` where the network, not the service, is the reason."""

    def __init__(self, reason: str, offline: bool = False) -> None:
        super().__init__(reason)
        self.offline = offline


class NoAnswer(Exception):
    """The request, or a part of it, was sent; no whole answer was read."""


Transport: TypeAlias = Callable[[Call], Reply]
"""Sends one call. Raises NotSent or NoAnswer, and nothing else."""


class RequestsTransport:
    """A Transport on one pooled `requests` session. It follows no redirect, keeps no cookie and reads no .netrc; the
    proxies of the environment are used for what is not pinned to an address."""

    def __init__(self) -> None:
        self._watches = _Watches()
        self._session = self._new_session()

    def __call__(self, call: Call) -> Reply:
        watch = _Watch(call.address)
        self._watches.current = watch
        timer = threading.Timer(call.total, watch.expire)
        timer.daemon = True
        timer.start()
        try:
            if not call.fresh:
                return self._exchange(self._session, call, watch)
            with contextlib.closing(self._new_session()) as session:
                return self._exchange(session, call, watch)
        except (NotSent, NoAnswer):
            raise
        except Exception as error:
            raise _told(error, watch, call.total) from None
        finally:
            timer.cancel()
            self._watches.current = None

    def close(self) -> None:
        """Closes pooled connections."""
        self._session.close()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(self._watches)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _exchange(self, session: requests.Session, call: Call, watch: _Watch) -> Reply:
        headers = {"Accept-Encoding": "identity", "Accept": "*/*", "User-Agent": "image-mixer"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.fresh:
            headers["Connection"] = "close"
        origin = origin_of(call.url)
        direct = call.address is not None or (origin is not None and is_loopback(origin.host))
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        prepared = session.prepare_request(requests.Request(call.method, call.url, headers=headers, data=call.body))
        response = session.send(
            prepared, stream=True, allow_redirects=False, timeout=(call.connect, call.read), verify=bundle or True,
            proxies={} if direct else get_environ_proxies(call.url),
        )
        try:
            body = _read(response, call.max_bytes, watch)
        finally:
            response.close()
        return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def system_resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a host, as the system's resolver gives them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Watch:
    """What is known about the exchange of one thread."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.sent = False
        self.expired = False
        self.socket: Any = None

    def expire(self) -> None:
        self.expired = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class _Watches(threading.local):
    current: _Watch | None = None


class _Watched:
    """What the two kinds of connection do more than urllib3's: they report to the watch of their thread."""

    watches: _Watches
    sock: Any
    _connecting = False

    def _new_conn(self) -> Any:
        watch = self.watches.current
        if watch is None:
            return super()._new_conn()  # type: ignore[misc]
        watch.socket = super()._new_conn() if watch.address is None else self._pinned(watch.address)  # type: ignore[misc]
        return watch.socket

    def _pinned(self, address: str) -> Any:
        me: Any = self
        try:
            return sockets.create_connection(
                (address, me.port), me.timeout, source_address=me.source_address, socket_options=me.socket_options
            )
        except OSError as error:
            raise NewConnectionError(me, f"{type(error).__name__}") from error

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        watch = self.watches.current
        if watch is not None and not self._connecting:
            if watch.expired:
                raise TimeoutError
            watch.socket = self.sock
            watch.sent = True
        super().send(data)  # type: ignore[misc]


class _PlainConnection(_Watched, HTTPConnection):
    pass


class _TLSConnection(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """requests' adapter with watched connections, and no retries of its own."""

    def __init__(self, watches: _Watches) -> None:
        self._watches = watches
        super().__init__(pool_connections=16, pool_maxsize=32, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        self._watch(manager)
        return manager

    def _watch(self, manager: urllib3.PoolManager) -> None:
        manager.pool_classes_by_scheme = {"http": self._plain_pool, "https": self._tls_pool}  # type: ignore[dict-item]

    def _plain_pool(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        return self._reporting(_PlainPool(*args, **kwargs))

    def _tls_pool(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        return self._reporting(_TLSPool(*args, **kwargs))

    def _reporting(self, pool: HTTPConnectionPool) -> HTTPConnectionPool:
        make, watches = pool.ConnectionCls, self._watches

        def connection(*args: Any, **kwargs: Any) -> Any:
            made: Any = make(*args, **kwargs)
            made.watches = watches
            return made

        pool.ConnectionCls = connection  # type: ignore[assignment]
        return pool


def _read(response: requests.Response, max_bytes: int, watch: _Watch) -> bytes:
    stated = response.headers.get("Content-Length", "")
    if stated.isdigit() and int(stated) > max_bytes:
        raise NoAnswer(f"the answer is larger than {max_bytes // 1000} kB")
    parts: list[bytes] = []
    size = 0
    while chunk := response.raw.read(_CHUNK, decode_content=False):
        size += len(chunk)
        if size > max_bytes:
            raise NoAnswer(f"the answer is larger than {max_bytes // 1000} kB")
        parts.append(chunk)
    if watch.expired:
        raise TimeoutError
    if stated.isdigit() and size < int(stated):
        raise NoAnswer("the answer was cut short")
    return _unpacked(b"".join(parts), response.headers.get("Content-Encoding", ""), max_bytes)


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "deflate"):
        raise NoAnswer(f"the answer is packed as {encoding[:20]!r}")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    unpacked = inflater.decompress(body, max_bytes)
    if inflater.unconsumed_tail:
        raise NoAnswer(f"the answer is larger than {max_bytes // 1000} kB")
    return unpacked


def _told(error: Exception, watch: _Watch, total: float) -> NotSent | NoAnswer:
    if watch.sent:
        if watch.expired:
            return NoAnswer(f"no whole answer in {total:g} s")
        slow = isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in str(error)
        return NoAnswer("no answer in time" if slow else "the connection broke before the answer was whole")
    text = f"{type(error).__name__} {error}".lower()
    if any(word in text for word in _TLS_WORDS):
        return NotSent("no secure connection (TLS): its certificate or encryption is not accepted")
    if any(word in text for word in ("resolve", "getaddrinfo", "name or service", "unreachable", "gaierror")):
        return NotSent("the network or the name does not answer", offline=True)
    if watch.expired or isinstance(error, requests.Timeout) or "timed out" in text or isinstance(error, TimeoutError):
        return NotSent("no connection in time", offline=True)
    return NotSent("the connection is refused")
