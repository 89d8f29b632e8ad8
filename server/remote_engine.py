"""The remote engine that all nodes and routes of this server share, made when it is first needed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import folder_paths

from ..mixing.errors import InputError
from ..mixing.images import decode, encode_within
from ..mixing.mix import Picture
from ..network.transport import RequestsTransport
from ..remote.credentials import Credentials
from ..remote.endpoints import FILE, Settings, built_in_settings, load_settings
from ..remote.engine import Engine
from ..remote.errors import StoreError
from ..remote.pictures import Pictures
from ..remote.store.journal import Journal
from ..remote.store.results import Results

OWNER_ALONE = 0o700


def private_folder() -> Path:
    """Return the folder of keys, journal and results, in the user directory; ComfyUI's file routes refuse it."""
    return Path(folder_paths.get_system_user_directory("image_mixer"))


class ServerEngine:
    """Holds the remote engine of this server, and makes a new one when the owner has changed endpoints.toml.

    `folder` returns the private folder, `environment` holds the environment variables that keys may come from.
    """

    def __init__(self, folder: Callable[[], Path], environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._engine: Engine | None = None
        self._journal: Journal | None = None
        self._transport: RequestsTransport | None = None

    def settings(self) -> Settings:
        """Read the owner's settings from endpoints.toml. Raise InputError if the file cannot be used."""
        return load_settings(self._folder() / FILE)

    def credentials(self) -> Credentials:
        """Return the keys of this server. No file is created."""
        return Credentials(self._folder() / "keys.json", self._environment)

    def listing(self) -> tuple[tuple[tuple[str, bool], ...], str]:
        """Return (name, whether it has its key) of each endpoint, and what is wrong with endpoints.toml, "" if nothing.

        The endpoints are the built-in ones if the file cannot be used. No file is created.
        """
        problem = ""
        try:
            settings = self.settings()
        except InputError as error:
            settings, problem = built_in_settings(), str(error)
        keys = self.credentials()
        return tuple((e.name, keys.has(e.credential)) for e in settings.endpoints.values()), problem

    def prepare(self) -> Path:
        """Create the private folder if it is missing, readable only by the server's owner, and return it.

        Raise StoreError if it cannot be created.
        """
        folder = self._folder()
        try:
            folder.mkdir(mode=OWNER_ALONE, parents=True, exist_ok=True)
            if os.name == "posix":
                folder.chmod(OWNER_ALONE)
        except OSError as error:
            raise StoreError(f"{folder.name} cannot be made in the user directory ({error.strerror}).") from error
        return folder

    def engine(self) -> Engine:
        """Return the engine for the current settings.

        Raise InputError if the settings cannot be used, StoreError if the journal cannot be opened.
        """
        with self._lock:
            settings = self.settings()
            if self._engine is None or settings != self._settings:
                folder = self.prepare()
                self._journal = self._journal or Journal(folder / "journal.sqlite", time.time)
                self._transport = self._transport or RequestsTransport()
                results = Results(folder / "results", settings.results_bytes)
                pictures = Pictures(_encode, _size, _check)
                self._engine = Engine(settings, self.credentials(), self._journal, results, self._transport, pictures)
                self._settings = settings
            return self._engine


SERVER_ENGINE = ServerEngine(private_folder, os.environ)


def _encode(picture: Picture, max_bytes: int, max_side: int) -> tuple[bytes, str]:
    return encode_within(picture.pixels, max_bytes, max_side)


def _size(picture: Picture) -> tuple[int, int]:
    height, width = picture.pixels.shape[1:3]
    return int(width), int(height)


def _check(data: bytes) -> None:
    decode(data)
