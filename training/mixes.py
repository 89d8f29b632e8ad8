"""Make the denoiser's training examples: ingredients with weights, and the picture that they should give.

In the image mixer's own training, the model sees crops of the picture that it has to draw. A second phase extends this:
several ingredients with their own weights, and a picture that takes a share of its factors from each, equal to its weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import scenes
from .pool import CROPS, Pool

SLOTS = 5
KINDS = (
    (0, True, 0.06),
    (1, False, 0.10),
    (1, True, 0.22),
    (2, False, 0.40),
    (2, True, 0.13),
    (3, False, 0.06),
    (3, True, 0.03),
)
"""Mixtures: number of pictures, whether there is a text, and the share of a batch."""
DROP_ONE = 0.1
DROP_ALL = 0.1


@dataclass(frozen=True)
class Spoken:
    """Embedded captions: vectors [N, 128], their factors [N, 4], and which factors each caption mentions [N, 4]."""

    vectors: Tensor
    factors: Tensor
    known: Tensor


@dataclass(frozen=True)
class Asked:
    """Tokens [B, 5, 128], and the latents [B, 12, 8, 8] of the picture that they should give."""

    tokens: Tensor
    latents: Tensor


def crops(pool: Pool, count: int, source: torch.Generator) -> Asked:
    """Return up to five views of one picture, each dropped with probability 0.1: the original training."""
    picture = torch.randint(len(pool.latents), (count,), generator=source)
    view = torch.randint(1 + CROPS, (count, SLOTS), generator=source)
    view[:, 0] *= (torch.rand(count, generator=source) < 0.4).long()
    tokens = pool.vectors[picture[:, None], view].float()
    used = torch.randint(1, SLOTS + 1, (count, 1), generator=source)
    kept = (torch.arange(SLOTS) < used) & (torch.rand(count, SLOTS, generator=source) >= DROP_ONE)
    return Asked(tokens * kept[..., None], pool.latents[picture].float())


def mixtures(pool: Pool, spoken: Spoken, count: int, source: torch.Generator) -> Asked:
    """Return one to three pictures with weights, often with a word or a caption, and a picture that shares their factors."""

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=source)

    pictures = torch.randint(len(pool.latents), (count, 3), generator=source)
    view = torch.randint(1 + CROPS, (count, 3), generator=source) * (uniform(count, 3) < 0.3)
    drawn_kind = torch.multinomial(torch.tensor([share for *_, share in KINDS]), count, True, generator=source)
    images = torch.tensor([number for number, *_ in KINDS])[drawn_kind]
    says = torch.tensor([says for _, says, _ in KINDS])[drawn_kind]
    cuts = uniform(count, 2).sort(dim=1).values
    cuts[images == 2, 1] = 1.0
    cuts[images == 1] = 1.0
    shares = torch.stack([cuts[:, 0], cuts[:, 1] - cuts[:, 0], 1 - cuts[:, 1]], dim=1)
    shares *= (images > 0)[:, None]
    scale = torch.where(uniform(count) < 0.5, torch.ones(count), uniform(count, low=0.5, high=2.0))
    image_weights = shares * scale[:, None]

    text = torch.randint(len(spoken.vectors), (count,), generator=source)
    text_weight = torch.where(uniform(count) < 0.3, torch.ones(count), uniform(count, low=0.3, high=2.0)) * says

    taken = torch.cat([pool.factors[pictures // pool.each], spoken.factors[text][:, None]], dim=1)
    given = _shares(image_weights, text_weight, spoken.known[text])
    target = allocate(taken, given, pool, source)
    missed = target < 0
    rows = torch.where(missed, pictures[:, 0] // pool.each, target)
    drawn = rows * pool.each + torch.randint(pool.each, (count,), generator=source)

    tokens = torch.zeros(count, SLOTS, pool.vectors.shape[-1])
    tokens[:, :3] = pool.vectors[pictures, view].float() * image_weights[..., None]
    tokens[:, 3] = spoken.vectors[text] * text_weight[:, None]
    alone = pool.vectors[pictures[:, 0], view[:, 0]].float()
    tokens[missed] = 0.0
    tokens[missed, 0] = alone[missed] * scale[missed, None]
    return Asked(tokens, pool.latents[drawn].float())


def drop_all(asked: Asked, source: torch.Generator) -> Asked:
    """Drop the whole conditioning with probability 0.1, which classifier-free guidance needs."""
    kept = torch.rand(len(asked.tokens), 1, 1, generator=source) >= DROP_ALL
    return Asked(asked.tokens * kept, asked.latents)


def _shares(image_weights: Tensor, text_weight: Tensor, known: Tensor) -> Tensor:
    """Return how likely each factor comes from each of three pictures and a text: [B, 3], [B], [B, 4] -> [B, 4, 4].

    Pictures share by weight. A text counts only for the factors that it mentions, and there for more than its weight:
    it asks for one thing, while a picture asks for all four.
    """
    total = image_weights.sum(dim=1)
    said = text_weight[:, None] * known
    share = said / (said + total[:, None]).clamp(min=1e-6)
    share = ((share - 0.25) / 0.3).clamp(0, 1)
    share = torch.where(total[:, None] > 0, share, (said > 0).float())
    among = image_weights / total.clamp(min=1e-6)[:, None]
    return torch.cat([among[:, :, None] * (1 - share[:, None]), share[:, None]], dim=1)


def allocate(taken: Tensor, given: Tensor, pool: Pool, source: torch.Generator) -> Tensor:
    """Return rows of `pool.factors` [B] that take each factor from an ingredient, or -1 if all tries are held out.

    taken [B, 4, 4]: the factors of each ingredient. given [B, 4, 4]: the share of an ingredient in a factor. The
    shares are drawn by systematic sampling over the factors in random order, so that a picture of weight 0.5 always
    gives two of four factors, and one of weight 0.25 always gives one. A factor that no ingredient gives is random.
    """
    count, _, factors = taken.shape
    row = torch.full((count,), -1)
    for _ in range(4):
        order = torch.rand(count, factors, generator=source).argsort(dim=1)
        point = (order + torch.rand(count, 1, generator=source)) / factors
        reached = point[:, None] >= given.cumsum(dim=1)
        chosen = reached.sum(dim=1)
        free = torch.stack([torch.randint(size, (count,), generator=source) for size in scenes.SIZES], dim=1)
        values = torch.cat([taken, free[:, None]], dim=1).gather(1, chosen[:, None])[:, 0]
        found = pool.rows[scenes.combination_index(values)]
        row = torch.where(row < 0, found, row)
    return row
