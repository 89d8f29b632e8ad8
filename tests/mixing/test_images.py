"""Pictures: layouts, digests, Pillow's modes, coding and decoding."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing import images
from image_mixer.mixing.errors import ImageError, MixError
from image_mixer.mixing.images import (
    FORMATS,
    decode,
    decode_batch,
    encode_jpeg,
    encode_png,
    picture,
    pictures,
    pil_to_tensor,
    region,
    resized,
    tensor_to_pil,
)
from PIL import Image
from torch import Tensor


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def photo(height: int, width: int) -> Tensor:
    """[1, height, width, 3], on exact 8-bit levels."""
    return (noise(1, height, width, 3) * 255).round() / 255


def file_of(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def close(left: Tensor, right: Tensor, within: float = 1e-6) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=within)


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        ([0.25], [0.25, 0.25, 0.25]),
        ([0.25, 0.5], [0.625, 0.625, 0.625]),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]),
        ([0.0, 0.5, 1.0, 0.5], [0.5, 0.75, 1.0]),
        ([0.0, 0.5, 1.0, 0.0], [1.0, 1.0, 1.0]),
        ([-1.0, 2.0, 0.5], [0.0, 1.0, 0.5]),
        ([0.0, 0.5, 1.0, 7.0], [0.0, 0.5, 1.0]),
    ],
)
def test_a_picture_is_rgb_on_white_from_0_to_1(pixel: list[float], expected: list[float]) -> None:
    made = picture(torch.tensor(pixel).expand(2, 3, len(pixel)))
    assert made.pixels.shape == (1, 2, 3, 3)
    assert made.pixels.is_contiguous()
    close(made.pixels, torch.tensor(expected).expand(1, 2, 3, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_picture_is_a_float32_copy(dtype: torch.dtype) -> None:
    pixels = noise(4, 5, 3).to(dtype).requires_grad_()
    made = picture(pixels)
    assert (made.pixels.dtype, made.pixels.requires_grad) == (torch.float32, False)
    with torch.no_grad():
        pixels.zero_()
    assert made.pixels.sum() > 1


def test_a_digest_is_that_of_shape_and_bytes() -> None:
    pixels = noise(2, 3, 3)
    made = picture(pixels)
    assert made.digest == hashlib.sha256(b"(1, 2, 3, 3)" + pixels.numpy().tobytes()).hexdigest()
    assert made == picture(pixels[None]) == picture(torch.cat([pixels, torch.ones(2, 3, 1)], dim=-1))
    assert made == picture(pixels.permute(1, 0, 2).contiguous().permute(1, 0, 2))
    assert made != picture(pixels.reshape(3, 2, 3))
    assert made != picture(pixels + 1e-6)


def test_pictures_are_those_of_the_batch() -> None:
    batch = noise(3, 4, 5, 4)
    assert pictures(batch) == tuple(picture(one) for one in batch)
    assert [made.pixels.shape for made in pictures(batch)] == [(1, 4, 5, 3)] * 3


@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (torch.zeros(4, 5), r"\[4, 5\]"),
        (torch.zeros(1, 1, 4, 5, 3), r"\[1, 1, 4, 5, 3\]"),
        (torch.zeros(4, 5, 7), r"\[4, 5, 7\]"),
        (torch.zeros(3, 64, 64), r"\[3, 64, 64\]"),
        (torch.zeros(0, 5, 3), "empty"),
        (torch.zeros(4, 5, 3, dtype=torch.uint8), "uint8"),
        (torch.full((4, 5, 3), torch.nan), "NaN"),
        (torch.full((4, 5, 4), torch.inf), "infinity"),
        (torch.full((4, 5, 3), 1e300, dtype=torch.float64), "infinity"),
        (torch.zeros(2, 4, 5, 3), "batch of 2"),
    ],
)
def test_a_picture_refuses(pixels: Tensor, named: str) -> None:
    for function in (picture, tensor_to_pil, encode_png, encode_jpeg):
        with pytest.raises(ImageError, match=named):
            function(pixels)


def test_pictures_refuse_what_is_no_batch() -> None:
    with pytest.raises(ImageError, match=r"\[4, 5, 3\]"):
        pictures(torch.zeros(4, 5, 3))
    with pytest.raises(ImageError, match="empty"):
        pictures(torch.zeros(0, 4, 5, 3))


def test_a_region_is_one_mask_from_0_to_1() -> None:
    mask = torch.tensor([[-1.0, 0.25, 2.0]], dtype=torch.float64)
    made = region(mask)
    assert made.mask.tolist() == [[0.0, 0.25, 1.0]]
    assert made.mask.dtype == torch.float32
    assert made == region(mask[None]) != region(mask / 2)
    assert region(mask > 0).mask.tolist() == [[0.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("mask", "named"),
    [
        (torch.zeros(2, 3, 4), "batch of 2"),
        (torch.zeros(3), r"\[3\]"),
        (torch.zeros(1, 1, 3, 4), r"\[1, 1, 3, 4\]"),
        (torch.zeros(0, 4), r"\[0, 4\]"),
        (torch.full((3, 4), torch.nan), "mask holds NaN"),
        (torch.zeros(3, 4, dtype=torch.int64), "int64"),
    ],
)
def test_a_region_refuses(mask: Tensor, named: str) -> None:
    with pytest.raises(ImageError, match=named):
        region(mask)


RED, WHITE = (255, 0, 0), (255, 255, 255)


def palette(transparency: int | bytes) -> Image.Image:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 255, *RED])
    image.info["transparency"] = transparency
    return image


def keyed(mode: str, colour: Any, transparent: Any) -> Image.Image:
    image = Image.new(mode, (1, 1), colour)
    image.info["transparency"] = transparent
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (1, 1), (51, 102, 153)), (51, 102, 153)),
        (Image.new("L", (1, 1), 51), (51, 51, 51)),
        (Image.new("1", (1, 1), 1), WHITE),
        (Image.new("RGBA", (1, 1), (*RED, 0)), WHITE),
        (Image.new("RGBA", (1, 1), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("LA", (1, 1), (0, 51)), (204, 204, 204)),
        (palette(0), RED),
        (palette(1), WHITE),
        (palette(b"\x00\xff"), RED),
        (palette(b"\xff\x00"), WHITE),
        (keyed("L", 7, 7), WHITE),
        (keyed("L", 7, 8), (7, 7, 7)),
        (keyed("RGB", RED, RED), WHITE),
        (keyed("I;16", 257 * 51, 257 * 51), WHITE),
        (keyed("I;16", 257 * 51, 3), (51, 51, 51)),
        (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), RED),
        (Image.new("YCbCr", (1, 1), (51, 128, 128)), (51, 51, 51)),
        (Image.new("I;16", (1, 1), 257 * 51), (51, 51, 51)),
        (Image.new("I;16B", (1, 1), 257 * 51), (51, 51, 51)),
        (Image.new("I", (1, 1), 65535), WHITE),
        (Image.new("I", (1, 1), 257 * 51), (51, 51, 51)),
        (Image.new("I", (1, 1), -5), (0, 0, 0)),
        (Image.new("I", (1, 1), 10**6), WHITE),
    ],
)
def test_pil_to_tensor(image: Image.Image, expected: tuple[int, int, int]) -> None:
    result = pil_to_tensor(image)
    assert (result.shape, result.dtype) == ((1, 1, 1, 3), torch.float32)
    close(result[0, 0, 0] * 255, torch.tensor(expected, dtype=torch.float32), 1e-3)


def test_16_bits_are_kept() -> None:
    levels = list(range(1000, 1004))
    image = Image.frombytes("I;16", (4, 1), struct.pack("<4H", *levels))
    for data in (image, Image.open(io.BytesIO(file_of(image, "PNG")))):
        close(pil_to_tensor(data)[0, 0, :, 0] * 65535, torch.tensor(levels).float(), 1e-2)


def noisy(mode: str, width: int, height: int) -> Image.Image:
    """Random bytes in a mode; a palette of random colours."""
    values = bytes((noise(height * width * 4, seed=7) * 256).to(torch.uint8).tolist())
    size = {"I;16": 2, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 1) * width * height
    image = Image.frombytes(mode, (width, height), values[:size])
    if mode == "P":
        image.putpalette(values[:768])
        image.info["transparency"] = values[:256]
    return image


def at_once(image: Image.Image) -> Tensor:
    """The pixels of a whole picture by plain arithmetic: over 255, then on white; over 65535 with 16 bits."""
    if image.mode == "I;16":
        levels = torch.tensor(list(struct.unpack(f"<{image.width * image.height}H", image.tobytes())))
        return (levels.float() / 65535.0).reshape(1, image.height, image.width, 1).repeat(1, 1, 1, 3)
    levels = torch.tensor(list(image.convert("RGBA").tobytes()), dtype=torch.float32)
    values = (levels / 255.0).reshape(1, image.height, image.width, 4)
    colours, alpha = values[..., :3], values[..., 3:]
    return (colours * alpha + (1 - alpha)).clamp(0.0, 1.0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "I;16"])
@pytest.mark.parametrize(("width", "height"), [(130, 301), (9000, 3), (1, 9000), (16, 512)])
def test_a_large_picture_is_decoded_bit_for_bit_as_if_at_once(mode: str, width: int, height: int) -> None:
    image = noisy(mode, width, height)
    assert height > images.STRIP_VALUES // (4 * width)
    assert pil_to_tensor(image).equal(at_once(image))
    if mode != "CMYK":
        assert decode(file_of(image, "PNG")).equal(at_once(image))


def test_a_mode_that_pillow_cannot_convert_is_named() -> None:
    with pytest.raises(ImageError, match="'La'"):
        pil_to_tensor(Image.new("La", (1, 1)))


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda p: p),
        (2, lambda p: p.flip(2)),
        (3, lambda p: p.flip(1, 2)),
        (4, lambda p: p.flip(1)),
        (5, lambda p: p.transpose(1, 2)),
        (6, lambda p: p.rot90(-1, (1, 2))),
        (7, lambda p: p.flip(1, 2).transpose(1, 2)),
        (8, lambda p: p.rot90(1, (1, 2))),
    ],
)
def test_pictures_stand_upright_by_exif(orientation: int, turned: Any) -> None:
    pixels = photo(3, 5)
    exif = Image.Exif()
    exif[274] = orientation
    assert decode(file_of(tensor_to_pil(pixels), "PNG", exif=exif)).equal(turned(pixels))


def test_broken_exif_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photo(3, 5)
    data = file_of(tensor_to_pil(pixels), "PNG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff broken")
    assert decode(data).equal(pixels)

    def fail(_: Image.Image) -> Image.Image:
        raise SyntaxError("not a TIFF file")

    exif = Image.Exif()
    exif[274] = 6
    data = file_of(tensor_to_pil(pixels), "PNG", exif=exif)
    assert decode(data).shape == (1, 5, 3, 3)
    monkeypatch.setattr(images.ImageOps, "exif_transpose", fail)
    assert decode(data).equal(pixels)


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 255, 0))]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0, 0].tolist() == [1.0, 0.0, 0.0]
    opened = Image.open(io.BytesIO(data))
    opened.seek(1)
    assert pil_to_tensor(opened)[0, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_tensor_to_pil_rounds_to_the_nearest_level() -> None:
    levels = torch.arange(256).repeat(3, 1).T.reshape(16, 16, 3)
    for shift in (-0.4, 0.0, 0.4):
        image = tensor_to_pil((levels + shift) / 255)
        assert (image.mode, image.size) == ("RGB", (16, 16))
        assert image.tobytes() == bytes(levels.flatten().tolist())


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
    with pytest.raises(ImageError, match=r"are no PNG, JPEG, WEBP, GIF, BMP picture"):
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
    files = list(made)
    batch, resizings = decode_batch(files)
    assert batch.equal(torch.cat([decode(data) for data in made]))
    assert (batch.dtype, batch.is_contiguous(), resizings, files) == (torch.float32, True, 0, [])


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
    with pytest.raises(ImageError, match="9 bytes are no PNG"):
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

    monkeypatch.setattr(images.Image, "open", fail)
    with pytest.raises(ImageError, match="MemoryError: two lines"):
        decode(b"anything")
