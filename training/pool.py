"""Make the fixed pool of pictures that the denoiser learns from, encoded once by the autoencoder and the tower."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from image_mixer.local.demo_vae import DemoAutoencoder
from torch import Tensor

from . import scenes
from .networks import embed

CROPS = 2
_CHUNK = 128


@dataclass(frozen=True)
class Pool:
    """Pictures sorted by combination, N of each of C combinations.

    factors [C, 4]; latents [C·N, 12, 8, 8]; vectors [C·N, 1 + CROPS, 128], the whole picture first. rows [576] is the
    row in `factors` of each combination, or -1 if the combination is held out.
    """

    factors: Tensor
    each: int
    latents: Tensor
    vectors: Tensor
    rows: Tensor


@torch.no_grad()
def encode_part(vae: DemoAutoencoder, tower: Any, combinations: Tensor, each: int, seed: int, file: Path) -> None:
    """Draw and encode `each` pictures of every combination [C, 4], and save them in `file`."""
    source = scenes.generator(seed)
    wanted = scenes.scatter(combinations.repeat_interleave(each, dim=0), source)
    parts = []
    for start in range(0, len(wanted), _CHUNK):
        batch = wanted[slice(start, start + _CHUNK)]
        whole = scenes.draw(batch)
        seen = [embed(tower, whole)]
        for _ in range(CROPS):
            seen.append(embed(tower, scenes.draw(batch, 64, scenes.views(len(batch), source))))
        parts.append((vae.encode(whole * 2 - 1).half(), torch.stack(seen, dim=1).half()))
    latents, vectors = (torch.cat(column) for column in zip(*parts, strict=True))
    torch.save({"latents": latents, "vectors": vectors}, file)


def read_pool(combinations: Tensor, each: int, files: list[Path]) -> Pool:
    """Return the pool of all parts, in the order of `files`."""
    stored = [torch.load(file, weights_only=True) for file in files]
    rows = torch.full((scenes.COMBINATIONS,), -1)
    rows[scenes.combination_index(combinations)] = torch.arange(len(combinations))
    latents, vectors = (torch.cat([part[key] for part in stored]) for key in ("latents", "vectors"))
    return Pool(combinations, each, latents, vectors, rows)
