"""The messages that a ComfyUI server sends over its WebSocket while it works."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import queue
import threading
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

LARGEST_MESSAGE = 256 << 20
CONNECT_SECONDS = 10.0
RETRY_SECONDS = 1.0
HEARTBEAT_SECONDS = 30.0

Message = str | bytes
"""A text message is JSON; the binary ones are previews."""


class News:
    """Receives a server's messages in its own thread, and connects again if the connection breaks.

    Without aiohttp, or if the server refuses the connection, `connected` stays false and no message ever arrives: the
    caller must ask the server itself from time to time. Use it as a context manager.
    """

    def __init__(self, url: str, client_id: str) -> None:
        parts = urllib.parse.urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        self._address = f"{scheme}://{parts.netloc}{parts.path}/ws?clientId={client_id}"
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._connected = threading.Event()
        self._tried = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def connected(self) -> bool:
        """Whether messages can arrive at the moment."""
        return self._connected.is_set()

    def __enter__(self) -> News:
        if importlib.util.find_spec("aiohttp") is not None:
            self._loop = asyncio.new_event_loop()
            self._task = self._loop.create_task(self._listen())
            self._thread = threading.Thread(target=self._run, daemon=True, name="ComfyUI's messages")
            self._thread.start()
            self._tried.wait(CONNECT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # the loop has already ended
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(CONNECT_SECONDS)

    def next(self, seconds: float) -> Message | None:
        """Return the next message, or None if there is none within `seconds`."""
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    async def _listen(self) -> None:
        import aiohttp

        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        ) as session:
            while True:
                try:
                    await self._receive(session)
                except aiohttp.WSServerHandshakeError:
                    return
                except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
                    pass
                finally:
                    self._connected.clear()
                    self._tried.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _receive(self, session: aiohttp.ClientSession) -> None:
        """Pass on messages until the connection ends."""
        async with session.ws_connect(
            self._address, max_msg_size=LARGEST_MESSAGE, heartbeat=HEARTBEAT_SECONDS
        ) as socket:
            self._connected.set()
            self._tried.set()
            async for message in socket:
                if isinstance(message.data, (str, bytes)):
                    self._messages.put(message.data)
