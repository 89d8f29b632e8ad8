"""Blends and sweeps: weights that change from variant to variant."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import WeightsError
from image_mixer.mixing.sweeps import EASINGS, MAX_VARIANTS, PATTERNS, Easing, Pattern, blend, sweep
from image_mixer.mixing.weights import Matrix, Row, checked

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("easing", "middle"),
    [
        ("linear", (0.25, 0.5, 0.75)),
        ("ease in", (0.0625, 0.25, 0.5625)),
        ("ease out", (0.4375, 0.75, 0.9375)),
        ("ease in-out", (0.15625, 0.5, 0.84375)),
    ],
)
def test_blend_closed_forms(easing: Any, middle: Row) -> None:
    assert blend((0.0, 1.0), (1.0, 0.0), 5, easing) == ((0.0, 1.0), *((f, 1 - f) for f in middle), (1.0, 0.0))


def test_blend_of_one_variant_is_the_start() -> None:
    assert blend((0.3,), (0.9,), 1) == ((0.3,),)
    assert blend((0.3,), (0.9,), 2) == ((0.3,), (0.9,))


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=5), st.integers(2, 9), st.sampled_from(EASINGS))
def test_blend_is_exact_at_its_ends_and_stays_between(
    pairs: list[tuple[float, float]], variants: int, easing: Easing
) -> None:
    start, end = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    matrix = blend(start, end, variants, easing)
    assert (len(matrix), matrix[0], matrix[-1]) == (variants, start, end)
    for k, (low, high) in enumerate(map(sorted, pairs)):
        slack = 1e-12 * max(abs(low), abs(high)) if low != high else 0.0
        assert all(low - slack <= row[k] <= high + slack for row in matrix)


@pytest.mark.parametrize(
    ("start", "end", "variants", "easing", "named"),
    [
        ((1.0,), (1.0, 2.0), 3, "linear", "1 numbers and the last 2"),
        ((1.0,), (2.0,), 0, "linear", "not 0"),
        ((1.0,), (2.0,), MAX_VARIANTS + 1, "linear", "not 4097"),
        ((1.0,), (2.0,), 3, "bounce", "'bounce'"),
        ((), (), 3, "linear", "empty"),
        ((1.0,), (math.nan,), 3, "linear", "nan"),
    ],
)
def test_blend_refuses(start: Row, end: Row, variants: int, easing: Any, named: str) -> None:
    with pytest.raises(WeightsError, match=named):
        blend(start, end, variants, easing)


@pytest.mark.parametrize(
    ("ingredients", "pattern", "variants", "matrix"),
    [
        (2, "ramp", 3, ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0))),
        (3, "ramp", 5, ((1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.0, 1.0, 0.0), (0.0, 0.5, 0.5), (0.0, 0.0, 1.0))),
        (3, "ramp", 2, ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))),
        (3, "ramp", 1, ((1.0, 0.0, 0.0),)),
        (1, "ramp", 3, ((1.0,),) * 3),
        (2, "simplex", 3, ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0))),
        (
            3,
            "simplex",
            9,
            (
                (1.0, 0.0, 0.0),
                (0.5, 0.5, 0.0),
                (0.5, 0.0, 0.5),
                (0.0, 1.0, 0.0),
                (0.0, 0.5, 0.5),
                (0.0, 0.0, 1.0),
            ),
        ),
        (3, "simplex", 1, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),
        (1, "simplex", 7, ((1.0,),)),
        (3, "one at a time", 7, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),
        (1, "random", 2, ((1.0,), (1.0,))),
    ],
)
def test_sweep(ingredients: int, pattern: Any, variants: int, matrix: Matrix) -> None:
    assert sweep(ingredients, pattern, variants, 0) == matrix


@given(st.integers(1, 12), st.sampled_from(PATTERNS), st.integers(1, 60), st.integers(0, 2**53))
def test_every_sweep_shares_one(ingredients: int, pattern: Pattern, variants: int, seed: int) -> None:
    matrix = sweep(ingredients, pattern, variants, seed)
    assert checked(matrix) == matrix
    assert {len(row) for row in matrix} == {ingredients}
    assert all(weight >= 0 for row in matrix for weight in row)
    assert all(math.fsum(row) == pytest.approx(1) for row in matrix)
    if pattern in ("ramp", "random"):
        assert len(matrix) == variants


@given(st.integers(2, 8), st.integers(1, 200))
def test_simplex_is_the_finest_lattice_in_order(ingredients: int, variants: int) -> None:
    matrix = sweep(ingredients, "simplex", variants, 0)
    steps = round(1 / min(weight for row in matrix for weight in row if weight))
    lattice = [p for p in itertools.product(range(steps, -1, -1), repeat=ingredients) if sum(p) == steps]
    assert [tuple(round(weight * steps) for weight in row) for row in matrix] == lattice
    assert len(matrix) <= max(variants, ingredients) < math.comb(steps + ingredients, ingredients - 1)


def test_a_ramp_visits_every_ingredient_alone() -> None:
    matrix = sweep(4, "ramp", 13, 0)
    assert [matrix[k] for k in (0, 4, 8, 12)] == list(sweep(4, "one at a time", 1, 0))


def test_random_rows_are_owned_by_the_seed() -> None:
    assert sweep(3, "random", 5, 7) == sweep(3, "random", 9, 7)[:5]
    assert sweep(3, "random", 5, 7) != sweep(3, "random", 5, 8)


def test_random_rows_are_uniform() -> None:
    # On the simplex of N shares each has the mean 1 / N and the variance (N - 1) / (N² (N + 1)).
    first = [row[0] for row in sweep(3, "random", MAX_VARIANTS, 1)]
    mean = math.fsum(first) / len(first)
    assert mean == pytest.approx(1 / 3, abs=0.015)
    assert math.fsum((share - mean) ** 2 for share in first) / len(first) == pytest.approx(1 / 18, abs=0.003)


@pytest.mark.parametrize(
    ("ingredients", "pattern", "variants", "named"),
    [
        (0, "ramp", 3, "not 0"),
        (1001, "ramp", 3, "not 1001"),
        (2, "ramp", 0, "not 0"),
        (2, "random", 4097, "not 4097"),
        (2, "spiral", 3, "'spiral'"),
    ],
)
def test_sweep_refuses(ingredients: int, pattern: Any, variants: int, named: str) -> None:
    with pytest.raises(WeightsError, match=named):
        sweep(ingredients, pattern, variants, 0)


def test_the_largest_sweeps_come_soon() -> None:
    assert len(sweep(1000, "simplex", MAX_VARIANTS, 0)) == 1000
    assert len(sweep(2, "simplex", MAX_VARIANTS, 0)) == MAX_VARIANTS
