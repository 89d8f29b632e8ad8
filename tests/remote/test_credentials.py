"""Keys: where they are stored, which are valid, and that none is ever shown, however an answer spells it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from image_mixer.mixing.errors import InputError
from image_mixer.remote.credentials import HIDDEN, Credentials, Key
from image_mixer.wire.texts import json_object

CANARY = "canary-0123456789-key"


def test_keys_live_in_one_private_file(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "new" / "keys.json", {})
    assert keys.key("A_KEY") is None
    keys.set("A_KEY", f" {CANARY}\n")
    assert keys.has("A_KEY") and keys.source("A_KEY") == "file"
    assert keys.key("A_KEY") == Key(CANARY)
    if os.name == "posix":
        assert (tmp_path / "new" / "keys.json").stat().st_mode & 0o777 == 0o600
    keys.clear("A_KEY")
    assert not keys.has("A_KEY")
    assert CANARY not in (tmp_path / "new" / "keys.json").read_text()


def test_the_environment_comes_first(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "keys.json", {"A_KEY": CANARY})
    keys.set("A_KEY", "another-key-000")
    assert keys.source("A_KEY") == "environment"
    assert keys.key("A_KEY") == Key(CANARY)


def test_a_key_shows_itself_nowhere(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "k", {"A": CANARY})
    key = keys.key("A")
    assert key is not None
    assert CANARY not in repr(key) + str(key) + repr(keys) + f"{key!r}{key}"
    assert key.hidden_in(b'{"message":"bad key ' + CANARY.encode() + b'"}') == b'{"message":"bad key ***"}'


@pytest.mark.parametrize("secret", ["", "short", "has space in it", "x" * 600, "tab\there-and-more", "caf\u00e9" * 3])
def test_what_is_not_a_key(tmp_path: Path, secret: str) -> None:
    with pytest.raises(InputError, match=r"^A is not a valid key: use 8–512 characters without spaces\.$") as caught:
        Credentials(tmp_path / "k", {}).set("A", secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_file_open_to_others_is_refused(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "k", {})
    keys.set("A", CANARY)
    (tmp_path / "k").chmod(0o644)
    assert not keys.has("A")
    with pytest.raises(InputError, match="chmod 600"):
        keys.key("A")


@pytest.mark.parametrize("text", ["not json", "[]", "\x00"])
def test_a_broken_file_of_keys(tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_text(text)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(InputError):
        Credentials(tmp_path / "k", {}).key("A")


ODD = 'k/"\\+%=&<~'
"""A key made of all the characters that JSON or a URL escapes."""


def escaped(text: str, form: str = "\\u{:04x}") -> str:
    """Return `text` with each character written as `form`."""
    return "".join(form.format(ord(character)) for character in text)


def mixed(text: str) -> str:
    """Return `text` with each character written in another form than the one before it."""
    forms = ("\\u{:04x}", "%{:02X}", "\\u{:04X}", "%{:02x}", "%25{:02x}")
    return "".join(forms[i % 6].format(ord(c)) if i % 6 < 5 else json.dumps(c)[1:-1] for i, c in enumerate(text))


SPELLINGS = {
    "plain": lambda key: json.dumps(key)[1:-1],
    "with slashes escaped": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "escaped": escaped,
    "escaped in capitals": lambda key: escaped(key, "\\u{:04X}"),
    "the first half escaped": lambda key: escaped(key[:5]) + json.dumps(key[5:])[1:-1],
    "the last character escaped": lambda key: json.dumps(key[:-1])[1:-1] + escaped(key[-1]),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key))[3:-3],
    "escaped, in JSON in JSON": lambda key: escaped(key, "\\\\u{:04x}"),
    "percent-encoded": lambda key: escaped(key, "%{:02X}"),
    "percent-encoded, small": lambda key: escaped(key, "%{:02x}"),
    "as a URL's query": lambda key: quote(key, safe=""),
    "percent-encoded twice": lambda key: quote(quote(key, safe=""), safe=""),
    "mixed": mixed,
}


@pytest.mark.parametrize("secret", [CANARY, ODD, "AKIA/abc+def==", "%41%42%43%44", "\\\\back\\slashes\\"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_hidden_however_it_is_spelled(secret: str, spelling: str) -> None:
    spelled = SPELLINGS[spelling](secret)
    body = (
        '{"message": "Köln \\\\' + spelled + ' is odd, \\u00e9", "id": 7, "again": "' + spelled + " " + spelled + '"}'
    )
    hidden = Key(secret).hidden_in(body.encode())
    fields = json_object(hidden)
    assert fields is not None and fields["id"] == 7 and fields["again"] == f"{HIDDEN} {HIDDEN}"
    assert fields["message"].startswith("Köln ") and fields["message"].endswith(f"{HIDDEN} is odd, é")
    assert spelled.encode() not in hidden


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_a_key_is_hidden_in_every_encoding_that_json_may_have(encoding: str) -> None:
    hidden = Key(CANARY).hidden_in(json.dumps({"message": f"bad {CANARY}", "id": 7}).encode(encoding))
    assert json_object(hidden) == {"message": f"bad {HIDDEN}", "id": 7}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\x89PNG\r\n\x1a\n\x00\xff",
        b"\xff\xfe",
        b"canary-0123456789-ke",
        b"%63anary-0123456789 key",
        b"\\" * 999,
        b'{"a": "\\\\u0063anary"}',
        '{"a": "Köln"}'.encode(),
    ],
)
def test_what_holds_no_key_stays_as_it_is(body: bytes) -> None:
    hidden = Key(CANARY).hidden_in(body)
    assert hidden == body or body == b"\xff\xfe"
    assert HIDDEN.encode() not in hidden
