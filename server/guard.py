"""Who may set a key over HTTP: a page of this very server, in a browser on this very machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..remote.addresses import is_loopback, literal
from ..remote.endpoints import FILE

_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "cf-ray",
              "x-cluster-client-ip", "x-original-host")
_OPT_IN = f"or set beyond_loopback = true under [keys] in {FILE}"
_INSTEAD = "set the environment variable on the server instead"


def refusal(headers: Mapping[str, str], peer: str | None, scheme: str, listen: str, beyond: bool) -> tuple[int, str]:
    """(HTTP status, one line) why a request may not touch keys, or (0, "") where it may.

    `peer` is the caller's address, `listen` what the server listens on (commas between), `beyond` the owner's opt-in
    to proxies and to other listening addresses. The name in Host must be this machine's own too: a page elsewhere may
    have made its own name point here.
    """
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return 415, "Send JSON, with the content type application/json."
    if not _is_here(peer or ""):
        return 403, f"A key can be set from this machine alone: {_INSTEAD}."
    if not beyond:
        forwarded = sorted(name for name in given if name in _FORWARDED or name.startswith("x-forwarded"))
        if forwarded:
            return 403, f"The request came through a proxy ({forwarded[0]}): {_INSTEAD}, {_OPT_IN}."
        if not all(_is_here(address) for address in listen.split(",")):
            return 403, f"This server listens beyond this machine ({listen}): {_INSTEAD}, {_OPT_IN}."
    host = urlsplit(f"//{given.get('host', '')}")
    if not beyond and not _is_here(host.hostname or ""):
        return 403, f"The request was made to {host.hostname!r}, which is not this machine's own name: use 127.0.0.1."
    if given.get("sec-fetch-site", "same-origin") != "same-origin":
        return 403, "A key can be set by a page of this server alone."
    origin = given.get("origin")
    if origin is not None and origin.lower() != f"{scheme}://{host.netloc}".lower():
        return 403, "A key can be set by a page of this server alone."
    return 0, ""


def _is_here(name: str) -> bool:
    text = name.strip().lower()
    address = literal(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped.is_loopback if mapped is not None else is_loopback(text)
