"""Who may set a key over HTTP: a page of this very server, in a browser on this very machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..network.addresses import is_loopback
from ..remote.endpoints import FILE

# What proxies, load balancers and tunnels add to requests that they pass on, and no browser or program here does.
# A star stands for any end.
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


def refusal(headers: Mapping[str, str], peer: str | None, scheme: str, listen: str, beyond: bool) -> tuple[int, str]:
    """(HTTP status, one line) why a request may not touch keys, or (0, "") if it may.

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
        forwarded = sorted(name for name in given if name in _NAMES or name.startswith(_PREFIXES))
        if forwarded:
            return 403, f"The request came through a proxy ({forwarded[0]}): {_INSTEAD}, {_OPT_IN}."
        if not all(_is_here(address) for address in listen.split(",")):
            return 403, f"This server listens beyond this machine ({listen}): {_INSTEAD}, {_OPT_IN}."
    netloc, name = _host(given.get("host", ""))
    if not beyond and not _is_here(name):
        return 403, f"The request was made to {name!r}, which is not this machine's own name: use 127.0.0.1."
    if given.get("sec-fetch-site", "same-origin") != "same-origin":
        return 403, "A key can be set by a page of this server alone."
    origin = given.get("origin")
    if origin is not None and origin.lower() != f"{scheme}://{netloc}".lower():
        return 403, "A key can be set by a page of this server alone."
    return 0, ""


def _host(text: str) -> tuple[str, str]:
    """Host and port, and the host alone, of a Host header; nothing if it cannot be read."""
    try:
        parts = urlsplit(f"//{text}")
        return parts.netloc, parts.hostname or ""
    except ValueError:
        return "", ""


def _is_here(name: str) -> bool:
    return is_loopback(name.strip().lower())
