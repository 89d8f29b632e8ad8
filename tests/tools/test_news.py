"""A server's messages arrive whole, a broken connection is made again, and a refused one leaves the caller to ask."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from image_mixer.tools.comfy_tool.server import news as news_module
from image_mixer.tools.comfy_tool.server.news import News

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_module, "RETRY_SECONDS", 0.05)


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.request = b""

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            block = self.connection.recv(count - len(data))
            if not block:
                raise EOFError
            data += block
        return data

    def accept(self, answer: str = "HTTP/1.1 101 Switching Protocols", key: str | None = None) -> None:
        while b"\r\n\r\n" not in self.request:
            self.request += self.exactly(1)
        given = self.request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        accept = base64.b64encode(hashlib.sha1(((key or given) + GUID).encode()).digest()).decode()
        head = f"{answer}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        self.connection.sendall(head.encode())

    def send(self, code: int, payload: bytes, final: bool = True) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", final << 7 | code, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", final << 7 | code, 126, size)
        else:
            head = struct.pack("!BBQ", final << 7 | code, 127, size)
        self.connection.sendall(head + payload)

    def frame(self) -> tuple[int, bytes]:
        """Return a short frame of the client's, which must be masked."""
        first, second = self.exactly(2)
        assert second & 0x80 and second & 0x7F < 126
        mask = self.exactly(4)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.exactly(second & 0x7F)))


@contextmanager
def serving(*talks: Callable[[Peer], None]) -> Iterator[tuple[str, list[BaseException]]]:
    """Run a server that has these conversations, one per connection. Yield its address, and what went wrong there."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    problems: list[BaseException] = []

    def run() -> None:
        for talk in talks:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                try:
                    talk(Peer(connection))
                except BaseException as error:
                    problems.append(error)
        listener.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", problems
    finally:
        thread.join(15)
        listener.close()


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65535, 65536, 300_000, 5_000_000])
@pytest.mark.parametrize("code", [TEXT, BINARY])
def test_messages_of_all_lengths(code: int, size: int) -> None:
    payload = (b"0123456789" * (size // 10 + 1))[:size]

    def talk(peer: Peer) -> None:
        peer.accept()
        peer.send(code, payload)
        peer.frame()

    with serving(talk) as (url, problems), News(url, "a") as news:
        assert news.connected
        assert news.next(5) == (payload.decode() if code == TEXT else payload)
    assert not problems


def test_fragments_with_a_ping_between_them_are_one_message() -> None:
    answered = []

    def talk(peer: Peer) -> None:
        peer.accept()
        peer.send(TEXT, b"one ", final=False)
        peer.send(PING, b"there?")
        peer.send(0, b"two ", final=False)
        peer.send(0, b"three")
        answered.append(peer.frame())
        answered.append(peer.frame())

    with serving(talk) as (url, problems), News(url, "a") as news:
        assert news.next(5) == "one two three"
        assert news.next(0.1) is None
    assert not problems
    assert answered[0] == (PONG, b"there?")
    assert answered[1][0] == CLOSE


def test_nothing_within_the_time() -> None:
    def talk(peer: Peer) -> None:
        peer.accept()
        time.sleep(0.5)
        peer.send(TEXT, b"late")
        peer.frame()

    with serving(talk) as (url, _), News(url, "a") as news:
        started = time.monotonic()
        assert news.next(0.05) is None
        assert time.monotonic() - started < 0.4
        assert news.next(5) == "late"


def closes(peer: Peer) -> None:
    peer.accept()
    peer.send(CLOSE, struct.pack("!H", 1001))
    peer.frame()


def breaks_off(peer: Peer) -> None:
    peer.accept()


def breaks_off_inside(peer: Peer) -> None:
    peer.accept()
    peer.connection.sendall(b"\x81\x05he")


def continues_nothing(peer: Peer) -> None:
    peer.accept()
    peer.send(0, b"a")


def begins_twice(peer: Peer) -> None:
    peer.accept()
    peer.send(TEXT, b"a", final=False)
    peer.send(TEXT, b"b")


def sends_too_much(peer: Peer) -> None:
    peer.accept()
    peer.connection.sendall(struct.pack("!BBQ", 0x82, 127, 1 << 40))


def is_no_server(peer: Peer) -> None:
    peer.connection.sendall(b"SSH-2.0-server\r\n\r\n")


def says_nothing(peer: Peer) -> None:
    pass


def works(peer: Peer) -> None:
    peer.accept()
    peer.send(TEXT, b"again")
    peer.frame()


@pytest.mark.parametrize(
    "talk",
    [
        closes,
        breaks_off,
        breaks_off_inside,
        continues_nothing,
        begins_twice,
        sends_too_much,
        is_no_server,
        says_nothing,
    ],
)
def test_a_connection_that_ends_is_made_again(talk: Callable[[Peer], None]) -> None:
    with serving(talk, works) as (url, _), News(url, "a") as news:
        assert news.next(10) == "again"
        assert news.connected


@pytest.mark.parametrize(
    "talk", [lambda peer: peer.accept("HTTP/1.1 404 Not Found"), lambda peer: peer.accept(key="another")]
)
def test_after_a_refusal_nobody_asks_again(talk: Callable[[Peer], None]) -> None:
    with serving(talk) as (url, problems), News(url, "a") as news:
        assert not news.connected
        assert news.next(0.2) is None
    assert not problems


@pytest.mark.parametrize("path", ["", "/comfy"])
def test_the_address(path: str) -> None:
    requests = []

    def talk(peer: Peer) -> None:
        peer.accept()
        requests.append(peer.request.decode())
        peer.frame()

    with serving(talk) as (url, _), News(url + path, "a"):
        pass
    assert requests[0].startswith(f"GET {path}/ws?clientId=a HTTP/1.1\r\n")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with News(f"http://127.0.0.1:{port}", "a") as news:
        assert not news.connected
        assert news.next(0.05) is None


def test_without_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with News("http://127.0.0.1:9", "a") as news:
        assert not news.connected
        assert news.next(0.01) is None
