"""Pillow's modes as tensors and back."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
import torch
from image_mixer.mixing.errors import ImageError
from image_mixer.mixing.images import conversion, decode, pil_to_tensor, tensor_to_pil
from image_mixer.tests.mixing.images.samples import close, file_of, noisy, photo
from PIL import Image
from torch import Tensor

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
    assert height > conversion.STRIP_VALUES // (4 * width)
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
    monkeypatch.setattr(conversion.ImageOps, "exif_transpose", fail)
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
