"""mixing.sweeps.sweep_rows: how many rows a sweep has, without making them."""

from __future__ import annotations

import math

import pytest
from image_mixer.mixing.errors import WeightsError
from image_mixer.mixing.sweeps import PATTERNS, sweep, sweep_rows


@pytest.mark.parametrize("ingredients", range(1, 6))
@pytest.mark.parametrize("variants", [1, 2, 3, 6, 7, 20, 100])
def test_sweeps_have_the_rows_that_the_node_makes(ingredients: int, variants: int) -> None:
    for pattern in PATTERNS:
        assert sweep_rows(ingredients, pattern, variants) == len(sweep(ingredients, pattern, variants))


@pytest.mark.parametrize("ingredients", range(2, 6))
def test_simplex_is_the_finest_lattice(ingredients: int) -> None:
    for variants in range(1, 60):
        rows = sweep_rows(ingredients, "simplex", variants)
        sizes = [math.comb(steps + ingredients - 1, ingredients - 1) for steps in range(1, 70)]
        assert rows == max(size for size in sizes if size <= max(variants, ingredients))


@pytest.mark.parametrize(
    ("ingredients", "pattern", "variants"),
    [(0, "ramp", 2), (1001, "simplex", 2), (2, "ramp", 0), (2, "simplex", 4097), (2, "spiral", 2)],
)
def test_what_sweep_refuses_has_no_rows(ingredients: int, pattern: str, variants: int) -> None:
    for make in (sweep, sweep_rows):
        with pytest.raises(WeightsError):
            make(ingredients, pattern, variants)  # type: ignore[operator]
