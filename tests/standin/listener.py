"""A port on loopback that nobody may connect to: every connection is counted."""

from __future__ import annotations

import socket
import threading


class Listener:
    """Listens from its creation until `close`; `heard` is the number of connections made to it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.base = f"http://127.0.0.1:{self.port}"
        self.heard = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.heard += 1

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
