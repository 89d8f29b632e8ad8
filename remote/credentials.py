"""Keys: from the environment, or from one file that only the server's owner can read. Nothing here shows one."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
        """`body` without this key, since an answer may repeat what it was sent: plain, as JSON spells it (`\\/`, `\\u006B`)
        or percent-encoded, each character in a way of its own. JSON in UTF-16 or UTF-32 comes back as UTF-8."""
        encoding = json.detect_encoding(body)
        if not encoding.startswith("utf-8"):
            body = body.decode(encoding, "replace").encode()
        if self._spelled.search(body) is None:  # nearly always: this one skips ahead to the key's first character
            return body
        return self._spelled_whole.sub(HIDDEN.encode(), body)

    @cached_property
    def _spelled(self) -> re.Pattern[bytes]:
        return re.compile(_any_spelling(self.secret))

    @cached_property
    def _spelled_whole(self) -> re.Pattern[bytes]:
        """With the backslashes before it: one that is left behind would spoil the JSON."""
        before = b"" if self.secret.startswith("\\") else rb"(?<!\\)\\*"
        return re.compile(before + _any_spelling(self.secret))


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


def _any_spelling(secret: str) -> bytes:
    """A regular expression for the spellings of `secret`. Every text can be matched in one way only, and no repetition
    meets another one of the same character, so that no answer makes the search long."""
    found = b""
    for part in re.findall(r"\\+|[^\\]+", secret):
        if part[0] == "\\":
            most = 4 * len(part) + 4  # with those of the character after it
            found += _spellings("\\") + f"{{{len(part)},{most}}}".encode()
        else:
            found += rb"\\*".join(map(_spellings, part))
    return found


def _spellings(character: str) -> bytes:
    plain, digits = re.escape(character), f"{ord(character):02x}"
    either = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
    return f"(?:{plain}|u00{either}|%(?:25)*{either})".encode()


def _check(name: str, secret: str) -> None:
    printable = secret.isascii() and secret.isprintable() and " " not in secret
    if not (printable and SHORTEST_KEY <= len(secret) <= LONGEST_KEY):
        raise InputError(f"{name[:60]} is not a valid key: use {SHORTEST_KEY}–{LONGEST_KEY} characters without spaces.")
