"""Decide which addresses this server may contact: the owner's endpoints, and what their answers may link to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ..mixing.urls import BadURL, Origin, plain_origin

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], list[str]]
"""Look up the numeric addresses of a host and port. May raise OSError."""

# Listed here because Python's own is_global and is_private differ between versions. Source: IANA's registries of
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
"""The range from which public addresses are assigned. It excludes ::/96, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7,
fe80::/10, fec0::/10, and ff00::/8."""
_SPECIAL_IPV6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""How an IPv6-only network writes the address of a host that has only IPv4."""
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
"""A name with a dot whose last part is not a number: some programs read `127.1` and `0x7f.1` as addresses."""
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
"""Name endings that public DNS does not serve: RFC 6761, 6762 (its appendix G too), 7686, 8375, 9476, and ICANN's .internal."""


@dataclass(frozen=True)
class Route:
    """How to reach a download: at one of the checked `addresses`, through `proxy`, or, if both are empty, the same way as
    the owner's endpoint. The repr hides the proxy, since its URL may contain a password."""

    addresses: tuple[str, ...] = ()
    proxy: str = field(default="", repr=False)


class Disallowed(Exception):
    """This server does not contact the URL. The message says why in a few words; in it, "it" is the URL."""


def literal(host: str) -> IPAddress | None:
    """Return the address that `host` writes in numbers, or None if it is a name. IPv4 within IPv6 is returned as IPv4."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def is_loopback(host: str) -> bool:
    """Return whether `host`, by its text, is this machine."""
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def is_private(host: str) -> bool:
    """Return whether `host` is a numeric address of this machine or of a local network."""
    address = literal(host)
    return address is not None and any(address in network for network in _LOCAL)


def is_public(text: str) -> bool:
    """Return whether the numeric address `text` belongs to the public internet, also if it is IPv4 within IPv6."""
    address = literal(text)
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    return address is not None and address in _GLOBAL_IPV6 and not any(address in net for net in _SPECIAL_IPV6)


def is_public_by_text(host: str) -> bool:
    """Return whether the text of `host` may be public: a public numeric address, or a full name without an ending of
    local networks. The name is not looked up."""
    if literal(host) is not None:
        return is_public(host)
    return _NAME.fullmatch(host) is not None and not host.endswith(_LOCAL_NAMES)


def route_to(
    url: str, own: Origin | None, hosts: tuple[str, ...], resolve: Resolve, proxy_of: Callable[[str], str]
) -> Route:
    """Return the route for a download of `url`.

    URLs at the owner's endpoint (`own`), and https URLs on `hosts`, are reached like the endpoint itself. Every other
    URL must be https and on the public internet.

    Without a proxy (`proxy_of(url)` is empty), look the host up here: all of its addresses must be public, and the route
    is pinned to them, so that a later look-up cannot lead elsewhere. With a proxy, the proxy looks the host up, often
    where this server cannot. Only the text is checked then (see `is_public_by_text`), and it is up to the proxy to refuse
    a public-looking name of a private address.

    Raise Disallowed if the URL must not be contacted, and OSError if its host name is not found.
    """
    try:
        origin = plain_origin(url)
    except BadURL as error:
        raise Disallowed(str(error)) from error
    if origin == own or (origin.scheme == "https" and origin.host in hosts):
        return Route()
    if origin.scheme != "https":
        raise Disallowed("it is not https")
    proxy = proxy_of(url)
    if proxy:
        if not is_public_by_text(origin.host):
            raise Disallowed("it is not on the public internet")
        return Route(proxy=proxy)
    addresses = (origin.host,) if literal(origin.host) else tuple(resolve(origin.host, origin.port))
    if not addresses or not all(is_public(address) for address in addresses):
        raise Disallowed("it is not on the public internet")
    return Route(addresses)
