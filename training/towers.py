"""Train the two towers: losses, captions and vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import captions, scenes
from .loop import Loss, half_precision
from .mixes import Spoken
from .networks import WIDTH, embed

TEXT_LENGTH = 20


def vision_loss(tower: Any, combinations: Tensor, batch: int = 64) -> Loss:
    """Return the loss function: the caption's vector from the whole picture or a crop, by squares and cross-entropy."""

    def loss(source: torch.Generator) -> Tensor:
        batch_scenes = scenes.sample(combinations, batch, source)
        view = scenes.views(batch, source)
        view[: batch // 2] = torch.tensor([0.0, 0.0, 1.0])
        pictures = scenes.draw(batch_scenes, 64, view)
        pictures = (pictures + 0.03 * torch.randn(pictures.shape, generator=source)).clamp(0, 1)
        with half_precision():
            made = embed(tower, pictures).float()
        value = (made - captions.caption_vectors(batch_scenes.factors)).square().mean()
        for column, held in enumerate(captions.read(made)):
            value = value + 0.1 * nn.functional.cross_entropy(held * 8, batch_scenes.factors[:, column])
        return value

    return loss


@torch.no_grad()
def vision_accuracy(tower: Any, combinations: Tensor, count: int = 512, seed: int = 9) -> list[float]:
    """Return, per factor, the share of whole pictures of these combinations that the tower's vector encodes correctly."""
    batch_scenes = scenes.sample(combinations, count, scenes.generator(seed))
    held = captions.read(embed(tower, scenes.draw(batch_scenes)))
    return [float((h.argmax(-1) == batch_scenes.factors[:, i]).float().mean()) for i, h in enumerate(held)]


class TextStudent(nn.Module):
    """The text tower with a table of only the words that it learns. Row 0 stays zero and is used for every other word."""

    def __init__(self, tower: Any, tokens: list[int], seed: int = 5) -> None:
        super().__init__()
        self.tower = tower
        self.tokens = tokens
        self.rows = nn.Parameter(0.5 * torch.randn(len(tokens), WIDTH, generator=scenes.generator(seed)))
        tower.get_input_embeddings().weight.requires_grad_(False)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return projected vectors [B, 128] of table rows [B, T] (0: unknown) and token counts [B].

        These are the tower's own steps on T positions instead of 77. It is causal, so later positions change nothing.
        """
        tower: Any = self.tower
        text = tower.text_model
        table = torch.cat([torch.zeros_like(self.rows[:1]), self.rows])
        x = table[rows] + text.embeddings.position_embedding.weight[: rows.shape[1]]
        mask = torch.full((rows.shape[1], rows.shape[1]), -torch.finfo(x.dtype).max).triu_(1)
        x = text.final_layer_norm(text.encoder(x, mask=mask)[0])
        made: Tensor = tower.text_projection(x[torch.arange(len(x)), lengths - 1])
        return made

    @torch.no_grad()
    def finish(self) -> None:
        """Copy the learned rows into the tower's own table."""
        tower: Any = self.tower
        tower.get_input_embeddings().weight[self.tokens] = self.rows


@dataclass(frozen=True)
class Captions:
    """Tokenised captions: rows [N, T], token counts [N], factors [N, 4] and which of them are mentioned [N, 4]."""

    rows: Tensor
    lengths: Tensor
    factors: Tensor
    known: Tensor


def vocabulary(tokenise: Callable[[str], list[int]]) -> list[int]:
    """Return every token that a caption may contain, including start and end."""
    source = scenes.generator(6)
    found: set[int] = set()
    for _ in range(40):
        for row in scenes.split("all").tolist():
            found.update(tokenise(captions.caption(row, [True] * 4, source)))
    for filler in captions.FILLERS:
        found.update(tokenise(filler))
    return sorted(found)


def caption_pool(tokenise: Callable[[str], list[int]], tokens: list[int], count: int, seed: int) -> Captions:
    """Return `count` captions, half of them with one word, with filler and unknown words between."""
    source = scenes.generator(seed)
    row_of = {token: number + 1 for number, token in enumerate(tokens)}
    factors = scenes.combination_factors(torch.randint(scenes.COMBINATIONS, (count,), generator=source))
    known = torch.rand(count, 4, generator=source) < 0.6
    single = torch.randint(4, (count // 2,), generator=source)
    known[: count // 2] = nn.functional.one_hot(single, 4).bool()
    rows = torch.zeros(count, TEXT_LENGTH, dtype=torch.long)
    lengths = torch.zeros(count, dtype=torch.long)
    for number, (values, said) in enumerate(zip(factors.tolist(), known.tolist(), strict=True)):
        start, *words, end = [row_of[token] for token in tokenise(captions.caption(values, said, source))]
        noise = int(torch.randint(4, (1,), generator=source)) if torch.rand(1, generator=source) < 0.3 else 0
        for _ in range(noise):
            filler = captions.FILLERS[int(torch.randint(len(captions.FILLERS), (1,), generator=source))]
            extra = row_of[tokenise(filler)[1]] if torch.rand(1, generator=source) < 0.5 else 0
            words.insert(int(torch.randint(len(words) + 1, (1,), generator=source)), extra)
        line = [start, *words, end]
        rows[number, : len(line)] = torch.tensor(line)
        lengths[number] = len(line)
    return Captions(rows, lengths, factors, known)


def text_loss(student: TextStudent, pool: Captions, batch: int = 128) -> Loss:
    """Return the loss function: squared error between the tower's vector and the sum of the mentioned words' vectors."""
    targets = captions.caption_vectors(pool.factors, pool.known)

    def loss(source: torch.Generator) -> Tensor:
        pick = torch.randint(len(pool.rows), (batch,), generator=source)
        value: Tensor = (student(pool.rows[pick], pool.lengths[pick]) - targets[pick]).square().mean()
        return value

    return loss


@torch.no_grad()
def speak(student: TextStudent, pool: Captions) -> Spoken:
    """Return the captions embedded by the trained tower, half of them with one word."""
    count = len(pool.rows)
    pick = torch.cat([torch.arange(count * 2 // 5), torch.arange(count // 2, count * 4 // 5)])
    made = torch.cat([student(pool.rows[rows], pool.lengths[rows]) for rows in torch.split(pick, 500)])
    return Spoken(made, pool.factors[pick], pool.known[pick].float())
