"""Downloads in a network with only a proxy: they work, and never reach a private host of that network."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from image_mixer.network.downloads import Missed
from image_mixer.network.transport import Call, NotSent, Reply, RequestsTransport, environment_proxy
from image_mixer.remote.client import Client
from image_mixer.remote.credentials import Key
from image_mixer.remote.endpoints import Endpoint
from image_mixer.tests.network.raw_server import server, whole_request
from image_mixer.tests.support.pictures import check, coloured

PNG = coloured().pixels
TLS = Path(__file__).resolve().parents[1] / "assets" / "tls"
OWN = Endpoint("x", "https://own.example/api")
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")


def answer(body: bytes, status: str = "200 OK", header: str = "X-A: b") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@dataclass
class Proxy:
    """A proxy that plays all hosts itself.

    `asked` has the first lines of the requests, `inside` those within its tunnels. `answers` are given in turn, and the
    last one forever. `tunnel` is the answer to CONNECT.
    """

    base: str = ""
    asked: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=lambda: [answer(PNG)])
    tunnel: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"

    def serve(self, peer: socket.socket, request: bytes) -> None:
        """Answer one connection."""
        self.heads.append(request)
        self.asked.append(request.partition(b"\r\n")[0].decode())
        if not request.startswith(b"CONNECT"):
            peer.sendall(self.next())
            return
        peer.sendall(self.tunnel)
        if b" 200 " in self.tunnel:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "server.pem")
            with context.wrap_socket(peer, server_side=True) as tunnel:
                self.inside.append(whole_request(tunnel).partition(b"\r\n")[0].decode())
                tunnel.sendall(self.next())

    def next(self) -> bytes:
        """Return the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Start a proxy and set it in the environment, as the only way out of this network."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    made = Proxy()
    with server(made.serve) as (base, _):
        made.base = base
        monkeypatch.setenv("HTTPS_PROXY", base)
        monkeypatch.setenv("HTTP_PROXY", base)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "authority.pem"))
        yield made


