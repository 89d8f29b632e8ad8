"""The WebSocket client against a tiny server on the loopback."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from image_mixer.tools.comfy_tool.server.websocket import BINARY, TEXT, WebSocket, WebSocketError

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


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
        self.connection.sendall(f"{answer}\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())

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
        """A frame of the client's, which must be masked."""
        first, second = self.exactly(2)
        assert second & 0x80, "a client's frames are masked"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self.exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.exactly(8))[0]
        mask = self.exactly(4)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.exactly(size)))


@contextmanager
def serving(talk: Callable[[Peer], None]) -> Iterator[tuple[str, list[BaseException]]]:
    """A server that has one conversation; gives its address, and what went wrong at its end."""
    listener = socket.create_server(("127.0.0.1", 0))
    problems: list[BaseException] = []

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            try:
                talk(Peer(connection))
            except BaseException as error:
                problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws?clientId=a", problems
    finally:
        thread.join(10)
        listener.close()


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65535, 65536, 300_000])
@pytest.mark.parametrize("code", [TEXT, BINARY])
def test_messages_of_all_lengths(code: int, size: int) -> None:
    payload = bytes(at % 251 for at in range(size))

    def talk(peer: Peer) -> None:
        peer.accept()
        peer.send(code, payload)
        peer.frame()

    with serving(talk) as (url, problems), WebSocket(url) as client:
        assert client.receive(5) == (code, payload)
    assert not problems


def test_the_clients_frames_are_masked() -> None:
    heard = []

    def talk(peer: Peer) -> None:
        peer.accept()
        heard.extend([peer.frame(), peer.frame(), peer.frame()])

    with serving(talk) as (url, problems), WebSocket(url) as client:
        client.send_text("hällo")
        client.send_text("x" * 70_000)
    assert not problems
    assert heard[0] == (TEXT, "hällo".encode())
    assert heard[1] == (TEXT, b"x" * 70_000)
    assert heard[2] == (8, struct.pack("!H", 1000))


def test_fragments_with_a_ping_between_them() -> None:
    heard = []

    def talk(peer: Peer) -> None:
        peer.accept()
        peer.send(TEXT, b"one ", final=False)
        peer.send(9, b"there?")
        peer.send(0, b"two ", final=False)
        peer.send(0, b"three")
        heard.append(peer.frame())
        peer.frame()

    with serving(talk) as (url, problems), WebSocket(url) as client:
        assert client.receive(5) == (TEXT, b"one two three")
    assert not problems
    assert heard == [(10, b"there?")]


def test_nothing_within_the_time() -> None:
    def talk(peer: Peer) -> None:
        peer.accept()
        time.sleep(0.3)
        peer.send(TEXT, b"late")
        peer.frame()

    with serving(talk) as (url, _), WebSocket(url) as client:
        started = time.monotonic()
        assert client.receive(0.05) is None
        assert time.monotonic() - started < 0.25
        assert client.receive(5) == (TEXT, b"late")


def closes(peer: Peer) -> None:
    peer.accept()
    peer.send(8, struct.pack("!H", 1001))
    peer.frame()


def breaks_off(peer: Peer) -> None:
    peer.accept()


def breaks_off_inside(peer: Peer) -> None:
    peer.accept()
    peer.connection.sendall(b"\x81\x05he")


def masks(peer: Peer) -> None:
    peer.accept()
    peer.connection.sendall(b"\x81\x81\0\0\0\0a")


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


@pytest.mark.parametrize(
    ("talk", "problem"),
    [
        (closes, "closed"),
        (breaks_off, "gone"),
        (breaks_off_inside, "gone"),
        (masks, "broke the WebSocket protocol"),
        (continues_nothing, "out of order"),
        (begins_twice, "out of order"),
        (sends_too_much, "more than"),
    ],
)
def test_what_ends_a_connection(talk: Callable[[Peer], None], problem: str) -> None:
    with serving(talk) as (url, _), WebSocket(url) as client, pytest.raises(WebSocketError, match=problem):
        client.receive(5)


@pytest.mark.parametrize(
    "talk",
    [
        lambda peer: peer.accept("HTTP/1.1 404 Not Found"),
        lambda peer: peer.accept(key="another"),
        lambda peer: peer.connection.sendall(b"SSH-2.0-server\r\n\r\n"),
        lambda peer: None,
    ],
)
def test_a_refused_handshake(talk: Callable[[Peer], None]) -> None:
    with serving(talk) as (url, _), pytest.raises(WebSocketError):
        WebSocket(url)


def test_the_request() -> None:
    requests = []

    def talk(peer: Peer) -> None:
        peer.accept()
        requests.append(peer.request.decode())
        peer.frame()

    with serving(talk) as (url, _), WebSocket(url):
        pass
    head, *fields = requests[0].strip().split("\r\n")
    assert head == "GET /ws?clientId=a HTTP/1.1"
    assert {"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"} <= set(fields)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(WebSocketError, match=f"no WebSocket connection to 127.0.0.1:{port}"):
        WebSocket(f"ws://127.0.0.1:{port}/ws")
