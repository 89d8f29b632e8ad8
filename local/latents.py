"""Latents: empty ones of a model's own shape, and those of a LATENT input, one an item."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..mixing.errors import InputError

DEFAULT_RATIO = 8

MEGAPIXEL = 1024 * 1024
REFERENCE_MULTIPLE = 32


def empty_latent(model: Any, width: int, height: int, items: int) -> torch.Tensor:
    """Zeros [items, C, H, W] (or [items, C, 1, H, W]) in the shape that `model` denoises for width x height pixels."""
    latent_format = model.get_model_object("latent_format")
    ratio = getattr(latent_format, "spacial_downscale_ratio", DEFAULT_RATIO)
    shape: tuple[int, ...] = (height // ratio, width // ratio)
    if getattr(latent_format, "latent_dimensions", 2) == 3:
        shape = (1, *shape)
    return torch.zeros(items, latent_format.latent_channels, *shape)


def reference_size(width: int, height: int, megapixels: float = 1.0) -> tuple[int, int]:
    """The size in pixels at which a picture of width x height is shown to a model that takes pictures themselves.

    In shape, of `megapixels` x 1024 x 1024 in area, in multiples of REFERENCE_MULTIPLE and at least one of them. Small
    pictures are enlarged: Kontext and Qwen-Image-Edit were trained on references of one megapixel, and a model that sees
    a smaller one beside a larger output takes it for a part of the scene. Multiples of 32 because those models look at tiles
    of 16 pixels, and Qwen-Image centres its positions, which it can do only with an even number of tiles.
    """
    scale = math.sqrt(megapixels * MEGAPIXEL / (width * height))
    sides = (max(1, round(side * scale / REFERENCE_MULTIPLE)) * REFERENCE_MULTIPLE for side in (width, height))
    return next(sides), next(sides)


def pixels_of(model: Any, latent: torch.Tensor) -> int:
    """How many pixels a latent of `model` stands for."""
    ratio = getattr(model.get_model_object("latent_format"), "spacial_downscale_ratio", DEFAULT_RATIO)
    return int(latent.shape[-1] * latent.shape[-2] * ratio**2)


def given_latent(latent: dict[str, Any], items: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(samples, noise mask or None) of a LATENT, one for each of `items`; a batch of one serves all.

    Raises InputError where the batch is neither one nor `items`.
    """
    samples = latent["samples"]
    if samples.shape[0] not in (1, items):
        raise InputError(f"The latent has a batch of {samples.shape[0]} for {items} images: give it one, or {items}.")
    mask = latent.get("noise_mask")
    if mask is not None:
        mask = mask.reshape((-1, 1, *mask.shape[-2:]))
        if mask.shape[0] not in (1, items):
            raise InputError(f"The latent's noise mask has a batch of {mask.shape[0]} for {items} images.")
        mask = _repeated(mask, items)
    return _repeated(samples, items), mask


def _repeated(tensor: torch.Tensor, items: int) -> torch.Tensor:
    return tensor if tensor.shape[0] == items else tensor.expand(items, *tensor.shape[1:])
