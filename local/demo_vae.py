"""The demo model's autoencoder: 64 pixels to 8 latent cells, small enough to train on two processor cores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

GROUPS = 8


class DemoAutoencoder(nn.Module):
    """Pictures [B, 3, H, W] in -1..1 <-> latents [B, C, H/8, W/8], with the two methods that `comfy.sd.VAE` calls.

    The first and last step fold 4 × 4 pixels into channels, so that no convolution runs at full resolution.
    `operations` is a set of layers such as `comfy.ops.disable_weight_init`, or torch.nn (Any: these share no type).
    """

    def __init__(self, config: dict[str, int], operations: Any = nn) -> None:
        super().__init__()
        latent, fine, coarse = config["latent_channels"], config["fine_channels"], config["coarse_channels"]
        narrow = config["encoder_channels"]
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            operations.Conv2d(48, narrow, 3, padding=1),
            _Residual(narrow, operations),
            operations.Conv2d(narrow, coarse, 4, stride=2, padding=1),
            _Residual(coarse, operations),
            _Residual(coarse, operations),
            _norm(coarse, operations),
            operations.Conv2d(coarse, latent, 1),
        )
        self.decoder = nn.Sequential(
            operations.Conv2d(latent, coarse, 3, padding=1),
            _Residual(coarse, operations),
            _Residual(coarse, operations),
            operations.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            _Residual(fine, operations),
            _Residual(fine, operations),
            _Residual(fine, operations),
            _norm(fine, operations),
            nn.SiLU(),
            operations.Conv2d(fine, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, C, H/8, W/8], about unit variance."""
        latents: Tensor = self.encoder(pictures)
        return latents

    def decode(self, latents: Tensor, **_: Any) -> Tensor:
        """[B, C, h, w] -> [B, 3, 8h, 8w], about -1..1."""
        pictures: Tensor = self.decoder(latents)
        return pictures


class _Residual(nn.Module):
    def __init__(self, channels: int, operations: Any) -> None:
        super().__init__()
        self.norm1 = _norm(channels, operations)
        self.conv1 = operations.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = _norm(channels, operations)
        self.conv2 = operations.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        silu = torch.nn.functional.silu
        added: Tensor = self.conv2(silu(self.norm2(self.conv1(silu(self.norm1(x))))))
        return x + added


def _norm(channels: int, operations: Any) -> nn.Module:
    norm: nn.Module = operations.GroupNorm(GROUPS, channels)
    return norm
