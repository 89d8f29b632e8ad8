"""Pictures are recognised by their first bytes: plain, as base64, or as a data URI."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from image_mixer.mixing.errors import ImageError
from image_mixer.network.pictures import picture_bytes
from image_mixer.tests.support.pictures import coloured

PNG = coloured().pixels
TEXT = base64.b64encode(PNG)
FIRST = (b"\xff\xd8\xff\xe0rest", b"GIF89a\x01\x00\x01\x00rest", b"RIFF\x00\x00\x00\x00WEBPrest")


@pytest.mark.parametrize(
    "body",
    [
        PNG,
        TEXT,
        b" " + TEXT + b"\n",
        b"data:image/png;base64," + TEXT,
        b"Data:;base64," + TEXT,
        b"data:image/png;base64," + quote(TEXT, safe="").encode(),
        TEXT[:40] + b"\r\n" + TEXT[40:],
    ],
)
def test_a_picture_is_found(body: bytes) -> None:
    assert picture_bytes(body) == PNG


@pytest.mark.parametrize("body", FIRST)
def test_other_formats_are_told_by_their_first_bytes(body: bytes) -> None:
    assert picture_bytes(body) == picture_bytes(base64.b64encode(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"data:",
        b"data:,",
        b"data:image/png;base64,",
        b"data:image/png;base64,AAAA",
        b"AAAA",
        b"\x00" * 99,
        b"data:image/svg+xml,%3Csvg%3E",
        b"data:image/png;base64,%",
        b"iVBORw0KGg",
    ],
)
def test_what_is_not_a_picture(body: bytes) -> None:
    with pytest.raises(ImageError, match="PNG, JPEG"):
        picture_bytes(body)


@pytest.mark.parametrize(
    "wrap", [bytes, base64.b64encode, lambda data: b"data:image/png;base64," + base64.b64encode(data)]
)
def test_a_size_that_is_stated_too_large_is_refused_in_every_form(wrap: object) -> None:
    bomb = PNG[:16] + (60000).to_bytes(4, "big") * 2 + PNG[24:]
    with pytest.raises(ImageError, match="60000 x 60000"):
        picture_bytes(wrap(bomb))  # type: ignore[operator]
