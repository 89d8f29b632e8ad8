"""A server on plain sockets that can answer with any bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def whole_request(peer: socket.socket) -> bytes:
    """Return the next request with its body, or what came before the connection ended or before it was not HTTP."""
    data = b""
    while more := peer.recv(65536):
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if not data[:1].isalpha() or (end and len(body) >= length):
            break
    return data


@contextmanager
def server(serve: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that passes each connection and its first request to `serve`. Yield its base URL and the requests."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def one(peer: socket.socket) -> None:
        with peer:
            try:
                heard.append(whole_request(peer))
                serve(peer, heard[-1])
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):  # closing with unread bytes would reset the connection and lose the answer
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
