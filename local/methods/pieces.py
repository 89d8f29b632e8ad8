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


def narrowed(options: Mapping[str, Any], piece: Mapping[str, Any]) -> dict[str, Any] | None:
    """`options` of a conditioning entry that act only where and when those of a piece do too; None where that is never.

    An entry's own mask and time range stay: they are multiplied with the piece's, or cut by it.
    """
    both = {**options, **piece}
    if "mask" in options and "mask" in piece:
        own, part = options["mask"].float(), piece["mask"].float()
        own = own[None] if own.ndim == 2 else own
        height, width = (max(own.shape[i], part.shape[i]) for i in (1, 2))
        own, part = (torch.stack([resized_mask(one, height, width) for one in masks]) for masks in (own, part))
        both["mask"] = own * part
        both["mask_strength"] = options.get("mask_strength", 1.0) * piece.get("mask_strength", 1.0)
        both["set_area_to_bounds"] = options.get("set_area_to_bounds", False)
    if "start_percent" in piece:
        both["start_percent"] = max(options.get("start_percent", 0.0), piece["start_percent"])
        both["end_percent"] = min(options.get("end_percent", 1.0), piece["end_percent"])
        if both["start_percent"] >= both["end_percent"]:
            return None
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
