"""One HTTP exchange: what was sent, its limits on time and size, and where it goes."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable

import pytest
from image_mixer.network.transport import Call, NoAnswer, NotSent, RequestsTransport, TooLarge, system_resolve
from image_mixer.tests.network.raw_server import OK, server, whole_request


def slowly(peer: socket.socket, data: bytes) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        peer.sendall(bytes([byte]))
        time.sleep(0.05)


def packed(size: int) -> bytes:
    body = gzip.compress(bytes(size))
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


BOMB = packed(50_000_000)
"""Made in advance: compressing it takes longer than the calls may take."""


@pytest.mark.parametrize(
    ("serve", "line"),
    [
        (lambda peer, _: None, "broke"),
        (lambda peer, _: peer.sendall(OK[:-1]), "cut|broke"),
        (lambda peer, _: peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), "larger"),
        (lambda peer, _: peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(20_000)), "larger"),
        (lambda peer, _: peer.sendall(BOMB), "larger"),
        (
            lambda peer, _: peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx"),
            "compressed",
        ),
        (lambda peer, _: peer.sendall(b"\x00\x01\x02 no http\r\n\r\n"), "broke"),
        (lambda peer, _: time.sleep(3), "time| s$"),
        (slowly, " s$"),
    ],
)
def test_no_whole_answer_after_something_was_sent(serve: Callable[[socket.socket, bytes], None], line: str) -> None:
    with server(serve) as (base, heard):
        began = time.monotonic()
        with pytest.raises(NoAnswer, match=line):
            RequestsTransport()(Call("POST", base, b"{}", read=5.0, total=0.6, max_bytes=10_000, fresh=True))
        assert time.monotonic() - began < 2.0 and len(heard) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(20_000),
        BOMB,
    ],
)
def test_an_answer_that_is_too_large_is_told_by_its_type(answer: bytes) -> None:
    with server(lambda peer, _: peer.sendall(answer)) as (base, _), pytest.raises(TooLarge, match="larger than 10 kB"):
        RequestsTransport()(Call("GET", base, max_bytes=10_000))


def test_a_small_packed_answer_is_read() -> None:
    with server(lambda peer, _: peer.sendall(packed(100))) as (base, _):
        assert RequestsTransport()(Call("GET", base)).body == bytes(100)


def test_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(NotSent, match="refused"):
        RequestsTransport()(Call("POST", base, b"{}"))
    with server(lambda peer, _: peer.sendall(b"not TLS at all")) as (base, heard):
        with pytest.raises(NotSent, match="TLS"):
            RequestsTransport()(Call("POST", base.replace("http:", "https:"), b'{"key":"canary"}'))
        assert b"canary" not in b"".join(heard)


def test_redirects_and_cookies_are_not_followed_or_kept() -> None:
    def serve(peer: socket.socket, _: bytes) -> None:
        # Announce the end of the connection: otherwise the second call could find the first one's half closed.
        head = b"HTTP/1.1 307 x\r\nConnection: close\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\n"
        peer.sendall(head + b"Content-Length: 0\r\n\r\n")

    with server(serve) as (base, heard):
        transport = RequestsTransport()
        for _ in range(2):
            assert transport(Call("POST", base, b"{}")).status == 307
        assert len(heard) == 2 and b"ookie" not in heard[1]


def test_a_pinned_call_goes_to_its_address_and_keeps_its_name() -> None:
    with server(lambda peer, _: peer.sendall(OK)) as (base, heard):
        url = base.replace("127.0.0.1", "rebinding.example")
        assert RequestsTransport()(Call("GET", url, addresses=("127.0.0.1",))).body == b"ok"
        assert b"Host: rebinding.example" in heard[0]


def test_a_fresh_call_takes_no_connection_used_before() -> None:
    ports: list[int] = []

    def serve(peer: socket.socket, _: bytes) -> None:
        while True:
            ports.append(peer.getpeername()[1])
            peer.sendall(OK)
            if not whole_request(peer):
                return

    with server(serve) as (base, _):
        transport = RequestsTransport()
        for fresh in (False, False, True, True):
            transport(Call("POST", base, b"{}", fresh=fresh))
    assert ports[0] == ports[1] and len(set(ports)) == 3


def test_the_proxies_and_netrc_of_the_machine_do_not_see_a_loopback_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with server(lambda peer, _: peer.sendall(OK)) as (base, heard):
        assert RequestsTransport()(Call("GET", base)).body == b"ok"
        assert b"Authorization" not in heard[0]


def test_a_large_body_may_take_longer_than_a_connection() -> None:
    def serve(peer: socket.socket, first: bytes) -> None:
        time.sleep(1.0)  # by now the buffers on both sides are full
        left = 30_000_000 - len(first.partition(b"\r\n\r\n")[2])
        while left > 0:
            left -= len(peer.recv(1_000_000))
        peer.sendall(OK)

    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener.accept()[0] as peer:
            serve(peer, peer.recv(65536))

    threading.Thread(target=run, daemon=True).start()
    with listener:
        call = Call("POST", f"http://127.0.0.1:{listener.getsockname()[1]}", bytes(30_000_000), connect=0.3, read=20.0)
        assert RequestsTransport()(call).body == b"ok"


@pytest.mark.parametrize("host", ["x" * 64 + ".example", "a..example", "."])
def test_a_name_that_cannot_be_one_is_not_found(host: str) -> None:
    with pytest.raises(OSError):
        system_resolve(host, 443)


def test_https_without_a_network_is_offline_and_not_an_error_of_tls() -> None:
    with pytest.raises(NotSent, match="does not answer") as caught:
        RequestsTransport()(Call("POST", "https://nowhere.invalid/x", b"{}", 2.0, 2.0, 2.0))
    assert caught.value.offline
