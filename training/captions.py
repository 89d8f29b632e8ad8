"""Define the space that both towers are trained onto, a sum of one fixed vector per word, and write captions."""

from __future__ import annotations

import torch
from torch import Tensor

from . import scenes
from .networks import WIDTH

_CODE_SEED = 7
_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "shape": {**{name: (name, name + "s") for name in scenes.SHAPES}, "cross": ("cross",)},
    "colour": {name: (name,) for name in scenes.COLOURS},
    "pattern": {
        "plain": ("plain",),
        "striped": ("striped", "stripes"),
        "dotted": ("dotted", "dots"),
        "checked": ("checked", "checks"),
    },
    "background": {name: (name,) for name in scenes.BACKGROUNDS},
}
FILLERS = ("a", "an", "the", "on", "in", "at", "with", "of", "and", "picture", "shape", "thing", "background")


def codes() -> Tensor:
    """Return one vector per value [20, 128]. They are orthogonal, and four of them add up to length sqrt(128)."""
    noise = torch.randn(WIDTH, sum(scenes.SIZES), generator=scenes.generator(_CODE_SEED), dtype=torch.float64)
    basis = torch.linalg.qr(noise)[0].T
    table: Tensor = (basis * (WIDTH / len(scenes.SIZES)) ** 0.5).float()
    return table.contiguous()


def caption_vectors(factors: Tensor, known: Tensor | None = None) -> Tensor:
    """Return vectors [B, 128] of factors [B, 4]. Only the factors that are `known` [B, 4] are included."""
    starts = torch.tensor([0, *scenes.SIZES[:-1]]).cumsum(0)
    rows = codes()[factors + starts]
    if known is not None:
        rows = rows * known[..., None]
    return rows.sum(dim=-2)


def read(vectors: Tensor) -> list[Tensor]:
    """Return, per factor, how much of each value [B, n] the vectors [B, 128] contain: 1 for a value that is there."""
    table = codes()
    length = WIDTH / len(scenes.SIZES)
    return list(torch.split(vectors @ table.T / length, list(scenes.SIZES), dim=-1))


def caption(factors: list[int], known: list[bool], source: torch.Generator) -> str:
    """Return a caption of the known factors in English word order. Synonyms are drawn at random."""

    def word(column: int) -> str:
        factor = list(scenes.FACTORS)[column]
        choices = _WORDS[factor][scenes.FACTORS[factor][factors[column]]]
        return choices[int(torch.randint(len(choices), (1,), generator=source))]

    said = {column: word(column) for column in range(len(factors)) if known[column]}
    before = [said[column] for column in (1, 2) if column in said]
    if 0 in said:
        before.append(said[0])
    text = " ".join(before)
    if 3 in said:
        text = f"{text} on {said[3]}" if text and torch.rand(1, generator=source) < 0.8 else f"{text} {said[3]}"
    if torch.rand(1, generator=source) < 0.5:
        text = f"a {text}"
    return text.strip()
