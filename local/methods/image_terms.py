"""Which images an IP-Adapter conditioning entry contains, and the keys and values that it carries for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...mixing.errors import EngineError
from ..embeddings import Embeddings, Encoded
from ..ip_adapter_file import Adapter
from .base import Request
from .pieces import pieces_of

Shares = tuple[tuple[int, float], ...]
"""(number of a source, weight) of each image of an item. Sources: the mix's pictures, the negative mix's, then the blank."""


@dataclass(frozen=True)
class Entry:
    """The images that act in one part of space and time, for each item of the batch; `options` limit it to that part."""

    items: tuple[Shares, ...]
    options: Mapping[str, Any]

    @property
    def acts(self) -> bool:
        """Return whether any item has an image."""
        return any(self.items)


@dataclass(frozen=True)
class Carried:
    """What an entry carries: keys and values [items, terms, tokens, width], and the bias [items, 1, 1, tokens] or None."""

    keys: torch.Tensor
    values: torch.Tensor
    bias: torch.Tensor | None = None


def positive_entries(request: Request[Any]) -> list[Entry]:
    """Return one entry per piece of space and time, with the mix's images."""
    return [
        Entry(tuple(_shares(row) for row in piece.rows), piece.options)
        for piece in pieces_of(request.embeddings.mix.ingredients, request.rows)
    ]


def negative_entries(request: Request[Any], by_sum: bool) -> list[Entry]:
    """Return the entries of the negative: the negative mix everywhere; for items without one, the blank.

    The blank is as strong as the images there: their summed weights with `by_sum`, else 1.
    There is a single entry if every part of space and time has the same images.
    """
    count = len(request.embeddings.encoded)
    blank = count + (len(request.embeddings.negative.encoded) if request.embeddings.negative is not None else 0)
    entries = []
    for piece in pieces_of(request.embeddings.mix.ingredients, request.rows):
        items = []
        for number, row in enumerate(piece.rows):
            own = _shares(request.negative_rows[number if len(request.negative_rows) > 1 else 0], count)
            total = sum(row) if by_sum else float(any(row))
            items.append(own or (((blank, total),) if total else ()))
        entries.append(Entry(tuple(items), piece.options))
    same = all(entry.items == entries[0].items for entry in entries)
    return [Entry(entries[0].items, {})] if same else entries


def _shares(row: Sequence[float], first: int = 0) -> Shares:
    return tuple((number, weight) for number, weight in enumerate(row, first) if weight)


class Sources:
    """Keys and values of the mix's pictures, the negative mix's, and the blank. Values are scaled by `factors` [width]."""

    def __init__(self, adapter: Adapter, embeddings: Embeddings, factors: torch.Tensor) -> None:
        self._adapter = adapter
        self._embeddings = embeddings
        self._factors = factors

    def __call__(self, numbers: set[int]) -> tuple[torch.Tensor, torch.Tensor, dict[int, int]]:
        """Return keys and values [sources, tokens, width] of the sources `numbers`, and the index of each."""
        ordered = sorted(numbers)
        both = [self._adapter.keys_and_values(self._seen(number)) for number in ordered]
        indices = {number: index for index, number in enumerate(ordered)}
        return torch.stack([k for k, _ in both]), torch.stack([v for _, v in both]) * self._factors, indices

    def _seen(self, number: int) -> torch.Tensor:
        negative = self._embeddings.negative.encoded if self._embeddings.negative is not None else ()
        encoded = (*self._embeddings.encoded, *negative)
        if number < len(encoded):
            return self._of(encoded[number])
        if self._adapter.kind == "standard":
            return torch.zeros(1, self._adapter.input_width)
        if self._embeddings.blank is None:
            raise EngineError(
                "These embeddings lack what a plus adapter needs for the negative: encode the pictures again with Encode Mix.",
                "no tower",
            )
        return self._of(self._embeddings.blank())

    def _of(self, encoded: Encoded) -> torch.Tensor:
        seen = self._adapter.seen(encoded)
        assert seen is not None  # check_embeddings has looked
        return seen


def summed(entries: Sequence[Entry], sources: Sources) -> list[Carried]:
    """Return one term per image, with the weights multiplied into the values."""
    return [Carried(keys, values * weights[..., None, None]) for keys, values, weights in _gathered(entries, sources)]


def shared(entries: Sequence[Entry], sources: Sources) -> list[Carried]:
    """Return one term for all images; only the ratio of weights matters. There is no bias if all weights are equal."""
    slots = max(len(shares) for entry in entries for shares in entry.items)
    # A single image is repeated in all slots, which equals that image: it then needs no bias beside images of equal weights.
    full = [
        replace(entry, items=tuple(shares * slots if len(shares) == 1 else shares for shares in entry.items))
        for entry in entries
    ]
    carried, needed = [], False
    for keys, values, weights in _gathered(full, sources):
        largest = weights.amax(dim=1, keepdim=True)
        bias = torch.where(largest > 0, torch.log(weights / torch.where(largest > 0, largest, 1.0)), 0.0)
        there = (largest > 0)[..., None, None]
        bias = bias.repeat_interleave(keys.shape[2], dim=1)[:, None, None]
        needed = needed or bool(bias.any())
        carried.append(
            Carried(keys.flatten(1, 2)[:, None], torch.where(there, values, 0.0).flatten(1, 2)[:, None], bias)
        )
    return carried if needed else [replace(one, bias=None) for one in carried]


def _gathered(entries: Sequence[Entry], sources: Sources) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Return keys and values [items, slots, tokens, width] and weights [items, slots] of each entry; 0 in unused slots.

    Every entry gets the same number of slots, so that ComfyUI can run them and the negative in one batch.
    """
    slots = max(len(shares) for entry in entries for shares in entry.items)
    keys, values, indices = sources({number for entry in entries for shares in entry.items for number, _ in shares})
    found = []
    for entry in entries:
        index = torch.zeros(len(entry.items), slots, dtype=torch.long)
        weights = torch.zeros(len(entry.items), slots)
        for item, shares in enumerate(entry.items):
            for slot, (number, weight) in enumerate(shares):
                index[item, slot], weights[item, slot] = indices[number], weight
        found.append((keys[index], values[index], weights))
    return found
