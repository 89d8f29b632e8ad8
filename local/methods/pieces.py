"""Regions and spans for methods whose whole conditioning is the mix: one conditioning entry where and when it differs."""

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
"""A later span begins this much behind an earlier one's end, so that no step falls into both."""


@dataclass(frozen=True)
class Piece:
    """One part of space and time with its own rows of weights; `options` are ComfyUI's for a conditioning entry."""

    rows: Matrix
    options: dict[str, Any]


def pieces_of(ingredients: Sequence[Ingredient], rows: Matrix) -> list[Piece]:
    """The parts into which the regions and spans of `ingredients` cut the output [H, W] and the sampling 0 to 1.

    Inside a part every ingredient either acts with its weight in `rows` [items, ingredients] or not at all. With regions
    r_k the parts are the products of r_k or 1 - r_k: they add up to 1 everywhere, so soft edges blend what lies on both
    sides, and a region of ones is no region. A part whose mask is 0 everywhere is left out.
    Raises InputError for more than MAX_REGIONS different regions.
    """
    pieces = []
    for start, end in _intervals(ingredients):
        awake = [i.start <= start and end <= i.end for i in ingredients]
        for active, mask in _areas([i if on else None for i, on in zip(ingredients, awake, strict=True)]):
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
    """Options of a conditioning entry that acts where and when both `given` and a piece's `options` say; None for never.

    For methods that keep the entries they are given: masks are multiplied, spans cut. A mask may differ from item to item
    of the batch: [1 or items, H, W].
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
    """(which ingredients act, mask [H, W] or None for everywhere) of each part of space; None is an ingredient asleep."""
    regions = {i.region.digest: i.region for i in ingredients if i is not None and i.region is not None}
    if len(regions) > MAX_REGIONS:
        raise InputError(f"At most {MAX_REGIONS} different regions can be told apart; the mix has {len(regions)}.")
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


def zeroed(conditioning: Any) -> list[list[Any]]:
    """`conditioning` with zeros for its text, as core's ConditioningZeroOut makes it; what else it carries is kept."""
    return [
        [
            torch.zeros_like(context),
            {k: torch.zeros_like(v) if k == "pooled_output" and v is not None else v for k, v in options.items()},
        ]
        for context, options in conditioning
    ]