def no_names(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up here")


def download(url: str, endpoint: Endpoint = OWN) -> bytes | Missed:
    """Download `url` in a network where only the proxy can look names up."""
    transport = RequestsTransport(no_names)
    try:
        return Client(endpoint, Key("demo-key-0000"), transport, no_names, check).download(url)
    finally:
        transport.close()


@pytest.mark.parametrize("url", ["https://cdn.example/i.png", "https://own.example/i.png"])
def test_a_proxy_serves_downloads(proxy: Proxy, url: str) -> None:
    host = url.split("/")[2]
    assert download(url) == PNG
    assert proxy.asked == [f"CONNECT {host}:443 HTTP/1.{proxy.asked[0][-1]}"] and proxy.inside == [
        "GET /i.png HTTP/1.1"
    ]
    assert b"demo-key" not in b"".join(proxy.heads)


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_other_variables_name_it_too(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv(variable, proxy.base)
    assert download("https://cdn.example/i.png") == PNG and len(proxy.asked) == 1


def test_a_plain_proxy_serves_a_plain_endpoint(proxy: Proxy) -> None:
    assert download("http://192.168.7.7:8000/i.png", Endpoint("x", "http://192.168.7.7:8000", insecure_lan=True)) == PNG
    assert proxy.asked == ["GET http://192.168.7.7:8000/i.png HTTP/1.1"]


def test_a_proxy_that_wants_a_password_gets_it(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.base.replace("//", "//user:word@"))
    assert download("https://cdn.example/i.png") == PNG
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in proxy.heads[0]


def test_a_redirect_between_public_hosts_goes_through_the_proxy_too(proxy: Proxy) -> None:
    proxy.answers.insert(0, answer(b"", "302 Found", "Location: https://own.example/j.png"))
    assert download("https://cdn.example/i.png") == PNG
    assert [line.split()[1] for line in proxy.asked] == ["cdn.example:443", "own.example:443"]


PRIVATE = [
    "https://10.0.0.1/i.png",
    "https://127.0.0.1/i.png",
    "https://[::1]/i.png",
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:127.0.0.1]/i.png",
    "https://[fec0::1]/",
    "https://localhost/i.png",
    "https://intranet/i.png",
    "https://nas.local/i.png",
    "https://db.internal/",
    "https://printer.home.arpa/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "http://cdn.example/i.png",
    "http://127.0.0.1/i.png",
    "https://cdn.example;.evil.example/",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_no_proxy_is_asked_for_a_private_host(proxy: Proxy, url: str) -> None:
    got = download(url)
    assert isinstance(got, Missed) and got.barred and "not allowed" in got.reason
    assert proxy.asked == []


@pytest.mark.parametrize("url", PRIVATE)
def test_no_proxy_is_asked_to_follow_a_redirect_to_a_private_host(proxy: Proxy, url: str) -> None:
    proxy.answers = [answer(b"", "302 Found", f"Location: {url}")]
    got = download("https://cdn.example/i.png")
    assert isinstance(got, Missed) and got.barred and "not allowed" in got.reason
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("no_proxy", ["cdn.example", ".example", "other.example,cdn.example", "*"])
@pytest.mark.parametrize(
    ("addresses", "barred"), [(["2606:2800:220::1", "93.184.216.34"], False), (["10.0.0.1"], True)]
)
def test_a_host_that_bypasses_the_proxy_is_looked_up_and_pinned(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, no_proxy: str, addresses: list[str], barred: bool
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    calls: list[Call] = []

    def transport(call: Call) -> Reply:
        calls.append(call)
        return Reply(200, {}, PNG)

    got = Client(OWN, Key("demo-key-0000"), transport, lambda host, port: addresses, check).download(
        "https://cdn.example/i.png"
    )
    if barred:
        assert isinstance(got, Missed) and got.barred and not calls
    else:
        assert got == PNG and [(c.addresses, c.proxy) for c in calls] == [(tuple(addresses), "")]


def test_a_call_with_addresses_bypasses_the_proxy(proxy: Proxy) -> None:
    with server(lambda peer, _: peer.sendall(answer(b"ok"))) as (base, heard):
        call = Call("GET", base.replace("127.0.0.1", "many.example"), addresses=("127.0.0.1",))
        assert RequestsTransport(no_names)(call).body == b"ok"
        assert len(heard) == 1 and proxy.asked == []


def test_a_call_through_a_proxy_goes_nowhere_else(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    assert environment_proxy("https://cdn.example/") == ""
    assert RequestsTransport(no_names)(Call("GET", "https://cdn.example/i.png", proxy=proxy.base)).body == PNG
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("set_to", "line"),
    [
        ("socks5://127.0.0.1:9", "of the kind socks5, and only http and https"),
        ("http://127.0.0.1:{free}", "cannot be reached .the connection is refused"),
        ("http://nowhere.example:1", "cannot be reached .the network"),
        ("http://", "cannot be used"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, set_to: str, line: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("HTTPS_PROXY", set_to.format(free=free.getsockname()[1]))

    def unknown(host: str, port: int) -> list[str]:
        raise OSError

    with pytest.raises(NotSent, match=line) as caught:
        RequestsTransport(unknown)(Call("POST", "https://own.example/api", b"demo-key"))
    assert caught.value.offline


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"])
def test_a_proxy_that_makes_no_connection_is_named(proxy: Proxy, status: str) -> None:
    proxy.tunnel = answer(b"", status)
    with pytest.raises(NotSent, match=f"proxy that is set makes no connection .HTTP {status[:3]}") as caught:
        RequestsTransport(no_names)(Call("POST", "https://own.example/api", b"demo-key"))
    assert caught.value.offline and b"demo-key" not in b"".join(proxy.heads)


def test_a_certificate_of_a_host_after_the_proxy_is_checked(proxy: Proxy) -> None:
    with pytest.raises(NotSent, match="TLS"):
        RequestsTransport(no_names)(Call("POST", "https://elsewhere.example/api", b"demo-key"))
    assert b"demo-key" not in b"".join(proxy.heads)
