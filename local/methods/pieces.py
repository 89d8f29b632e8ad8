"""Regions and spans: cutting space and time into pieces, each of which becomes a conditioning entry of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from ...mixing.errors import InputError
from ...mixing.images import resized_mask
from ...mixing.mix import Ingredient
from ...mixing.weights import Matrix

MAX_REGIONS = 5
BOUNDARY = 1e-6
"""A later span begins this much after the end of an earlier one, so that no step belongs to both."""


@dataclass(frozen=True)
class Piece:
    """One part of space and time with its own rows of weights; `options` limit a conditioning entry to that part."""

    rows: Matrix
    options: dict[str, Any]


def pieces_of(ingredients: Sequence[Ingredient], rows: Matrix) -> list[Piece]:
    """Return the pieces into which regions and spans cut the output [H, W] and the sampling, 0 to 1.

    In a piece each ingredient either acts with its weight in `rows` [items, ingredients] or does not act. With regions r_k
    the masks of the pieces are the products of r_k or 1 - r_k. They add up to 1 everywhere, so soft edges blend both sides,
    and a region of ones equals no region. Pieces whose mask is 0 everywhere are left out.
    Raise InputError for more than MAX_REGIONS different regions.
    """
    pieces = []
    for start, end in _intervals(ingredients):
        acting = [i if i.start <= start and end <= i.end else None for i in ingredients]
        for active, mask in _areas(acting):
            options: dict[str, Any] = {}
            if mask is not None:
                options.update(mask=mask[None], mask_strength=1.0, set_area_to_bounds=False)
            if (start, end) != (0.0, 1.0):
                options.update(start_percent=start + BOUNDARY if start else 0.0, end_percent=end)
            pieces.append(
                Piece(
                    tuple(tuple(w if on else 0.0 for w, on in zip(row, active, strict=True)) for row in rows), options
                )
            )
    return pieces


def within(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options of a conditioning entry limited to both `given` and a piece's `options`; None if it never acts.

    For methods that keep the entries of the connected conditioning: masks are multiplied, spans intersected. Each item of
    the batch may have its own mask: [1 or items, H, W].
    """
    both = {**given, **options}
    start = max(given.get("start_percent", 0.0), options.get("start_percent", 0.0))
    end = min(given.get("end_percent", 1.0), options.get("end_percent", 1.0))
    if start >= end:
        return None
    if (start, end) != (0.0, 1.0):
        both.update(start_percent=start, end_percent=end)
    if "mask" in given and "mask" in options:
        masks = [mask.float().reshape(-1, *mask.shape[-2:]) for mask in (given["mask"], options["mask"])]
        size = max(mask.shape[-2] for mask in masks), max(mask.shape[-1] for mask in masks)
        resized = [torch.stack([resized_mask(item, *size) for item in mask]) for mask in masks]
        both.update(mask=resized[0] * resized[1])
        both.update({key: given[key] for key in ("mask_strength", "set_area_to_bounds") if key in given})
    return both


def _intervals(ingredients: Sequence[Ingredient]) -> list[tuple[float, float]]:
    edges = sorted({0.0, 1.0} | {i.start for i in ingredients} | {i.end for i in ingredients})
    return list(pairwise(edges))


def _areas(ingredients: Sequence[Ingredient | None]) -> list[tuple[list[bool], torch.Tensor | None]]:
    """Return (which ingredients act, mask [H, W] or None for everywhere) of each part of space.

    An ingredient outside its span is None.
    """
    regions = {i.region.digest: i.region for i in ingredients if i is not None and i.region is not None}
    if len(regions) > MAX_REGIONS:
        raise InputError(f"A mix can have at most {MAX_REGIONS} different regions; this one has {len(regions)}.")
    if not regions:
        return [([i is not None for i in ingredients], None)]
    height = max(region.mask.shape[0] for region in regions.values())
    width = max(region.mask.shape[1] for region in regions.values())
    masks = {digest: resized_mask(region.mask, height, width) for digest, region in regions.items()}
    parts: list[tuple[frozenset[str], torch.Tensor]] = [(frozenset(), torch.ones(height, width))]
    for digest, mask in masks.items():
        split = [(inside | {digest}, part * mask) for inside, part in parts]
        split += [(inside, part * (1.0 - mask)) for inside, part in parts]
        parts = [(inside, part) for inside, part in split if bool(part.any())]
    return [
        (
            [i is not None and (i.region is None or i.region.digest in inside) for i in ingredients],
            None if bool((part == 1.0).all()) else part,
        )
        for inside, part in parts
    ]
