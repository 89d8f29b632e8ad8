"""urllib3 connections that record whether a byte of the request was sent, connect to given addresses, and keep within
the time limit of their call, including the name look-up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import connection as sockets

from .addresses import Resolve, literal
from .lookups import in_time

T = TypeVar("T")


class NotConnected(OSError):
    """No connection was made. `offline`: because of the network, not of the host that was called."""

    def __init__(self, reason: str, offline: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offline = offline


class Watch:
    """The state of one thread's exchange, and its time limits.

    Limits in seconds: `connect` per address, `read` per socket operation, `total` from now on. If `addresses` are given,
    connect to them instead of asking `resolve`.
    """

    def __init__(self, addresses: tuple[str, ...], connect: float, read: float, total: float, resolve: Resolve) -> None:
        self.addresses = addresses
        self.connect = connect
        self.read = read
        self.sent = False
        self.expired = False
        self.socket: Any = None
        self.problem: NotConnected | None = None
        self._resolve = resolve
        self._end = time.monotonic() + total

    def left(self) -> float:
        """Return how many seconds of the total are left."""
        return self._end - time.monotonic()

    def expire(self) -> None:
        """Abort the exchange."""
        self.expired = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def connected(self, host: str, port: int, open_one: Callable[[str, float], Any]) -> Any:
        """Return a socket to `host` from `open_one(address, seconds)`, called for each address in turn.

        Raise NotConnected if none of them can be opened.
        """
        try:
            addresses = self.addresses or self._looked_up(host.strip("[]"), port)
            self.socket = first_that_answers(addresses, open_one, self.connect, self.left)
        except NotConnected as error:
            self.problem = error
            raise
        # This limits the TLS handshake, or the answer of a proxy.
        self.socket.settimeout(max(0.001, min(self.connect, self.left())))
        return self.socket

    def _looked_up(self, host: str, port: int) -> Sequence[str]:
        if literal(host):
            return [host]
        try:
            return in_time(lambda: self._resolve(host, port), self.left())
        except TimeoutError:
            raise NotConnected("its host name was not looked up in time", True) from None
        except OSError:
            raise NotConnected("the network does not answer, or the host name does not exist", True) from None


class Watches(threading.local):
    """The watch of each thread's exchange."""

    current: Watch | None = None


def first_that_answers(
    addresses: Sequence[str], open_one: Callable[[str, float], T], each: float, left: Callable[[], float]
) -> T:
    """Return what `open_one(address, seconds)` returns for the first of `addresses` that it can open.

    Each address gets at most `each` seconds, and at most an equal share of the seconds `left`, so that a silent one
    leaves time for those after it. Raise NotConnected with the most telling reason: refused, then silent, then
    unreachable.
    """
    met: list[OSError] = []
    for index, address in enumerate(addresses):
        seconds = min(each, left() / (len(addresses) - index))
        if seconds <= 0:
            met.append(TimeoutError())
            break
        try:
            return open_one(address, seconds)
        except OSError as error:
            met.append(error)
    if any(isinstance(error, ConnectionRefusedError) for error in met):
        raise NotConnected("the connection is refused", False)
    if any(isinstance(error, TimeoutError) for error in met):
        raise NotConnected("no connection in time", True)
    raise NotConnected("the network does not answer, or the host name does not exist", True)


class _Watched:
    """What both kinds of connection add to urllib3's: they report to the watch of their thread."""

    watches: Watches
    sock: Any
    _connecting = False

    def _new_conn(self) -> Any:
        me: Any = self

        def open_one(address: str, seconds: float) -> Any:
            return sockets.create_connection((address, me.port), seconds, me.source_address, me.socket_options)

        return self._watch.connected(me._dns_host, me.port, open_one)

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if not self._connecting:
            watch = self._watch
            if watch.expired:
                raise TimeoutError
            watch.socket = getattr(self.sock, "socket", self.sock)  # with TLS to a proxy, urllib3 wraps it once more
            watch.sent = True
            self.sock.settimeout(watch.read)  # otherwise urllib3 sends a large body under the connect limit
        super().send(data)  # type: ignore[misc]

    @property
    def _watch(self) -> Watch:
        watch = self.watches.current
        assert watch is not None, "a connection is used only within an exchange of its thread"
        return watch


class _PlainConnection(_Watched, HTTPConnection):
    pass


class _TLSConnection(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class WatchedAdapter(HTTPAdapter):
    """The adapter of requests, without retries, whose connections report to `watches`."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        super().__init__(pool_connections=16, pool_maxsize=32, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pools for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Create the pools for connections through a proxy."""
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
