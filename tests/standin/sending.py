"""How the stand-in sends an answer over a connection: as it should, or with the fault that a test asked for."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

if __package__:
    from .state import Fault, ServiceState
else:
    from state import Fault, ServiceState  # type: ignore[import-not-found, no-redef]

JSON = "application/json"


class Refusal(Exception):
    """A refusal by the service."""

    def __init__(self, status: int, message: Any, **more: Any) -> None:
        super().__init__(str(message))
        self.status = status
        self.body = {"status": "error", "message": message, **more}


class FaultyHandler(BaseHTTPRequestHandler):
    """One connection, which breaks when `state` says so."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60

    @property
    def state(self) -> ServiceState:
        """What the stand-in remembers."""
        raise NotImplementedError

    @property
    def base(self) -> str:
        """The URL of the server, without a slash at its end."""
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: tests read the state instead."""

    def serve(self, phase: str, work: Callable[[], bytes | dict[str, Any]]) -> None:
        """Send what `work` returns (a picture, or fields), or the fault that is due for a call of `phase`."""
        self.state.called(phase)
        fault = self.state.fault(phase, self.path)
        status, kind, data, job = 200, JSON, b"", 0
        if fault is None or fault.taken or fault.action in ("cut", "trickle", "delay"):
            try:
                made = work()
            except Refusal as refusal:
                status, made = refusal.status, refusal.body
            if isinstance(made, bytes):
                kind, data = "image/png", made
            else:
                data, job = json.dumps(made).encode(), made.get("id", 0)
        if fault is None:
            return self.send(status, kind, data)
        if fault.action == "answer":
            text = self._filled(fault, job)
            return self.send(fault.status, fault.headers.get("Content-Type", kind), text, more=fault.headers)
        return self._break(fault, status, kind, data)

    def send_json(self, status: int, value: Any) -> None:
        """Send a value as JSON."""
        self.send(status, JSON, json.dumps(value).encode())

    def send(
        self, status: int, kind: str, data: bytes, sent: int | None = None, more: dict[str, str] | None = None
    ) -> None:
        """Send an answer of this type, with `more` headers; only its first `sent` bytes if that is given."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data if sent is None else data[:sent])
        self.wfile.flush()

    def reset(self) -> None:
        """Reset the connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _break(self, fault: Fault, status: int, kind: str, data: bytes) -> None:
        if fault.action in ("hang", "delay"):
            time.sleep(fault.seconds)
        if fault.action == "delay":
            return self.send(status, kind, data)
        if fault.action == "trickle":
            return self._trickle(status, data, fault.seconds)
        if fault.action == "cut":
            self.send(status, kind, data, sent=int(len(data) * fault.part))
        return self.reset()

    def _filled(self, fault: Fault, job: int) -> bytes:
        """Return the body of a scripted answer."""
        if isinstance(fault.body, bytes):
            return fault.body
        return fault.body.replace("{id}", str(job)).replace("{base}", self.base).encode()

    def _trickle(self, status: int, data: bytes, seconds: float) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(seconds)
