"""Measure the demo model: which pictures are asked for, and the figures computed from what the judge reads in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import scenes
from .judge import Judge

SWEEP = 9
MIDDLE = SWEEP // 2
SINGLES = 200
PAIRS = 100
WORDS = 60
TEXT_WEIGHTS = (0.5, 1.5)
_SEED = 500


@dataclass(frozen=True)
class Ask:
    """Ask for pictures: ingredients [N, 3, 64, 64] in 0..1 and texts, one row of weights per picture, and one seed."""

    pictures: Tensor
    texts: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    seed: int


Make = Callable[[Sequence[Ask]], list[Tensor]]
"""Returns pictures [rows, 3, 64, 64] in 0..1 for each Ask."""


@dataclass(frozen=True)
class Sweeps:
    """What the judge reads in sweeps from A to B: whether each factor [P, 9, 4] is A's, whether it is B's, and the
    likeness to A [P, 9]."""

    first: Tensor
    second: Tensor
    similarity: Tensor


def single_match(make: Make, judge: Judge, combinations: Tensor, count: int = SINGLES) -> dict[str, float]:
    """Return the share of pictures of one ingredient that match it in shape and colour, and in each factor."""
    batch = scenes.sample(combinations, count, scenes.generator(_SEED))
    pictures = scenes.draw(batch)
    asks = [Ask(pictures[i : i + 1], (), ((1.0,),), _SEED + i) for i in range(count)]
    right = _right(judge, torch.cat(make(asks)), batch.factors)
    shares = {name: float(right[:, column].float().mean()) for column, name in enumerate(scenes.FACTORS)}
    return {"shape and colour": float(right[:, :2].all(dim=1).float().mean()), **shares}


def sweeps(make: Make, judge: Judge, combinations: Tensor, count: int = PAIRS) -> Sweeps:
    """Make sweeps between two pictures that differ in every factor: (1, 0) to (0, 1) in nine steps with one seed."""
    a, b = pairs(combinations, count)
    first, second = scenes.draw(a), scenes.draw(b)
    rows = tuple((1 - step / (SWEEP - 1), step / (SWEEP - 1)) for step in range(SWEEP))
    asks = [Ask(torch.stack([first[i], second[i]]), (), rows, _SEED + i) for i in range(count)]
    made = torch.cat(make(asks))
    probabilities = judge.probabilities(made)
    like = torch.stack([
        found.gather(1, a.factors[:, column].repeat_interleave(SWEEP)[:, None])[:, 0]
        for column, found in enumerate(probabilities)
    ])  # fmt: skip
    return Sweeps(
        _right(judge, made, a.factors.repeat_interleave(SWEEP, dim=0)).view(count, SWEEP, -1),
        _right(judge, made, b.factors.repeat_interleave(SWEEP, dim=0)).view(count, SWEEP, -1),
        like.mean(dim=0).view(count, SWEEP),
    )


def pairs(combinations: Tensor, count: int, seed: int = _SEED) -> tuple[scenes.Scenes, scenes.Scenes]:
    """Return `count` pairs of scenes of these combinations that differ in all four factors."""
    source = scenes.generator(seed)
    first = scenes.sample(combinations, 40 * count, source)
    second = scenes.sample(combinations, 40 * count, source)
    rows = (first.factors != second.factors).all(dim=1).nonzero()[:count, 0]
    return first[rows], second[rows]


def ends_match(done: Sweeps) -> float:
    """Return the share of ends of sweeps that match their ingredient in shape and colour."""
    ends = torch.cat([done.first[:, 0, :2].all(dim=1), done.second[:, -1, :2].all(dim=1)])
    return float(ends.float().mean())


def spearman(done: Sweeps) -> float:
    """Return the rank correlation of the second ingredient's weight with the likeness to the first, mean of the sweeps."""
    steps = torch.arange(SWEEP, dtype=torch.float64).expand(len(done.similarity), SWEEP)
    return float(_correlation(_ranks(done.similarity.double()), steps).mean())


def trace(done: Sweeps) -> tuple[float, float]:
    """Return how often both ingredients are visible: in at least one of the three middle steps, and in the exact middle."""
    both = done.first.any(dim=2) & done.second.any(dim=2)
    near = both[:, MIDDLE - 1 : MIDDLE + 2].any(dim=1)
    return float(near.float().mean()), float(both[:, MIDDLE].float().mean())


def text_pull(make: Make, judge: Judge, combinations: Tensor, count: int = WORDS) -> dict[str, float]:
    """Return, per factor, the share of pictures in which one word of weight 1.5 prevails over a picture of weight 0.5."""
    shares = {}
    for column, (factor, values) in enumerate(scenes.FACTORS.items()):
        source = scenes.generator(_SEED + column)
        batch = scenes.sample(combinations, count, source)
        other = torch.randint(1, len(values), (count,), generator=source)
        wanted = (batch.factors[:, column] + other) % len(values)
        pictures = scenes.draw(batch)
        asks = [Ask(pictures[i : i + 1], (values[int(wanted[i])],), (TEXT_WEIGHTS,), _SEED + i) for i in range(count)]
        found = judge.probabilities(torch.cat(make(asks)))[column].argmax(dim=-1)
        shares[factor] = float((found == wanted).float().mean())
    return shares


def _right(judge: Judge, pictures: Tensor, factors: Tensor) -> Tensor:
    """Return whether the judge reads each factor of pictures [B, ...] as given [B, 4]: bool [B, 4]."""
    found = torch.stack([p.argmax(dim=-1) for p in judge.probabilities(pictures)], dim=1)
    return found == factors


def _ranks(values: Tensor) -> Tensor:
    """Return ranks along the last dimension. Equal values share their mean rank."""
    below = (values[..., None, :] < values[..., :, None]).double().sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).double().sum(-1)
    return below + (equal - 1) / 2


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return Pearson's correlation along the last dimension; 0 if one of the two is constant."""
    a = a - a.mean(-1, keepdim=True)
    b = b - b.mean(-1, keepdim=True)
    length = (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    return torch.where(length > 0, (a * b).sum(-1) / length.clamp(min=1e-12), 0.0)


def swap_difference(make: Make, combinations: Tensor, count: int = 8) -> float:
    """Return the largest difference of a pixel if two ingredients are swapped together with their weights."""
    a, b = pairs(combinations, count)
    first, second = scenes.draw(a), scenes.draw(b)
    given = [Ask(torch.stack([first[i], second[i]]), (), ((0.6, 0.4),), _SEED + i) for i in range(count)]
    swapped = [Ask(torch.stack([second[i], first[i]]), (), ((0.4, 0.6),), _SEED + i) for i in range(count)]
    return float((torch.cat(make(given)) - torch.cat(make(swapped))).abs().max())
