"""Train the denoiser: noise levels and loss, for the image mixer's own training and for mixtures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import mixes
from .loop import Loss, half_precision
from .pool import Pool

STEPS = 1000
BETAS = (0.00085, 0.012)
"""ComfyUI's defaults for SD1.x models."""


def sigmas() -> Tensor:
    """Return the sigmas of the 1000 steps, rising: Stable Diffusion's scaled linear schedule."""
    betas = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, STEPS, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)
    return ((1 - kept) / kept).sqrt().float()


def loss_of(model: Any, pool: Pool, spoken: mixes.Spoken | None, batch: int, recipe: float) -> Loss:
    """Return the loss function: squared error of the v prediction. The share `recipe` of a batch are the original's
    crops, the rest are mixtures."""
    table = sigmas()

    def loss(source: torch.Generator) -> Tensor:
        count = batch if spoken is None else round(batch * recipe)
        asked = mixes.crops(pool, count, source)
        if spoken is not None:
            mixed = mixes.mixtures(pool, spoken, batch - count, source)
            asked = mixes.Asked(torch.cat([asked.tokens, mixed.tokens]), torch.cat([asked.latents, mixed.latents]))
        asked = mixes.drop_all(asked, source)
        step = ((torch.arange(batch) + torch.rand(batch, generator=source)) / batch * STEPS).long().clamp(max=STEPS - 1)
        step = step[torch.randperm(batch, generator=source)]
        sigma = table[step][:, None, None, None]
        noise = torch.randn(asked.latents.shape, generator=source)
        scale = 1 / (1 + sigma * sigma).sqrt()
        noised = (asked.latents + sigma * noise) * scale
        wanted = (noise - sigma * asked.latents) * scale
        noised = noised.contiguous(memory_format=torch.channels_last)
        with half_precision():
            made = model(noised, step.float(), context=asked.tokens)
        value: Tensor = (made.float() - wanted).square().mean()
        return value

    return loss
