"""Train the judge: four readers, one per factor. They learn only from real pictures and never see the model's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import Conv2d, GroupNorm, Linear

from . import scenes
from .loop import Loss, half_precision

CHANNELS = (24, 48, 72, 96)


class Judge(nn.Module):
    """Four separate small convolutional networks, from pictures [B, 3, 64, 64] in 0..1 to logits [B, n] per factor."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = nn.ModuleList(_reader(size) for size in scenes.SIZES)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return [reader(pictures * 2 - 1) for reader in self.readers]

    @torch.no_grad()
    def probabilities(self, pictures: Tensor) -> list[Tensor]:
        """Return the probability of each value [B, n], per factor, for pictures [B, 3, 64, 64] in 0..1."""
        return [logits.softmax(dim=-1) for logits in self(pictures)]


def build(seed: int = 31) -> Judge:
    """Return the untrained judge."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Judge().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def loss_of(judge: Judge, batch: int = 64) -> Loss:
    """Return the loss function: cross-entropy of all readers on real pictures, with varied blur, noise and brightness."""
    combinations = scenes.split("train")

    def loss(source: torch.Generator) -> Tensor:
        batch_scenes = scenes.sample(combinations, batch, source)
        pictures = worn(scenes.draw(batch_scenes), source).contiguous(memory_format=torch.channels_last)
        with half_precision():
            read = judge(pictures)
        parts = [
            nn.functional.cross_entropy(logits.float(), batch_scenes.factors[:, column], label_smoothing=0.02)
            for column, logits in enumerate(read)
        ]
        return torch.stack(parts).sum()

    return loss


def worn(pictures: Tensor, source: torch.Generator) -> Tensor:
    """Return the pictures with varied brightness, a small blur and a little noise."""
    count = len(pictures)
    gain = 0.9 + 0.2 * torch.rand(count, 1, 1, 1, generator=source)
    shift = 0.08 * (torch.rand(count, 3, 1, 1, generator=source) - 0.5)
    soft = nn.functional.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand(count, 1, 1, 1, generator=source)
    noise = torch.randn(pictures.shape, generator=source) * 0.06 * torch.rand(count, 1, 1, 1, generator=source)
    return ((pictures + (soft - pictures) * share) * gain + shift + noise).clamp(0, 1)


@torch.no_grad()
def accuracy(judge: Judge, combinations: Tensor, count: int = 1000, seed: int = 41) -> dict[str, float]:
    """Return the share of real pictures of these combinations that each reader reads correctly."""
    batch_scenes = scenes.sample(combinations, count, scenes.generator(seed))
    right = {}
    for column, (name, found) in enumerate(
        zip(scenes.FACTORS, judge.probabilities(scenes.draw(batch_scenes)), strict=True)
    ):
        right[name] = float((found.argmax(-1) == batch_scenes.factors[:, column]).float().mean())
    return right


def _reader(values: int) -> nn.Module:
    layers: list[nn.Module] = []
    before = 3
    for channels in CHANNELS:
        layers += [Conv2d(before, channels, 3, stride=2, padding=1), GroupNorm(8, channels), nn.SiLU()]
        before = channels
    layers += [nn.Flatten(), Linear(before * 16, 64), nn.SiLU(), Linear(64, values)]
    return nn.Sequential(*layers)
