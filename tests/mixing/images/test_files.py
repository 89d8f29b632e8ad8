"""Encoding and decoding of image files, good, broken and hostile."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import ImageError, MixError
from image_mixer.mixing.images import (
    FORMATS,
    decode,
    decode_batch,
    encode_jpeg,
    encode_png,
    files,
    resized,
    tensor_to_pil,
)
from image_mixer.tests.mixing.images.samples import close, file_of, noise, noisy, photo
from PIL import Image


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_png_is_lossless(height: int, width: int, seed: int) -> None:
    pixels = (noise(1, height, width, 3, seed=seed) * 255).round() / 255
    assert decode(encode_png(pixels)).equal(pixels)
    assert decode(encode_png(pixels[0])).equal(pixels)


def test_png_carries_text() -> None:
    text = {"prompt": '{"a": 1}', "caf\u00e9": "\u4e2d\u6587 \U0001f642", "half": "\ud83d!", "long": "x" * 100_000}
    with Image.open(io.BytesIO(encode_png(photo(2, 2), text))) as image:
        image.load()
        assert image.text == {**text, "half": "?!"}


def test_jpeg_is_near_and_quality_counts() -> None:
    pixels = resized(photo(4, 4), 64, 64)
    data = encode_jpeg(pixels)
    close(decode(data), pixels, 0.06)
    assert len(encode_jpeg(pixels, 30)) < len(data)


def test_a_side_too_long_for_jpeg_is_an_error() -> None:
    with pytest.raises(ImageError, match="65536 x 1 pixels"):
        encode_jpeg(torch.zeros(1, 65536, 3))


@pytest.mark.parametrize("form", FORMATS)
def test_decode_reads(form: str) -> None:
    pixels = photo(1, 1).expand(1, 8, 8, 3)
    close(decode(file_of(tensor_to_pil(pixels), form)), pixels, 0.03)


@pytest.mark.parametrize("form", ["TIFF", "ICO", "PPM", "TGA", "PCX", "PDF", "EPS"])
def test_decode_reads_no_other_format(form: str) -> None:
    with pytest.raises(ImageError, match=r"are not a PNG, JPEG, WEBP, GIF or BMP picture"):
        decode(file_of(tensor_to_pil(photo(16, 16)), form))


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_file_is_an_error(form: str) -> None:
    data = file_of(tensor_to_pil(photo(32, 32)), form)
    for length in (0, 1, 10, len(data) // 2, len(data) - 40):
        with pytest.raises(ImageError):
            decode(data[:length])


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that promises `width` x `height` pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height"), [(8001, 8000), (10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_decompression_bomb_is_refused_unread_and_without_a_warning(width: int, height: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="64000000"):
            decode(png_header(width, height))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_max_pixels_is_a_limit_of_its_own() -> None:
    data = encode_png(photo(3, 5))
    assert decode(data, 15).shape == (1, 3, 5, 3)
    with pytest.raises(ImageError, match=r"5 x 3 pixels: at most 14"):
        decode(data, 14)


def test_a_batch_holds_each_picture_as_it_is_decoded_alone() -> None:
    made = [file_of(noisy(mode, 60, 300), "PNG") for mode in ("RGB", "RGBA", "I;16", "P")]
    given_files = list(made)
    batch, resizings = decode_batch(given_files)
    assert batch.equal(torch.cat([decode(data) for data in made]))
    assert (batch.dtype, batch.is_contiguous(), resizings, given_files) == (torch.float32, True, 0, [])


def test_pictures_of_a_batch_take_the_size_of_its_first() -> None:
    made = [
        encode_png(noise(1, *sides, 3, seed=seed)) for seed, sides in enumerate([(40, 30), (8, 80), (40, 30), (30, 40)])
    ]
    batch, resizings = decode_batch(list(made))
    assert batch.equal(torch.cat([resized(decode(data), 30, 40) for data in made]))
    assert (batch.shape, resizings) == ((4, 40, 30, 3), 2)
    assert decode_batch([made[1], made[0]])[0].shape == (2, 8, 80, 3)


def test_a_batch_with_a_broken_file_is_an_error() -> None:
    good = encode_png(photo(4, 4))
    with pytest.raises(ImageError, match="9 bytes are not a PNG"):
        decode_batch([good, b"no images", good])


SAMPLES = [file_of(tensor_to_pil(photo(6, 6)), form) for form in FORMATS]


def only_mix_errors(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = decode(data, 100_000)
        except MixError as error:
            assert isinstance(error, ImageError)
            assert len(str(error).splitlines()) == 1
            assert len(str(error)) < 250
        else:
            assert (result.shape[0], result.shape[3]) == (1, 3)


@given(st.binary(max_size=200))
def test_decode_raises_nothing_else_on_any_bytes(data: bytes) -> None:
    only_mix_errors(data)


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.data())
def test_decode_raises_nothing_else_on_a_damaged_file(
    sample: bytes, damage: list[tuple[int, int]], data: st.DataObject
) -> None:
    broken = bytearray(sample)
    for position, value in damage:
        broken[position % len(broken)] = value
    only_mix_errors(bytes(broken[: data.draw(st.integers(0, len(broken)))]))


def test_no_exception_of_pillow_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("two\nlines")

    monkeypatch.setattr(files.Image, "open", fail)
    with pytest.raises(ImageError, match="MemoryError: two lines"):
        decode(b"anything")
