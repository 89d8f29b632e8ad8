"""The items of a generation: one per image, by variant, then sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..mixing.recipe import Recipe
from ..mixing.seeds import sample_seed
from ..mixing.weights import Matrix
from .embeddings import Embeddings


@dataclass(frozen=True)
class Item:
    """One image to make: its variant and sample, counted from 0, and its seed."""

    variant: int
    sample: int
    seed: int


def items_of(recipe: Recipe) -> list[Item]:
    """Return the items of a recipe, by variant, then sample."""
    return [
        Item(variant, sample, sample_seed(recipe.seed, sample))
        for variant in range(recipe.mix.variants)
        for sample in range(recipe.samples)
    ]


def rows_of(weights: Matrix, items: Sequence[Item]) -> Matrix:
    """Return the row of each item; a matrix of one row is every item's."""
    return tuple(weights[item.variant if len(weights) > 1 else 0] for item in items)


def zeros_of(embeddings: Embeddings, item: Item) -> tuple[bool, ...]:
    """Return which ingredients of the mix and of the negative mix the item leaves out."""
    parts = (embeddings, *([embeddings.negative] if embeddings.negative else []))
    return tuple(not weight for part in parts for weight in rows_of(part.mix.weights, [item])[0])


class Gathered:
    """Batches written into one tensor as they arrive, so that a long sweep never holds its images twice."""

    def __init__(self, items: int) -> None:
        self._items = items
        self.whole = torch.empty(0)

    def put(self, begin: int, batch: torch.Tensor) -> None:
        """Write a batch of items, the first of which is item `begin`."""
        if batch.shape[0] == self._items:
            self.whole = batch
            return
        if not self.whole.numel():
            self.whole = batch.new_empty((self._items, *batch.shape[1:]))
        self.whole[begin : begin + batch.shape[0]] = batch
