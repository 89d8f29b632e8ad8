"""Keys: from the environment, or from one file that only the server's owner can read. Nothing here shows one."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..mixing.errors import InputError

SHORTEST_KEY, LONGEST_KEY = 8, 512
HIDDEN = "***"


@dataclass(frozen=True)
class Key:
    """A secret that shows itself neither in its repr nor in its text."""

    secret: str = field(repr=False)

    def __str__(self) -> str:
        return HIDDEN

    def hidden_in(self, body: bytes) -> bytes:
        """`body` without this key, plain or as JSON spells it: an answer may repeat what it was sent."""
        for spelling in {self.secret, json.dumps(self.secret)[1:-1], self.secret.replace("/", "\\/")}:
            body = body.replace(spelling.encode(), HIDDEN.encode())
        return body


class Credentials:
    """Keys by name. The environment is asked first, then the file `path`, which is made with mode 0600."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = environment

    def __repr__(self) -> str:
        return f"Credentials({self._path.name!r})"

    def key(self, name: str) -> Key | None:
        """The key called `name`, or None. Raises InputError where the one given cannot be a key, or the file is open
        to others."""
        secret = self._environment.get(name, "").strip() or self._stored().get(name)
        if not secret:
            return None
        _check(name, secret)
        return Key(secret)

    def has(self, name: str) -> bool:
        """Whether there is a key called `name` that can be used."""
        try:
            return self.key(name) is not None
        except InputError:
            return False

    def source(self, name: str) -> Literal["environment", "file"] | None:
        """Where the key called `name` comes from."""
        if self._environment.get(name, "").strip():
            return "environment"
        return "file" if self.has(name) else None

    def set(self, name: str, secret: str) -> None:
        """Keeps `secret` in the file as `name`. Raises InputError where it cannot be a key or cannot be written."""
        secret = secret.strip()
        _check(name, secret)
        self._write({**self._stored(), name: secret})

    def clear(self, name: str) -> None:
        """Forgets the key called `name` in the file; the environment is not touched."""
        stored = self._stored()
        if stored.pop(name, None) is not None:
            self._write(stored)

    def _stored(self) -> dict[str, str]:
        try:
            if os.name == "posix" and stat.S_IMODE(self._path.stat().st_mode) & 0o077:
                raise InputError(f"Others can read {self._path.name}: make it yours alone with chmod 600.")
            data = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(f"{self._path.name} cannot be read ({type(error).__name__}): set the key again.") from None
        if not isinstance(data, dict):
            raise InputError(f"{self._path.name} is not a file of keys: remove it and set the key again.")
        return {name: secret for name, secret in data.items() if isinstance(secret, str)}

    def _write(self, stored: Mapping[str, str]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".keys-")  # mkstemp makes mode 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(stored, file)
                Path(temporary).replace(self._path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise InputError(f"The key cannot be kept in {self._path.name}: {error.strerror}.") from None


def _check(name: str, secret: str) -> None:
    printable = secret.isascii() and secret.isprintable() and " " not in secret
    if not (printable and SHORTEST_KEY <= len(secret) <= LONGEST_KEY):
        raise InputError(
            f"What is set as {name[:60]} is no key: those have {SHORTEST_KEY} to {LONGEST_KEY} characters, no spaces."
        )
