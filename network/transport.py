"""One HTTP exchange, with what `requests` lacks: whether a byte was sent, limits on the whole time and size, and
connections to addresses that were checked before."""

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

from ..mixing.urls import origin_of
from .addresses import Resolve, is_loopback
from .connections import Watch, WatchedAdapter, Watches
from .lookups import in_time

_CHUNK = 65536
_TLS_WORDS = ("sslerror", "sslcert", "ssleof", "[ssl")
"""Parts of error names. Shorter words also occur in the names of pools and hosts."""

_TUNNEL = re.compile(r"tunnel connection failed: (\d{3})")


@dataclass(frozen=True)
class Call:
    """One request. `connect`, `read`, and `total` in seconds; `max_bytes` limits the answer's body.

    If numeric `addresses` are given, connect to them in turn, without DNS or a proxy. If `proxy` is given, use that one.
    With neither, use the environment's proxies for all hosts except this machine. `fresh` opens a new connection, so that
    a failure cannot come from a stale one. The repr hides body and proxy: they may contain a key and a password.
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
    """A complete answer. Header names are in lower case. Redirects are not followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class NotSent(Exception):
    """No byte of the request was sent. `offline`: because of this machine's network, not of the service."""

    def __init__(self, reason: str, offline: bool = False) -> None:
        super().__init__(reason)
        self.offline = offline


class NoAnswer(Exception):
    """The request, or a part of it, was sent, but no complete answer was read."""


class TooLarge(NoAnswer):
    """The answer is larger than the call allows."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the answer is larger than {max_bytes // 1000} kB")


Transport: TypeAlias = Callable[[Call], Reply]
"""Send one call and return the reply. Raise NotSent or NoAnswer, and nothing else."""


def system_resolve(host: str, port: int) -> list[str]:
    """Return the numeric addresses, IPv6 and IPv4, that the system's resolver finds for a host. Raise OSError if none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("a part of the name is empty or too long") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def environment_proxy(url: str) -> str:
    """Return the proxy for `url`, or "" if there is none.

    It comes from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, or from the system's settings on Windows and macOS. This
    may look the host up: call it with a time limit.
    """
    return select_proxy(url, get_environ_proxies(url)) or ""


class RequestsTransport:
    """A Transport on one pooled `requests` session.

    It follows no redirects, keeps no cookies, and does not read .netrc. It uses the environment's proxies for calls that
    are not pinned to addresses, and tries every address of a host name in turn. The name look-up and the connection count
    toward a call's total, also if `resolve` hangs.
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
            raise _translated(error, watch, call.total) from None
        finally:
            timer.cancel()
            self._watches.current = None

    def close(self) -> None:
        """Close the pooled connections."""
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
    """Return the `proxies` argument for requests. Raise NotSent if the proxy is of a kind that cannot be used."""
    origin = origin_of(call.url)
    proxy = call.proxy
    if not (proxy or call.addresses or (origin is not None and is_loopback(origin.host))):
        proxy = in_time(lambda: environment_proxy(call.url), watch.left())
    kind, named, _ = proxy.partition("://")
    if named and kind.lower() not in ("http", "https"):
        raise NotSent(
            f"the proxy that is set is of the kind {kind[:20]}, and only http and https proxies can be used", True
        )
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
        raise NoAnswer("the answer was cut off")
    return _unpacked(b"".join(parts), response.headers.get("Content-Encoding", ""), max_bytes)


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "deflate"):
        raise NoAnswer(f"the answer is compressed as {encoding[:20]!r}, which is not supported")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    unpacked = inflater.decompress(body, max_bytes)
    if inflater.unconsumed_tail:
        raise TooLarge(max_bytes)
    return unpacked


def _translated(error: Exception, watch: Watch, total: float) -> NotSent | NoAnswer:
    """Return what an error of requests or urllib3 means. Some causes show only in its text."""
    if watch.sent:
        if watch.expired:
            return NoAnswer(f"no complete answer in {round(total, 1):g} s")
        slow = isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in str(error)
        return NoAnswer("no answer in time" if slow else "the connection broke before the answer was complete")
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
        return NotSent("no secure connection (TLS): the certificate or encryption is not accepted")
    if isinstance(error, requests.exceptions.InvalidProxyURL) or proxied:
        return NotSent("the proxy that is set cannot be used", True)
    if watch.expired or isinstance(error, (requests.Timeout, TimeoutError)) or "timed out" in text:
        return NotSent("no connection in time", offline=True)
    return NotSent("the connection is refused")
