"""Keep the services' keys: in the environment, or in one file that only the server's owner can read. Never show one."""

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
    """A secret that appears neither in its repr nor in its text."""

    secret: str = field(repr=False)

    def __str__(self) -> str:
        return HIDDEN

    def hidden_in(self, body: bytes) -> bytes:
        """Return `body` with this key masked, since an answer may repeat what it was sent.

        Each character of the key may be plain, escaped as in JSON (`\\/`, `\\u006B`), or percent-encoded. JSON in UTF-16 or
        UTF-32 is returned as UTF-8.
        """
        encoding = json.detect_encoding(body)
        if not encoding.startswith("utf-8"):
            body = body.decode(encoding, "replace").encode()
        if self._spelled.search(body) is None:  # nearly always; this pattern is fast
            return body
        return self._spelled_whole.sub(HIDDEN.encode(), body)

    @cached_property
    def _spelled(self) -> re.Pattern[bytes]:
        return re.compile(_any_spelling(self.secret))

    @cached_property
    def _spelled_whole(self) -> re.Pattern[bytes]:
        """The pattern with the backslashes before it: a remaining one would break the JSON."""
        before = b"" if self.secret.startswith("\\") else rb"(?<!\\)\\*"
        return re.compile(before + _any_spelling(self.secret))


class Credentials:
    """Keys by name, from `environment` first and then from the file `path`, which is created with mode 0600."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = environment

    def __repr__(self) -> str:
        return f"Credentials({self._path.name!r})"

    def key(self, name: str) -> Key | None:
        """Return the key called `name`, or None if it is not set.

        Raise InputError if it is not a valid key, or if the file of keys cannot be read or is readable by others.
        """
        secret = self._environment.get(name, "").strip() or self._stored().get(name)
        if not secret:
            return None
        _check(name, secret)
        return Key(secret)

    def has(self, name: str) -> bool:
        """Return whether there is a usable key called `name`."""
        try:
            return self.key(name) is not None
        except InputError:
            return False

    def source(self, name: str) -> Literal["environment", "file"] | None:
        """Return where the key called `name` comes from, or None if there is no usable one."""
        if self._environment.get(name, "").strip():
            return "environment"
        return "file" if self.has(name) else None

    def set(self, name: str, secret: str) -> None:
        """Store `secret` in the file as `name`. Raise InputError if it is not a valid key or cannot be written."""
        secret = secret.strip()
        _check(name, secret)
        self._write({**self._stored(), name: secret})

    def clear(self, name: str) -> None:
        """Remove the key called `name` from the file, not from the environment. Raise InputError if that fails."""
        stored = self._stored()
        if stored.pop(name, None) is not None:
            self._write(stored)

    def _stored(self) -> dict[str, str]:
        try:
            if os.name == "posix" and stat.S_IMODE(self._path.stat().st_mode) & 0o077:
                raise InputError(f"Others can read {self._path.name}: restrict it to yourself with chmod 600.")
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
            raise InputError(f"The key cannot be stored in {self._path.name}: {error.strerror}.") from None


def _any_spelling(secret: str) -> bytes:
    """Return a regular expression for all spellings of `secret`.

    It can match a text in only one way, and no two repetitions of the same character are adjacent, so that no answer makes
    the search slow.
    """
    found = b""
    for part in re.findall(r"\\+|[^\\]+", secret):
        if part[0] == "\\":
            most = 4 * len(part) + 4  # the backslashes that escape the next character may follow without a gap
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
