"""Resizing of images and masks."""

from __future__ import annotations

import pytest
import torch
from image_mixer.mixing.images import pil_to_tensor, resized, resized_mask, tensor_to_pil
from image_mixer.tests.mixing.images.samples import close, photo
from PIL import Image


def test_resized_mask_keeps_plain_areas_and_the_share() -> None:
    assert resized_mask(torch.ones(5, 7), 64, 32).equal(torch.ones(64, 32))
    half = torch.cat([torch.zeros(8, 4), torch.ones(8, 4)], dim=1)
    close(resized_mask(half, 4, 2), torch.tensor([[0.0, 1.0]] * 4), 0.2)
    assert float(resized_mask(half, 4, 6).mean()) == pytest.approx(0.5)


def test_resized_is_pillows_bicubic() -> None:
    pixels = photo(40, 60)
    ours = resized(pixels, 21, 17)
    theirs = pil_to_tensor(tensor_to_pil(pixels).resize((21, 17), Image.Resampling.BICUBIC))
    assert ours.shape == (1, 17, 21, 3)
    close(ours, theirs, 1.1 / 255)
    assert resized(pixels, 60, 40).equal(pixels)


def test_resized_is_clamped() -> None:
    edge = torch.cat([torch.zeros(1, 8, 4, 3), torch.ones(1, 8, 4, 3)], dim=2)
    result = resized(edge, 64, 8)
    assert (float(result.min()), float(result.max())) == (0.0, 1.0)
