"""One exchange: what was sent, how long it may last, how large it may be, and where it really goes."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from image_mixer.remote.client import Client, Missed
from image_mixer.remote.credentials import Key
from image_mixer.remote.endpoints import Endpoint
from image_mixer.remote.transport import Call, NoAnswer, NotSent, Reply, RequestsTransport
from image_mixer.tests.remote import harness

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def whole_request(peer: socket.socket) -> bytes:
    """The next request with its body (or what came before the end, or before what is no HTTP)."""
    data = b""
    while more := peer.recv(65536):
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        if not data[:1].isalpha() or (end and len(body) >= length):
            break
    return data


@contextmanager
def server(serve: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A raw server: `serve` gets each connection and its first bytes. Gives its address and what it heard."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def one(peer: socket.socket) -> None:
        with peer:
            try:
                heard.append(whole_request(peer))
                serve(peer, heard[-1])
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):  # closing with something unread would reset what was just sent
                    pass
            except OSError:
                return

    def run() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(peer,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.close()


def slowly(peer: socket.socket, data: bytes) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        peer.sendall(bytes([byte]))
        time.sleep(0.05)


def packed(size: int) -> bytes:
    body = gzip.compress(bytes(size))
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize(("serve", "line"), [
    (lambda peer, _: None, "broke"),
    (lambda peer, _: peer.sendall(OK[:-1]), "cut|broke"),
    (lambda peer, _: peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), "larger"),
    (lambda peer, _: peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(20_000)), "larger"),
    (lambda peer, _: peer.sendall(packed(50_000_000)), "larger"),
    (lambda peer, _: peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx"), "packed"),
    (lambda peer, _: peer.sendall(b"\x00\x01\x02 no http\r\n\r\n"), "broke"),
    (lambda peer, _: time.sleep(3), "time| s$"),
    (slowly, " s$"),
])
def test_no_whole_answer_after_something_was_sent(serve: Callable[[socket.socket, bytes], None], line: str) -> None:
    with server(serve) as (base, heard):
        began = time.monotonic()
        with pytest.raises(NoAnswer, match=line):
            RequestsTransport()(Call("POST", base, b"{}", read=5.0, total=0.6, max_bytes=10_000, fresh=True))
        assert time.monotonic() - began < 2.0 and len(heard) == 1


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
        # It says that it closes: the second call could meet the first one's connection half closed otherwise.
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
        assert RequestsTransport()(Call("GET", url, address="127.0.0.1")).body == b"ok"
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


def client(transport: Callable[[Call], Reply], answers: list[list[str]]) -> Client:
    return Client(Endpoint("x", "https://own.example/api"), Key("demo-key-0000"), transport,
                  lambda host, port: answers.pop(0), harness.check)


def test_a_name_is_asked_once_and_the_checked_address_is_used() -> None:
    calls: list[Call] = []

    def transport(call: Call) -> Reply:
        calls.append(call)
        return Reply(200, {}, harness.picture().pixels)

    answers = [["93.184.216.34"], ["127.0.0.1"]]
    assert client(transport, answers).download("https://rebinding.example/i.png") == harness.picture().pixels
    assert [c.address for c in calls] == ["93.184.216.34"] and answers == [["127.0.0.1"]]
    assert all(c.body is None for c in calls)


def test_each_redirect_is_judged_anew() -> None:
    calls: list[str] = []

    def transport(call: Call) -> Reply:
        calls.append(call.url)
        return Reply(302, {"location": "https://inside.example/i.png"}, b"")

    got = client(transport, [["93.184.216.34"], ["10.0.0.1"]]).download("https://public.example/i.png")
    assert isinstance(got, Missed) and got.barred and calls == ["https://public.example/i.png"]


def test_a_key_that_an_answer_repeats_is_hidden() -> None:
    answer = client(lambda call: Reply(401, {}, b'{"status":"error","message":"bad demo-key-0000"}'), []).submit({})
    assert "demo-key-0000" not in repr(answer) and "***" in repr(answer)
    assert "demo-key-0000" not in repr(Call("POST", "https://a.example", b"demo-key-0000"))


def test_https_without_a_network_is_offline_and_no_fault_of_tls() -> None:
    with pytest.raises(NotSent, match="does not answer") as caught:
        RequestsTransport()(Call("POST", "https://nowhere.invalid/x", b"{}", 2.0, 2.0, 2.0))
    assert caught.value.offline
