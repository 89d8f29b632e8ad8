"""Which addresses a server may be made to talk to: the owner's endpoints, and what their answers may name.

A URL is judged by the text that will really be used: one that two parsers could read in two ways is refused outright.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

LONGEST_URL = 4096
_PLAIN = frozenset(map(chr, range(0x21, 0x7F))) - set('\\"<>^`{|}')
_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
_FILES = re.compile(r"file|[a-z]")
"""The schemes of files: a letter alone is a drive of Windows."""

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], list[str]]
"""Host and port to the numeric addresses that the name stands for. May raise OSError."""

# Written out, because Python's own is_global and is_private change with its version. Source: IANA's registries of
# special-purpose addresses, https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry.
_SPECIAL_IPV4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
"""All that is given out. Outside lie ::/96, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7, fe80::/10, fec0::/10, ff00::/8."""
_SPECIAL_IPV6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""What a network without IPv4 gives for a place that has IPv4 alone."""
_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)

_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
"""A name with a dot whose last part is no number: `127.1` and `0x7f.1` are addresses to some programs."""
_LOCAL_NAMES = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".lan",
    ".arpa",
    ".test",
    ".invalid",
    ".onion",
    ".alt",
)
"""Ends of names that no public DNS knows: RFC 6761, 6762 (its appendix G too), 7686, 8375, 9476, and ICANN's .internal."""


@dataclass(frozen=True)
class Origin:
    """Scheme, host (lower case) and port of a URL."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True)
class Way:
    """How a download may be reached: at one of `addresses`, which were checked, or by way of `proxy`, or, if both are
    empty, as the endpoint is. The proxy is not shown: its address may hold a password."""

    addresses: tuple[str, ...] = ()
    proxy: str = field(default="", repr=False)


class Disallowed(Exception):
    """A URL that this server does not contact. The text says why, in a few words of which "it" is the address."""


def is_plain_url(text: str) -> bool:
    """Whether `text` is an http(s) URL that every parser reads alike: printable ASCII, a host, no user name."""
    return origin_of(text) is not None


def origin_of(url: str) -> Origin | None:
    """The origin of `url`, or None if it is not a plain http(s) URL."""
    try:
        return plain_origin(url)
    except Disallowed:
        return None


def plain_origin(url: str) -> Origin:
    """The origin of `url`. Raises Disallowed, with what is wrong, if it is not a plain http(s) URL."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise Disallowed("it names no scheme such as https")
    if scheme[1].lower() not in _PORTS:
        raise Disallowed(_other_scheme(scheme[1].lower()))
    if len(url) > LONGEST_URL:
        raise Disallowed(f"it is longer than {LONGEST_URL} characters")
    if not set(url) <= _PLAIN:
        raise Disallowed("it holds characters that an address cannot have")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        raise Disallowed("its host or port cannot be read") from None
    if "@" in parts.netloc:
        raise Disallowed("it holds a user name")
    if not host or "%" in parts.netloc:
        raise Disallowed("it names no host")
    return Origin(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)


def literal(host: str) -> IPAddress | None:
    """The address that `host` spells in numbers (an IPv4 one in IPv6's clothes as IPv4), or None if it is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its spelling."""
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def is_private(host: str) -> bool:
    """Whether `host` is an address of this machine or of a local network, spelled in numbers."""
    address = literal(host)
    return address is not None and any(address in network for network in _LOCAL)


def is_public(text: str) -> bool:
    """Whether the numeric address `text` is one of the public internet, whatever it is wrapped in."""
    address = literal(text)
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    return address is not None and address in _GLOBAL_IPV6 and not any(address in net for net in _SPECIAL_IPV6)


def is_public_by_text(host: str) -> bool:
    """Whether `host` can be a place on the public internet, as far as its text tells: a public address in numbers, or a
    full name that does not end as names of local networks do. What such a name stands for is not looked up."""
    if literal(host) is not None:
        return is_public(host)
    return _NAME.fullmatch(host) is not None and not host.endswith(_LOCAL_NAMES)


def way_to(url: str, own: Origin, hosts: tuple[str, ...], resolve: Resolve, proxy_of: Callable[[str], str]) -> Way:
    """The way to a download of `url`. A place of the owner's (`own`, the endpoint's origin, and https on `hosts`) is
    reached as the endpoint is. Any other place must be https and on the public internet.

    If `proxy_of(url)` names no proxy, the host is looked up here: each of its addresses must be public, and the way is
    pinned to them, so that a later look-up cannot lead elsewhere. With a proxy, the proxy looks the host up, often where
    this server cannot: then only the text is checked (see `is_public_by_text`), and a public-looking name that stands
    for a private address is the proxy's to refuse.

    Raises Disallowed on a place that may not be asked, and OSError if its name is not found.
    """
    origin = plain_origin(url)
    if origin == own or (origin.scheme == "https" and origin.host in hosts):
        return Way()
    if origin.scheme != "https":
        raise Disallowed("it is not https")
    proxy = proxy_of(url)
    if proxy:
        if not is_public_by_text(origin.host):
            raise Disallowed("it is not on the public internet")
        return Way(proxy=proxy)
    addresses = (origin.host,) if literal(origin.host) else tuple(resolve(origin.host, origin.port))
    if not addresses or not all(is_public(address) for address in addresses):
        raise Disallowed("it is not on the public internet")
    return Way(addresses)


def _other_scheme(scheme: str) -> str:
    if scheme == "data":
        return "it is a data URI without a whole picture"
    if _FILES.fullmatch(scheme):
        return "it is a file on the service's machine"
    return f"it is not https ({scheme[:20]})"
