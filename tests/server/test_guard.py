"""Who may set a key over HTTP."""

from __future__ import annotations

import pytest
from image_mixer.server.guard import refusal

GOOD = {"Content-Type": "application/json", "Host": "127.0.0.1:8188"}

CASES: list[tuple[str, dict[str, str], str | None, str, bool, int]] = [
    ("a program here", {}, "127.0.0.1", "127.0.0.1", False, 0),
    (
        "a page here",
        {"Origin": "http://127.0.0.1:8188", "Sec-Fetch-Site": "same-origin"},
        "127.0.0.1",
        "127.0.0.1",
        False,
        0,
    ),
    ("by name", {"Host": "localhost:8188", "Origin": "http://localhost:8188"}, "::1", "localhost", False, 0),
    ("mapped", {}, "::ffff:127.0.0.1", "127.0.0.1,::1", False, 0),
    ("JSON with a charset", {"Content-Type": "application/json; charset=utf-8"}, "127.0.0.1", "127.0.0.1", False, 0),
    ("a form", {"Content-Type": "application/x-www-form-urlencoded"}, "127.0.0.1", "127.0.0.1", False, 415),
    ("no type", {"Content-Type": ""}, "127.0.0.1", "127.0.0.1", True, 415),
    ("another machine", {}, "192.0.2.7", "127.0.0.1", False, 403),
    ("another machine, opted in", {}, "192.0.2.7", "0.0.0.0", True, 403),
    ("no peer", {}, None, "127.0.0.1", False, 403),
    ("another page", {"Origin": "https://elsewhere.example"}, "127.0.0.1", "127.0.0.1", False, 403),
    ("another port", {"Origin": "http://127.0.0.1:9999"}, "127.0.0.1", "127.0.0.1", False, 403),
    ("another scheme", {"Origin": "https://127.0.0.1:8188"}, "127.0.0.1", "127.0.0.1", False, 403),
    ("no origin at all", {"Origin": "null"}, "127.0.0.1", "127.0.0.1", True, 403),
    ("a sibling site", {"Sec-Fetch-Site": "same-site"}, "127.0.0.1", "127.0.0.1", False, 403),
    ("a foreign site", {"Sec-Fetch-Site": "cross-site"}, "127.0.0.1", "127.0.0.1", True, 403),
    (
        "a name that was made to point here",
        {"Host": "evil.example:8188", "Origin": "http://evil.example:8188"},
        "127.0.0.1",
        "127.0.0.1",
        False,
        403,
    ),
    ("no host", {"Host": ""}, "127.0.0.1", "127.0.0.1", False, 403),
    *(
        (name, {name: "x"}, "127.0.0.1", "127.0.0.1", False, 403)
        for name in (
            "X-Forwarded-For",
            "x-forwarded-proto",
            "X-Forwarded",
            "Forwarded",
            "Via",
            "X-Real-IP",
            "CF-Connecting-IP",
            "Cf-Ray",
            "CDN-Loop",
            "Fly-Client-IP",
            "Fly-Forwarded-Port",
            "Fastly-Client-IP",
            "X-SigSci-RequestID",
            "X-Envoy-External-Address",
            "X-Envoy-Expected-Rq-Timeout-Ms",
            "ngrok-auth-user-email",
            "ngrok-trace-id",
            "X-Azure-ClientIP",
            "X-Azure-FDID",
            "X-ARR-LOG-ID",
            "X-ARR-SSL",
            "X-MS-Client-Principal-Name",
            "X-Original-URL",
            "X-Original-Host",
            "X-Amzn-Trace-Id",
            "X-Amz-Cf-Id",
            "CloudFront-Viewer-Address",
            "X-Vercel-Forwarded-For",
            "X-Appengine-User-IP",
            "X-Cloud-Trace-Context",
            "X-Goog-Authenticated-User-Email",
            "DO-Connecting-IP",
            "True-Client-IP",
            "Akamai-Origin-Hop",
            "X-Cluster-Client-IP",
            "Tailscale-User-Login",
            "X-Nf-Client-Connection-Ip",
            "Incap-Client-IP",
            "X-Sucuri-ClientIP",
            "X-Varnish",
            "X-NginX-Proxy",
            "X-Request-Start",
        )
    ),
    *(
        (f"a browser's {name}", {name: "x"}, "127.0.0.1", "127.0.0.1", False, 0)
        for name in (
            "Accept",
            "Cookie",
            "DNT",
            "Comfy-User",
            "Sec-Fetch-Mode",
            "Sec-Ch-Ua",
            "Cache-Control",
            "Priority",
            "X-Requested-With",
            "Authorization",
            "Referer",
            "Proxy-Connection",
        )
    ),
    ("a host that cannot be read", {"Host": "[::1"}, "127.0.0.1", "127.0.0.1", False, 403),
    ("a host in brackets", {"Host": "[::1]:8188", "Origin": "http://[::1]:8188"}, "::1", "::1", False, 0),
    ("listens everywhere", {}, "127.0.0.1", "0.0.0.0,::", False, 403),
    ("listens on the network", {}, "127.0.0.1", "127.0.0.1,192.168.0.4", False, 403),
    ("listens everywhere, opted in", {}, "127.0.0.1", "0.0.0.0,::", True, 0),
    (
        "a proxy, opted in",
        {"X-Forwarded-For": "198.51.100.3", "Host": "mix.example", "Origin": "http://mix.example"},
        "127.0.0.1",
        "127.0.0.1",
        True,
        0,
    ),
    (
        "another page by a proxy, opted in",
        {"Host": "mix.example", "Origin": "http://else.example", "Via": "1.1 p"},
        "127.0.0.1",
        "127.0.0.1",
        True,
        403,
    ),
]


@pytest.mark.parametrize(
    ("headers", "peer", "listen", "beyond", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_request_for_keys(headers: dict[str, str], peer: str | None, listen: str, beyond: bool, status: int) -> None:
    found, line = refusal(GOOD | headers, peer, "http", listen, beyond)
    assert found == status
    assert bool(line) == bool(status) and "\n" not in line
