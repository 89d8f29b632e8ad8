"""Mixes and recipes of random pictures."""

from __future__ import annotations

from typing import Any

from image_mixer.mixing.mix import Mix
from image_mixer.mixing.recipe import Recipe
from image_mixer.mixing.weights import Matrix
from image_mixer.tests.support.pictures import picture


def mix_of(*weights: float, rows: Matrix | None = None, first: int = 0) -> Mix:
    """Return a mix of random pictures with one variant of these weights, or with one variant per row of `rows`.

    The pictures have the seeds `first`, `first` + 1 and so on.
    """
    matrix = rows or (weights,)
    return Mix(tuple(picture(first + index) for index in range(len(matrix[0]))), matrix)


def recipe_of(mix: Mix, **changes: Any) -> Recipe:
    """Return a small recipe of `mix`: 64 x 64 pixels, 2 steps, guidance scale 3, seed 7, the prompt "a cat"."""
    usual = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "guidance_scale": 3.0, "seed": 7}
    return Recipe(mix, **{**usual, **changes})
