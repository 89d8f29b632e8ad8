"""Latents: empty ones of a model's own shape, those of a LATENT input, and their sizes in pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from ..mixing.errors import InputError
from .families import latent_dimensions

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import VAE

DEFAULT_RATIO = 8
"""Pixels per latent cell, in each direction."""

MEGAPIXEL = 1024 * 1024
REFERENCE_MULTIPLE = 32


def empty_latent(model: ModelPatcher, width: int, height: int, items: int) -> torch.Tensor:
    """Return zeros [items, C, H, W] (or [items, C, 1, H, W]) in the shape that `model` denoises for width x height pixels."""
    ratio = _ratio(model)
    shape: tuple[int, ...] = (height // ratio, width // ratio)
    if latent_dimensions(model) == 3:
        shape = (1, *shape)
    return torch.zeros(items, model.get_model_object("latent_format").latent_channels, *shape)


def reference_size(width: int, height: int, megapixels: float = 1.0) -> tuple[int, int]:
    """Return the size (width, height) in pixels at which a reference picture of width x height is encoded.

    The shape is kept, the area is `megapixels` x 1024 x 1024, and each side is a multiple of REFERENCE_MULTIPLE, at least
    one. Small pictures are enlarged: Kontext and Qwen-Image-Edit were trained on references of one megapixel, and a model
    that sees a smaller one beside a larger output takes it for a part of the scene. Multiples of 32 because those models
    divide pictures into tiles of 16 pixels, and Qwen-Image centres its positions, which needs an even number of tiles.
    """
    scale = math.sqrt(megapixels * MEGAPIXEL / (width * height))
    sides = (max(1, round(side * scale / REFERENCE_MULTIPLE)) * REFERENCE_MULTIPLE for side in (width, height))
    return next(sides), next(sides)


def pixels_of(model: ModelPatcher, latent: torch.Tensor) -> int:
    """Return the number of pixels that a latent of `model` decodes to."""
    return int(latent.shape[-1] * latent.shape[-2] * _ratio(model) ** 2)


def given_latent(latent: dict[str, Any], items: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return (samples, noise mask or None) of a LATENT, each with a batch of `items`; a batch of one is repeated.

    Raise InputError if the batch is neither one nor `items`.
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


def decoded(vae: VAE, samples: torch.Tensor) -> torch.Tensor:
    """Return the images [B, H, W, 3] of latents, as core's VAE Decode does."""
    images: torch.Tensor = vae.decode(samples)
    return images.reshape(-1, *images.shape[-3:])


def _ratio(model: ModelPatcher) -> int:
    return getattr(model.get_model_object("latent_format"), "spacial_downscale_ratio", DEFAULT_RATIO)
