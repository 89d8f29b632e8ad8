"""Matrices of weights that change from variant to variant: blends and sweeps. Imports neither torch nor Pillow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Literal

from .errors import WeightsError
from .weights import MAX_NUMBERS, Matrix, Row, checked

Easing = Literal["linear", "ease in", "ease out", "ease in-out"]
EASINGS: tuple[Easing, ...] = ("linear", "ease in", "ease out", "ease in-out")

Pattern = Literal["ramp", "simplex", "one at a time", "random"]
PATTERNS: tuple[Pattern, ...] = ("ramp", "simplex", "one at a time", "random")

MAX_VARIANTS = 4096
"""Most rows that `blend` and `sweep` make."""


def blend(start: Row, end: Row, variants: int, easing: Easing = "linear") -> Matrix:
    """Return `variants` rows from exactly `start` to exactly `end`; a single variant is `start`.

    With t from 0 to 1 in equal steps, row = (1 - f) start + f end, where f is t (linear), t² (ease in),
    1 - (1 - t)² (ease out) or 3t² - 2t³ (ease in-out).
    Raises WeightsError on rows of different lengths, as `checked` does, on variants outside 1 to MAX_VARIANTS, and on
    an unknown easing.
    """
    if len(start) != len(end):
        raise WeightsError(
            f"The first row has {len(start)} numbers and the last {len(end)}: give both the same number of weights."
        )
    if easing not in _EASING_FUNCTIONS:
        raise WeightsError(f"The easing is one of {', '.join(EASINGS)}, not {easing!r}.")
    _check_variants(variants)
    first, last = checked((start, end))
    eased = [_EASING_FUNCTIONS[easing](i / (variants - 1)) for i in range(1, variants - 1)]
    between = tuple(
        # A weight that does not change is copied, since (1 - f) w + f w may differ from w in its last digit.
        tuple(a if a == b else (1 - f) * a + f * b for a, b in zip(first, last, strict=True))
        for f in eased
    )
    return (first, *between, last)[:variants]


_EASING_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "ease in": lambda t: t * t,
    "ease out": lambda t: 1 - (1 - t) ** 2,
    "ease in-out": lambda t: t * t * (3 - 2 * t),
}


def sweep(ingredients: int, pattern: Pattern, variants: int, seed: int = 0) -> Matrix:
    """Return rows of weights from 0 to 1, each with the sum 1, for `ingredients` ingredients.

    - ramp: `variants` rows in equal steps along the path from the first ingredient alone to the second alone, and so on
      to the last alone. A single variant is the first ingredient alone.
    - simplex: every way to share the weight in equal steps. The steps are as fine as possible with at most `variants`
      rows, but there is always one row per ingredient alone. The first ingredient's share falls from row to row, then
      the second's, and so on: (1, 0, 0), (½, ½, 0), (½, 0, ½), (0, 1, 0), (0, ½, ½), (0, 0, 1).
    - one at a time: each ingredient alone; `variants` is ignored.
    - random: `variants` rows, uniform on the simplex: the gaps between sorted uniform numbers (Devroye, Non-Uniform
      Random Variate Generation, 1986, chapter V.2), drawn with `seed`. More variants keep the first rows.

    Raises WeightsError on an unknown pattern, on ingredients outside 1 to MAX_NUMBERS and on variants outside 1 to
    MAX_VARIANTS.
    """
    _check_sweep(ingredients, pattern, variants)
    if pattern == "ramp":
        return tuple(_ramp_row(ingredients, i, variants) for i in range(variants))
    if pattern == "simplex":
        resolution = _resolution(ingredients, max(variants, ingredients))
        return tuple(tuple(k / resolution for k in shares) for shares in _shares(resolution, ingredients))
    if pattern == "one at a time":
        return tuple(_alone(ingredients, k) for k in range(ingredients))
    generator = random.Random(seed)
    return tuple(_random_row(ingredients, generator) for _ in range(variants))


def sweep_rows(ingredients: int, pattern: Pattern, variants: int) -> int:
    """Return how many rows `sweep` makes, without making them. Raises WeightsError as `sweep` does."""
    _check_sweep(ingredients, pattern, variants)
    if pattern == "one at a time":
        return ingredients
    if pattern != "simplex":
        return variants
    steps = _resolution(ingredients, max(variants, ingredients))
    return math.comb(steps + ingredients - 1, ingredients - 1)


def _check_sweep(ingredients: int, pattern: str, variants: int) -> None:
    if not 1 <= ingredients <= MAX_NUMBERS:
        raise WeightsError(f"A sweep takes from 1 to {MAX_NUMBERS} ingredients, not {ingredients}.")
    _check_variants(variants)
    if pattern not in PATTERNS:
        raise WeightsError(f"The pattern of a sweep is one of {', '.join(PATTERNS)}, not {pattern!r}.")


def _check_variants(variants: int) -> None:
    if not 1 <= variants <= MAX_VARIANTS:
        raise WeightsError(f"Variants must be from 1 to {MAX_VARIANTS}, not {variants}.")


def _alone(ingredients: int, k: int) -> Row:
    return (0.0,) * k + (1.0,) + (0.0,) * (ingredients - k - 1)


def _ramp_row(ingredients: int, i: int, variants: int) -> Row:
    steps = max(1, variants - 1)
    vertex, rest = divmod(i * (ingredients - 1), steps)
    if not rest:
        return _alone(ingredients, vertex)
    share = rest / steps
    return (0.0,) * vertex + (1 - share, share) + (0.0,) * (ingredients - vertex - 2)


def _resolution(ingredients: int, rows: int) -> int:
    """Return the largest m, at least 1, for which m steps can be shared among N in at most `rows` ways.

    There are C(m + N - 1, N - 1) ways.
    """
    if ingredients == 1:
        return 1
    m = 1
    while math.comb(m + ingredients, ingredients - 1) <= rows:
        m += 1
    return m


def _shares(steps: int, ingredients: int) -> list[tuple[int, ...]]:
    """Return every way to share `steps` among `ingredients`; the first share falls slowest ("stars and bars")."""
    symbols = steps + ingredients - 1
    bars = ((-1, *chosen, symbols) for chosen in combinations(range(symbols), ingredients - 1))
    return [tuple(high - low - 1 for low, high in pairwise(bar)) for bar in bars][::-1]


def _random_row(ingredients: int, generator: random.Random) -> Row:
    cuts = [0.0, *sorted(generator.random() for _ in range(ingredients - 1)), 1.0]
    return tuple(high - low for low, high in pairwise(cuts))
