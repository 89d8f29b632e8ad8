"""One exchange over HTTP, with what `requests` alone does not tell or keep: whether a byte was sent, a limit on the
whole time and size, and a connection to an address that was checked before."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TypeAlias

import requests
from requests.utils import get_environ_proxies, select_proxy

from .addresses import Resolve, is_loopback, origin_of
from .connections import Watch, WatchedAdapter, Watches
from .lookups import in_time

_CHUNK = 65536
_TLS_WORDS = ("sslerror", "sslcert", "ssleof", "[ssl")
"""Names of errors: shorter words are in those of the pools and of hosts too."""

_TUNNEL = re.compile(r"tunnel connection failed: (\d{3})")


@dataclass(frozen=True)
class Call:
    """What to send. `connect`, `read` and `total` in seconds, `max_bytes` of the answer's body.

    `addresses` are numeric and are connected to, in turn, instead of asking DNS or a proxy; `proxy` is the one to go by.
    With neither, the environment's proxies serve all hosts but this machine. `fresh` takes no connection used before,
    so that a failure cannot mean a stale one. Body and proxy are not shown: they hold a key and maybe a password.
    """

    method: str
    url: str
    body: bytes | None = field(default=None, repr=False)
    connect: float = 10.0
    read: float = 60.0
    total: float = 60.0
    max_bytes: int = 4_000_000
    addresses: tuple[str, ...] = ()
    proxy: str = field(default="", repr=False)
    fresh: bool = False


@dataclass(frozen=True)
class Reply:
    """What came back, whole. Header names are lower case; no redirect was followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class NotSent(Exception):
    """No byte of the request left this machine. `offline` if the network, not the service, is the reason."""

    def __init__(self, reason: str, offline: bool = False) -> None:
        super().__init__(reason)
        self.offline = offline


class NoAnswer(Exception):
    """The request, or a part of it, was sent; no whole answer was read."""


class TooLarge(NoAnswer):
    """The answer has more bytes than the call allows."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the answer is larger than {max_bytes // 1000} kB")


Transport: TypeAlias = Callable[[Call], Reply]
"""Sends one call. Raises NotSent or NoAnswer, and nothing else."""


def system_resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a host, IPv6 and IPv4, as the system's resolver gives them. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("a part of the name is empty or too long") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def environment_proxy(url: str) -> str:
    """The proxy for `url` by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, or by the system's settings on Windows and
    macOS; "" if there is none. May look the host up: call it with a limit on the time."""
    return select_proxy(url, get_environ_proxies(url)) or ""


class RequestsTransport:
    """A Transport on one pooled `requests` session. It follows no redirect, keeps no cookie and reads no .netrc; the
    proxies of the environment are used for what is not pinned to addresses. Every address of a name is tried in turn.

    Looking a name up and connecting count against a call's total; `resolve` may hang without holding a call longer.
    """

    def __init__(self, resolve: Resolve = system_resolve) -> None:
        self._resolve = resolve
        self._watches = Watches()
        self._session = self._new_session()

    def __call__(self, call: Call) -> Reply:
        watch = Watch(call.addresses, call.connect, call.read, call.total, self._resolve)
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
        """Close pooled connections."""
        self._session.close()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = WatchedAdapter(self._watches)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _exchange(self, session: requests.Session, call: Call, watch: Watch) -> Reply:
        headers = {"Accept-Encoding": "identity", "Accept": "*/*", "User-Agent": "image-mixer"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.fresh:
            headers["Connection"] = "close"
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        prepared = session.prepare_request(requests.Request(call.method, call.url, headers=headers, data=call.body))
        response = session.send(
            prepared,
            stream=True,
            allow_redirects=False,
            timeout=(call.connect, call.read),
            verify=bundle or True,
            proxies=_proxies(call, watch),
        )
        try:
            body = _read(response, call.max_bytes, watch)
        finally:
            response.close()
        return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def _proxies(call: Call, watch: Watch) -> dict[str, str]:
    """What `requests` is told of proxies. Raises NotSent on one of a kind that cannot be used."""
    origin = origin_of(call.url)
    proxy = call.proxy
    if not (proxy or call.addresses or (origin is not None and is_loopback(origin.host))):
        proxy = in_time(lambda: environment_proxy(call.url), watch.left())
    kind, named, _ = proxy.partition("://")
    if named and kind.lower() not in ("http", "https"):
        raise NotSent(f"the proxy that is set is of the kind {kind[:20]}, and only http and https can be used", True)
    return {"http": proxy, "https": proxy} if proxy else {}


def _read(response: requests.Response, max_bytes: int, watch: Watch) -> bytes:
    stated = response.headers.get("Content-Length", "")
    if stated.isdigit() and int(stated) > max_bytes:
        raise TooLarge(max_bytes)
    parts: list[bytes] = []
    size = 0
    while chunk := response.raw.read(_CHUNK, decode_content=False):
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(max_bytes)
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
        raise TooLarge(max_bytes)
    return unpacked


def _told(error: Exception, watch: Watch, total: float) -> NotSent | NoAnswer:
    if watch.sent:
        if watch.expired:
            return NoAnswer(f"no whole answer in {round(total, 1):g} s")
        slow = isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in str(error)
        return NoAnswer("no answer in time" if slow else "the connection broke before the answer was whole")
    text = f"{type(error).__name__} {error}".lower()
    proxied = isinstance(error, requests.exceptions.ProxyError)
    if watch.problem is not None:
        if proxied:
            return NotSent(f"the proxy that is set cannot be reached ({watch.problem.reason})", True)
        return NotSent(watch.problem.reason, watch.problem.offline)
    tunnel = _TUNNEL.search(text)
    if tunnel is not None:
        return NotSent(f"the proxy that is set makes no connection (HTTP {tunnel[1]})", True)
    if any(word in text for word in _TLS_WORDS):
        return NotSent("no secure connection (TLS): its certificate or encryption is not accepted")
    if isinstance(error, requests.exceptions.InvalidProxyURL) or proxied:
        return NotSent("the proxy that is set cannot be used", True)
    if watch.expired or isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in text:
        return NotSent("no connection in time", offline=True)
    return NotSent("the connection is refused")
