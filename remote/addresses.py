"""Which addresses a server may be made to talk to: the owner's endpoints, and what their answers may name.

A URL is judged by the text that will really be used: one that two parsers could read in two ways is refused outright.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

LONGEST_URL = 4096
_PLAIN = frozenset(map(chr, range(0x21, 0x7F))) - set('\\"<>^`{|}')
_PORTS = {"http": 80, "https": 443}

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], list[str]]
"""Host and port to the numeric addresses that the name stands for. May raise OSError."""


@dataclass(frozen=True)
class Origin:
    """Scheme, host (lower case) and port of a URL."""

    scheme: str
    host: str
    port: int


class Disallowed(Exception):
    """A URL that this server does not contact. The text says why, in a few words."""


def is_plain_url(text: str) -> bool:
    """Whether `text` is an http(s) URL that every parser reads alike: printable ASCII, a host, no user name."""
    return origin_of(text) is not None


def origin_of(url: str) -> Origin | None:
    """The origin of `url`, or None where it is no plain http(s) URL."""
    if len(url) > LONGEST_URL or not set(url) <= _PLAIN:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc or "%" in parts.netloc:
        return None
    return Origin(parts.scheme, host.rstrip(".").lower(), port or _PORTS[parts.scheme])


def literal(host: str) -> IPAddress | None:
    """The address that `host` spells in numbers, or None where it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its spelling."""
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def is_private(host: str) -> bool:
    """Whether `host` is an address of a local network, spelled in numbers."""
    address = literal(host)
    return address is not None and address.is_private and not address.is_unspecified


def is_public(text: str) -> bool:
    """Whether the numeric address `text` is globally routable, whatever it is wrapped in."""
    address = literal(text)
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def download_address(url: str, own: Origin, hosts: tuple[str, ...], resolve: Resolve) -> str | None:
    """Where to connect for a download of `url`: a numeric address that was checked, or None for a place of the owner's
    (`own`, the endpoint's origin, and https on `hosts`), which is resolved as usual.

    Raises Disallowed on any other place, and OSError where its name does not resolve.
    """
    origin = origin_of(url)
    if origin is None:
        raise Disallowed("it is no plain http or https address")
    if origin == own or (origin.scheme == "https" and origin.host in hosts):
        return None
    if origin.scheme != "https":
        raise Disallowed("it is not https")
    addresses = [origin.host] if literal(origin.host) else resolve(origin.host, origin.port)
    if not addresses or not all(is_public(address) for address in addresses):
        raise Disallowed("it is not on the public internet")
    return addresses[0]
