"""A small WebSocket client (RFC 6455): text, binary, fragments, ping and close; no extensions."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import struct
import time
import urllib.parse

from ..errors import ToolError

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, TEXT, BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
LARGEST_MESSAGE = 256 << 20
LARGEST_HEAD = 64 << 10


class WebSocketError(ToolError):
    """The connection could not be made, broke, or the other side does not keep to the protocol."""


class WebSocket:
    """A connection to ws://host:port/path or wss://. Use as a context manager."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        parts = urllib.parse.urlsplit(url)
        secure = parts.scheme == "wss"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._buffer = bytearray()
        try:
            plain = socket.create_connection((host, port), timeout)
            try:
                context = ssl.create_default_context() if secure else None
                self._socket = context.wrap_socket(plain, server_hostname=host) if context else plain
                self._shake_hands(parts)
            except BaseException:
                plain.close()
                raise
        except OSError as error:
            raise WebSocketError(f"no WebSocket connection to {parts.netloc} ({error})") from error

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def receive(self, timeout: float) -> tuple[int, bytes] | None:
        """The next message as (TEXT or BINARY, bytes), None when none came within `timeout` seconds.

        Raises WebSocketError when the other side closed the connection or broke the protocol. Pings are answered.
        """
        kind, message = 0, bytearray()
        deadline = time.monotonic() + timeout
        while True:
            frame = self._frame(deadline, patient=bool(kind))
            if frame is None:
                return None
            final, code, payload = frame
            if code == _CLOSE:
                self._send_quietly(_CLOSE, payload[:2])
                raise WebSocketError("the server closed the WebSocket connection")
            if code == _PING:
                self._send(_PONG, payload)
            if code in (_CLOSE, _PING, _PONG):
                continue
            if (code == _CONTINUATION) != bool(kind):
                raise WebSocketError("the server broke the WebSocket protocol: fragments out of order")
            kind = kind or code
            message += payload
            if len(message) > LARGEST_MESSAGE:
                raise WebSocketError(f"the server sent a WebSocket message of more than {LARGEST_MESSAGE >> 20} MiB")
            if final:
                return kind, bytes(message)

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self._send(TEXT, text.encode())

    def close(self) -> None:
        """Say goodbye and close; may be called again."""
        self._send_quietly(_CLOSE, struct.pack("!H", 1000))
        self._socket.close()

    def _shake_hands(self, parts: urllib.parse.SplitResult) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = parts.netloc.rpartition("@")[2]
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            block = self._socket.recv(4096)
            if not block or len(head) > LARGEST_HEAD:
                raise WebSocketError("the server did not answer as a WebSocket server does")
            head += block
        head, _, rest = head.partition(b"\r\n\r\n")
        self._buffer += rest
        status, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
        expected = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        if " 101 " not in status + " " or headers.get("sec-websocket-accept") != expected:
            raise WebSocketError(f"the server refused the WebSocket connection ({status[:80]})")

    def _frame(self, deadline: float, patient: bool) -> tuple[bool, int, bytes] | None:
        """One frame; None at the deadline, unless a message has begun."""
        if not self._fill(2, deadline, patient):
            return None
        first, second = self._buffer[0], self._buffer[1]
        size, at = second & 0x7F, 2
        extra = {126: 2, 127: 8}.get(size, 0)
        self._fill(at + extra, deadline, True)
        if extra:
            size = int.from_bytes(self._buffer[at : at + extra], "big")
            at += extra
        if first & 0x70 or second & 0x80 or (first & 0x0F) not in (0, 1, 2, 8, 9, 10) or (first & 8 and size > 125):
            raise WebSocketError("the server broke the WebSocket protocol")
        if size > LARGEST_MESSAGE:
            raise WebSocketError(f"the server sent a WebSocket message of more than {LARGEST_MESSAGE >> 20} MiB")
        self._fill(at + size, deadline, True)
        payload = bytes(self._buffer[at : at + size])
        del self._buffer[: at + size]
        return bool(first & 0x80), first & 0x0F, payload

    def _fill(self, count: int, deadline: float, patient: bool) -> bool:
        """Read until `count` bytes are there; False at the deadline. Half a frame is waited for a minute longer."""
        if patient:
            deadline = max(deadline, time.monotonic() + 60.0)
        while len(self._buffer) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                if patient or self._buffer:
                    raise WebSocketError("the server stopped in the middle of a WebSocket message")
                return False
            self._socket.settimeout(left)
            try:
                block = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise WebSocketError(f"the WebSocket connection broke ({error})") from error
            if not block:
                raise WebSocketError("the WebSocket connection broke: the server is gone")
            self._buffer += block
        return True

    def _send(self, code: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes([0x80 | code])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        try:
            self._socket.settimeout(10.0)
            self._socket.sendall(head + mask + masked)
        except OSError as error:
            raise WebSocketError(f"the WebSocket connection broke ({error})") from error

    def _send_quietly(self, code: int, payload: bytes) -> None:
        with contextlib.suppress(WebSocketError):
            self._send(code, payload)
