"""Train the autoencoder: the network and its loss."""

from __future__ import annotations

import torch
from image_mixer.local.demo_vae import DemoAutoencoder
from torch import Tensor

from . import scenes
from .loop import Loss, half_precision

CONFIG = {"latent_channels": 12, "encoder_channels": 48, "coarse_channels": 96, "fine_channels": 64}
LATENT_NOISE = 0.2


def build(seed: int = 1) -> DemoAutoencoder:
    """Return the untrained autoencoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: DemoAutoencoder = DemoAutoencoder(CONFIG).to(memory_format=torch.channels_last)
    return model


def loss_of(model: DemoAutoencoder, batch: int = 64) -> Loss:
    """Return the loss function of a batch: L1, squares and edges of the picture, and latents near unit variance."""
    combinations = scenes.split("train")

    def loss(source: torch.Generator) -> Tensor:
        batch_scenes = scenes.sample(combinations, batch, source)
        view = scenes.views(batch, source, 0.7)
        view[: batch * 3 // 4] = torch.tensor([0.0, 0.0, 1.0])
        pictures = (scenes.draw(batch_scenes, 64, view) * 2 - 1).contiguous(memory_format=torch.channels_last)
        strength = LATENT_NOISE * torch.rand(batch, 1, 1, 1, generator=source)
        with half_precision():
            latents = model.encode(pictures).float()
            noise = torch.randn(latents.shape, generator=source)
            drawn = model.decode(latents + strength * noise).float()
        error = drawn - pictures
        across = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        spread = latents.var(dim=(0, 2, 3)).clamp(min=1e-4).log().square().mean()
        middle = latents.mean(dim=(0, 2, 3)).square().mean()
        value: Tensor = error.abs().mean() + error.square().mean() + 0.5 * across + 0.01 * (spread + middle)
        return value

    return loss


@torch.no_grad()
def decibels(model: DemoAutoencoder, combinations: Tensor, count: int = 256, seed: int = 9) -> float:
    """Return the peak signal-to-noise ratio, in dB, of decoded pictures of these combinations."""
    pictures = scenes.draw(scenes.sample(combinations, count, scenes.generator(seed)))
    drawn = (model.decode(model.encode(pictures * 2 - 1)) * 0.5 + 0.5).clamp(0, 1)
    return float(-10 * (drawn - pictures).square().mean().log10())
