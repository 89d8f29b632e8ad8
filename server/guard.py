"""Decides who may set a key over HTTP: only a page of this server, in a browser on the same machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..network.addresses import is_loopback
from ..remote.endpoints import FILE

# Headers that proxies, load balancers and tunnels add to the requests they pass on. Browsers and local programs do not
# send them. A star stands for any ending.
_FORWARDED = (
    "forwarded",
    "via",
    "x-forwarded*",
    "x-original-*",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-cluster-client-ip",
    "x-host",
    "x-scheme",
    "x-rewrite-url",
    "x-request-start",
    "max-forwards",
    "cdn-*",  # CDN-Loop, RFC 8586
    "cf-*",  # Cloudflare and its tunnels
    "true-client-ip",
    "x-true-client-ip",
    "akamai-*",
    "x-akamai-*",  # Akamai
    "fastly-*",
    "x-sigsci-*",
    "surrogate-capability",
    "x-varnish",  # Fastly, Varnish
    "incap-client-ip",
    "x-iinfo",
    "x-cdn",
    "x-sucuri-*",  # Imperva, Sucuri
    "x-amz-*",
    "x-amzn-*",
    "cloudfront-*",  # Amazon
    "x-azure-*",
    "x-fd-*",
    "x-arr-*",
    "x-ms-*",
    "x-waws-*",
    "disguised-host",  # Microsoft
    "x-appengine-*",
    "x-cloud-trace-context",
    "x-goog-*",  # Google
    "do-connecting-ip",
    "fly-*",
    "x-vercel-*",
    "x-nf-*",
    "x-railway-*",  # hosts of applications
    "x-envoy-*",
    "x-kong-*",
    "x-nginx-proxy",
    "x-proxycontextpath",
    "proxy-client-ip",
    "wl-proxy-*",  # other servers
    "ngrok-*",
    "x-ngrok-*",
    "tailscale-*",  # tunnels
)
_NAMES = frozenset(name for name in _FORWARDED if not name.endswith("*"))
_PREFIXES = tuple(name[:-1] for name in _FORWARDED if name.endswith("*"))
_OPT_IN = f"or set beyond_loopback = true under [keys] in {FILE}"
_INSTEAD = "set the environment variable on the server instead"


def is_json(headers: Mapping[str, str]) -> bool:
    """Return whether a request's content type is JSON. A page of another site cannot send that without being allowed."""
    given = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    return given.partition(";")[0].strip().lower() == "application/json"


def refusal(headers: Mapping[str, str], peer: str | None, scheme: str, listen: str, beyond: bool) -> tuple[int, str]:
    """Return (HTTP status, one line) if a request may not touch keys, or (0, "") if it may.

    `peer` is the caller's address, `listen` the addresses that the server listens on, separated by commas. `beyond` is
    the owner's opt-in to proxies and to other listening addresses. The name in the Host header must also be a name of
    this machine: another site's page may have made its own domain name resolve to this machine (DNS rebinding).
    """
    given = {name.lower(): value for name, value in headers.items()}
    if not is_json(headers):
        return 415, "Send JSON, with the content type application/json."
    if not _is_here(peer or ""):
        return 403, f"A key can only be set from this machine: {_INSTEAD}."
    if not beyond:
        forwarded = sorted(name for name in given if name in _NAMES or name.startswith(_PREFIXES))
        if forwarded:
            return 403, f"The request came through a proxy ({forwarded[0]}): {_INSTEAD}, {_OPT_IN}."
        if not all(_is_here(address) for address in listen.split(",")):
            return 403, f"This server listens beyond this machine ({listen}): {_INSTEAD}, {_OPT_IN}."
    netloc, name = _host(given.get("host", ""))
    if not beyond and not _is_here(name):
        return 403, f"The request was made to {name!r}, which is not this machine's own name: use 127.0.0.1."
    if given.get("sec-fetch-site", "same-origin") != "same-origin":
        return 403, "A key can only be set by a page of this server."
    origin = given.get("origin")
    if origin is not None and origin.lower() != f"{scheme}://{netloc}".lower():
        return 403, "A key can only be set by a page of this server."
    return 0, ""


def _host(text: str) -> tuple[str, str]:
    """Return ("host:port", "host") of a Host header, empty texts if it cannot be read."""
    try:
        parts = urlsplit(f"//{text}")
        return parts.netloc, parts.hostname or ""
    except ValueError:
        return "", ""


def _is_here(name: str) -> bool:
    return is_loopback(name.strip().lower())
