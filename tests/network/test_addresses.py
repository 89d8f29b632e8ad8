"""Which URLs may be contacted, and by which route: by their text, by the look-up of their name, and with a proxy."""

from __future__ import annotations

import pytest
from image_mixer.mixing.urls import Origin
from image_mixer.network.addresses import Disallowed, Route, is_loopback, is_private, is_public, route_to

OWN = Origin("http", "127.0.0.1", 8000)
PROXY = "http://user:word@proxy.lan:3128"
NAMES: dict[str, list[str]] = {
    "public.example": ["93.184.216.34"],
    "inside.example": ["10.0.0.8"],
    "both.example": ["93.184.216.34", "127.0.0.1"],
    "six.example": ["2606:2800:220:1:248:1893:25c8:1946", "93.184.216.34"],
    "meta.example": ["169.254.169.254"],
    "nat64.example": ["64:ff9b::5db8:d822"],
    "site.example": ["2606:2800:220::1", "fec0::1"],
    "empty.example": [],
}


def route(url: str, proxy: str = "") -> Route:
    return route_to(url, OWN, ("cdn.lan",), lambda host, port: NAMES.get(host, ["127.0.0.1"]), lambda url: proxy)


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://127.0.0.1:8000/a.png", ()),
        ("https://cdn.lan/a.png", ()),
        ("https://public.example/a.png", ("93.184.216.34",)),
        ("https://six.example:8443/a.png", ("2606:2800:220:1:248:1893:25c8:1946", "93.184.216.34")),
        ("https://93.184.216.34/x", ("93.184.216.34",)),
        ("https://nat64.example/", ("64:ff9b::5db8:d822",)),
        ("https://[2606:2800:220::1]/", ("2606:2800:220::1",)),
    ],
)
def test_where_downloads_may_go(url: str, addresses: tuple[str, ...]) -> None:
    assert route(url) == Route(addresses)


PRIVATE = [
    "http://public.example/a.png",
    "http://127.0.0.1:8001/a.png",
    "https://127.0.0.1:8000/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://10.1.2.3/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://192.0.2.1/",
    "https://100.64.0.1/",
    "https://[fec0::1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://[::7f00:1]/",
    "http://cdn.lan/a.png",
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST:8188/",
    "https://[2001:db8::1]/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
]
"""URLs whose text alone shows that they are not on the public internet."""


@pytest.mark.parametrize(
    "url",
    [
        *PRIVATE,
        "https://inside.example/",
        "https://both.example/",
        "https://meta.example/",
        "https://site.example/",
        "https://empty.example/",
    ],
)
def test_where_downloads_may_not_go(url: str) -> None:
    with pytest.raises(Disallowed, match=r"public internet|not https"):
        route(url)


@pytest.mark.parametrize(
    "url",
    [
        *PRIVATE,
        "https://nas.local/",
        "https://printer.home.arpa/",
        "https://db.internal/",
        "https://wiki.corp/",
        "https://router.lan/",
        "https://router.home/",
        "https://intranet/",
        "https://app.localhost/",
        "https://x.localdomain/",
        "https://hidden.onion/",
        "https://1.0.0.127.in-addr.arpa/",
        "https://a.b.internal./",
        "https://NAS.LOCAL/",
        "https://127.0.0.1;.public.example/",
        "https://public.example,127.0.0.1/",
        "https://.public.example/",
        "https://public..example/",
        "https://10.0.0.1.0/",
        "https://public.0x7f/",
        "https://*.example/",
    ],
)
def test_with_a_proxy_the_text_alone_is_judged(url: str) -> None:
    with pytest.raises(Disallowed, match=r"public internet|not https"):
        route(url, PROXY)


@pytest.mark.parametrize(
    "url",
    [
        "https://public.example/a.png",
        "https://pub-3626.r2.dev/a.png",
        "https://a_b.public.example:8443/",
        "https://xn--bcher-kva.example/",
        "https://93.184.216.34/x",
        "https://[2606:2800:220::1]/",
    ],
)
def test_with_a_proxy_no_name_is_looked_up(url: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was looked up")

    assert route_to(url, OWN, (), resolve, lambda url: PROXY) == Route(proxy=PROXY)
    assert "word" not in repr(Route(proxy=PROXY))


def test_without_trusted_hosts_only_the_public_internet_is_reached() -> None:
    def resolve(host: str, port: int) -> list[str]:
        return NAMES[host]

    assert route_to("https://public.example/a.png", None, (), resolve, lambda url: "") == Route(("93.184.216.34",))
    for url in ("http://127.0.0.1:8000/a.png", "https://inside.example/a.png"):
        with pytest.raises(Disallowed):
            route_to(url, None, (), resolve, lambda url: "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/a.png", "https://cdn.lan/a.png"])
def test_the_owners_hosts_are_reached_as_the_endpoint_is(url: str) -> None:
    assert route(url, PROXY) == Route()


# One address from each network in IANA's registries of special-purpose addresses, and in old drafts.
@pytest.mark.parametrize(
    "address",
    [
        "0.1.2.3",
        "10.255.0.1",
        "100.64.0.1",
        "100.127.255.254",
        "127.8.8.8",
        "169.254.0.1",
        "172.31.255.255",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.19.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::5db8:d822",
        "::ffff:10.0.0.1",
        "::ffff:0:93.184.216.34",
        "64:ff9b::a00:1",
        "64:ff9b:1::5db8:d822",
        "100::1",
        "2001::1",
        "2001:0:5db8:d822::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:5db8:d822::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "feff::1",
        "ff02::1",
        "4000::1",
        "e000::1",
        "public.example",
        "",
        "1.2.3",
        "127.1",
        "0x7f000001",
        "93.184.216.34 ",
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.20.0.1",
        "223.255.255.1",
        "2606:2800:220::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2a00::1",
        "2c0f::1",
        "64:ff9b::5db8:d822",
        "::ffff:93.184.216.34",
    ],
)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "loopback", "private"),
    [
        ("127.0.0.1", True, True),
        ("127.9.9.9", True, True),
        ("::1", True, True),
        ("::ffff:127.0.0.1", True, True),
        ("localhost", True, False),
        ("192.168.1.5", False, True),
        ("fd00::5", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:93.184.216.34", False, False),
        ("192.0.2.1", False, False),
        ("0.0.0.0", False, False),
        ("nas.local", False, False),
    ],
)
def test_what_is_this_machine_and_what_is_a_local_network(host: str, loopback: bool, private: bool) -> None:
    assert (is_loopback(host), is_private(host)) == (loopback, private)
