"""The stages that train the denoiser: the image mixer's recipe, then mixtures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import mixes
from .loop import Loss, half_precision
from .pool import Pool

STEPS = 1000
BETAS = (0.00085, 0.012)
"""ComfyUI's own defaults for the SD1.x kind."""


def sigmas() -> Tensor:
    """The noise levels of the thousand steps [1000], rising: the scaled linear schedule of Stable Diffusion."""
    betas = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, STEPS, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)
    return ((1 - kept) / kept).sqrt().float()


def loss_of(model: Any, pool: Pool, spoken: mixes.Spoken | None, batch: int, recipe: float) -> Loss:
    """Squares of the v prediction, for a batch of which `recipe` follows the original's crops and the rest mixes."""
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
