"""Read http(s) URLs by their text alone. A URL that two parsers could read in two ways is refused outright."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LONGEST_URL = 4096
_PLAIN = frozenset(map(chr, range(0x21, 0x7F))) - set('\\"<>^`{|}')
_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
_FILES = re.compile(r"file|[a-z]")
"""Schemes of files: a single letter is a Windows drive."""


@dataclass(frozen=True)
class Origin:
    """The scheme, host (lower case) and port of a URL."""

    scheme: str
    host: str
    port: int


class BadURL(ValueError):
    """The text is not a plain http(s) URL. The message says why in a few words; in it, "it" is the URL."""


def is_plain_url(text: str) -> bool:
    """Return whether every parser reads `text` as the same http(s) URL: printable ASCII, a host, no user name."""
    return origin_of(text) is not None


def origin_of(url: str) -> Origin | None:
    """Return the origin of `url`, or None if it is not a plain http(s) URL."""
    try:
        return plain_origin(url)
    except BadURL:
        return None


def plain_origin(url: str) -> Origin:
    """Return the origin of `url`. Raise BadURL, which says what is wrong, if it is not a plain http(s) URL."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise BadURL("it names no scheme such as https")
    if scheme[1].lower() not in _PORTS:
        raise BadURL(_other_scheme(scheme[1].lower()))
    if len(url) > LONGEST_URL:
        raise BadURL(f"it is longer than {LONGEST_URL} characters")
    if not set(url) <= _PLAIN:
        raise BadURL("it contains characters that are not allowed in a URL")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        raise BadURL("its host or port cannot be read") from None
    if "@" in parts.netloc:
        raise BadURL("it contains a user name")
    if not host or "%" in parts.netloc:
        raise BadURL("it names no host")
    return Origin(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)


def _other_scheme(scheme: str) -> str:
    if scheme == "data":
        return "it is a data URI without a whole picture"
    if _FILES.fullmatch(scheme):
        return "it is a file on the service's machine"
    return f"it is not https ({scheme[:20]})"
