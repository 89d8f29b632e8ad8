"""Weights as plain numbers: reading, checking, normalising and sweeping them. Imports neither torch nor Pillow."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, pairwise
from numbers import Real
from typing import Any, Literal

from .errors import WeightsError

Row = tuple[float, ...]
"""One weight an ingredient (or a socket), in order."""

Matrix = tuple[Row, ...]
"""Weights [variants, ingredients]."""

Normalisation = Literal["as given", "sum to 1", "max to 1", "unit length", "softmax"]
NORMALISATIONS: tuple[Normalisation, ...] = ("as given", "sum to 1", "max to 1", "unit length", "softmax")

Easing = Literal["linear", "ease in", "ease out", "ease in-out"]
EASINGS: tuple[Easing, ...] = ("linear", "ease in", "ease out", "ease in-out")

Pattern = Literal["ramp", "simplex", "one at a time", "random"]
PATTERNS: tuple[Pattern, ...] = ("ramp", "simplex", "one at a time", "random")

MAX_NUMBERS = 1000
"""Most numbers in one text, and most ingredients of a sweep."""

MAX_VARIANTS = 4096
"""Most rows that `blend` and `sweep` make."""

CANCELLED = 1e-9
"""Weights whose sum is at most this share of their magnitudes cancel: 0.1 + 0.2 - 0.3 is not exactly 0 in floats."""

_SEPARATORS = re.compile(r"[\s,;]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse(text: str) -> Row:
    """The numbers of "0.5,0.7", the form of the service's v5 document. No text gives no numbers.

    Any run of commas, semicolons, spaces and newlines separates. Numbers are decimal, with sign and exponent if wanted.
    Raises WeightsError on anything else, on a number too large to be finite, and on more than MAX_NUMBERS.
    """
    pieces = [piece for piece in _SEPARATORS.split(text) if piece]
    if len(pieces) > MAX_NUMBERS:
        raise WeightsError(f"There are {len(pieces)} weights in the text: give at most {MAX_NUMBERS}.")
    return tuple(_number(piece) for piece in pieces)


def _number(piece: str) -> float:
    shown = repr(piece if len(piece) <= 40 else piece[:39] + "…")
    if not _NUMBER.fullmatch(piece):
        raise WeightsError(f"{shown} is not a number: write weights like 0.5, 0.7.")
    value = float(piece)
    if math.isinf(value):
        raise WeightsError(f"The weight {shown} is too large: give a finite number, such as 1.")
    return value + 0.0  # makes -0.0 plain 0, which would otherwise be shown, and hashed, as another weight


def formatted(row: Row) -> str:
    """The row as text, "0.5, 0.7", with 6 significant digits. `parse` reads it back."""
    return ", ".join(f"{weight:.6g}" for weight in row)


def pad_row(text: str, sockets: int) -> Row:
    """The value of the pad: a number a socket, 1 where one is missing.

    Raises WeightsError as `parse` does, and on more numbers than sockets.
    """
    row = parse(text)
    if len(row) > sockets:
        raise WeightsError(
            f"The pad holds {len(row)} numbers for {sockets} connected images: remove some, or connect more images."
        )
    return row + (1.0,) * (sockets - len(row))


def checked(matrix: Iterable[Iterable[float]]) -> Matrix:
    """`matrix` as tuples of finite floats, all rows of one length.

    Raises WeightsError where it has no row or no column, where a row is longer or shorter than the first, and where an
    entry is no finite number.
    """
    try:
        rows = tuple(tuple(row) for row in matrix)
    except TypeError as error:
        raise WeightsError(f"Weights must be rows of numbers, not {type(matrix).__name__}.") from error
    if not rows or not rows[0]:
        raise WeightsError("The weights are empty: give at least one number.")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise WeightsError(f"Row {number} of the weights has {len(row)} numbers, row 1 has {len(rows[0])}.")
    return tuple(tuple(_finite(value, number) for value in row) for number, row in enumerate(rows, 1))


def _finite(value: Any, row: int) -> float:
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise WeightsError(f"Row {row} of the weights holds {repr(value)[:40]}: only finite numbers can be weights.")
    return number + 0.0


def normalised(matrix: Matrix, how: Normalisation) -> Matrix:
    """`matrix` with each row scaled by itself.

    - as given: unchanged.
    - sum to 1: divided by the sum.
    - max to 1: divided by the largest magnitude.
    - unit length: divided by the square root of the sum of squares.
    - softmax: exp(w) divided by the sum of exp(w).

    A row of zeros stays as it is, except that softmax makes equal shares of it.
    Raises WeightsError on an unknown normalisation, as `checked` does, and for "sum to 1" where weights cancel.
    """
    if how not in _ROW_FUNCTIONS:
        raise WeightsError(f"The normalisation is one of {', '.join(NORMALISATIONS)}, not {how!r}.")
    return tuple(_ROW_FUNCTIONS[how](row) for row in checked(matrix))


def _as_given(row: Row) -> Row:
    return row


def _sum_to_1(row: Row) -> Row:
    scaled = _scaled(row)
    total = math.fsum(scaled)
    if abs(total) > CANCELLED * math.fsum(map(abs, scaled)):
        return tuple(weight / total for weight in scaled)
    if any(row):
        raise WeightsError(
            f"The weights {_shown(row)} add up to 0, so no scale gives a sum of 1: choose another normalisation."
        )
    return row


def _max_to_1(row: Row) -> Row:
    peak = max(map(abs, row))
    return tuple(weight / peak for weight in row) if peak else row


def _unit_length(row: Row) -> Row:
    scaled = _scaled(row)
    length = math.hypot(*scaled)
    return tuple(weight / length for weight in scaled) if length else row


def _softmax(row: Row) -> Row:
    peak = max(row)
    powers = [math.exp(weight - peak) for weight in row]
    total = math.fsum(powers)
    return tuple(power / total for power in powers)


def _scaled(row: Row) -> Row:
    """The row times the power of two that brings its largest magnitude below 1: exact, and no sum overflows."""
    _, exponent = math.frexp(max(map(abs, row)))
    return tuple(math.ldexp(weight, -exponent) for weight in row)


def _shown(row: Row) -> str:
    text = formatted(row)
    return text if len(text) <= 60 else text[:59] + "…"


_ROW_FUNCTIONS: dict[str, Callable[[Row], Row]] = {
    "as given": _as_given,
    "sum to 1": _sum_to_1,
    "max to 1": _max_to_1,
    "unit length": _unit_length,
    "softmax": _softmax,
}


def joined(left: Matrix, right: Matrix) -> Matrix:
    """The columns of `left`, then those of `right`. A single row goes with every row of the other.

    Raises WeightsError where both have more than one row and not the same number.
    """
    rows = max(len(left), len(right))
    if not {len(left), len(right)} <= {1, rows}:
        raise WeightsError(
            f"Weights of {len(left)} variants cannot go with weights of {len(right)}: the numbers must be equal, or 1."
        )
    return tuple(left[i % len(left)] + right[i % len(right)] for i in range(rows))


def spread(matrix: Matrix, counts: Sequence[int]) -> Matrix:
    """Column k repeated `counts[k]` times: each image of a batch gets the weight of its socket.

    Raises WeightsError where a row has not one number for each of `counts`.
    """
    for row in matrix:
        if len(row) != len(counts):
            raise WeightsError(f"There are {len(row)} weights for {len(counts)} pictures: give one for each input.")
    return tuple(
        tuple(weight for weight, count in zip(row, counts, strict=True) for _ in range(count)) for row in matrix
    )


def used_columns(matrix: Matrix) -> tuple[int, ...]:
    """The columns, from 0, that are not 0 in every row. `matrix` is rectangular."""
    return tuple(k for k, column in enumerate(zip(*matrix, strict=True)) if any(column))


def blend(start: Row, end: Row, variants: int, easing: Easing = "linear") -> Matrix:
    """`variants` rows from `start` (the first, exactly) to `end` (the last, exactly); one variant is `start`.

    With t from 0 to 1 in equal steps, row = (1 - f) start + f end, where f is t (linear), t² (ease in),
    1 - (1 - t)² (ease out) or 3t² - 2t³ (ease in-out).
    Raises WeightsError on rows of different lengths, as `checked` does, on variants outside 1 to MAX_VARIANTS, and on
    an unknown easing.
    """
    if len(start) != len(end):
        raise WeightsError(f"The first weights are {len(start)} numbers and the last {len(end)}: give equally many.")
    if easing not in _EASING_FUNCTIONS:
        raise WeightsError(f"The easing is one of {', '.join(EASINGS)}, not {easing!r}.")
    _check_variants(variants)
    first, last = checked((start, end))
    eased = [_EASING_FUNCTIONS[easing](i / (variants - 1)) for i in range(1, variants - 1)]
    between = tuple(
        # An unchanged weight is kept as it is, since (1 - f) w + f w may differ from w in its last digit.
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
    """Rows of weights from 0 to 1, each with the sum 1, for `ingredients` ingredients.

    - ramp: `variants` rows in equal steps along the path from the first ingredient alone to the second alone, and so on
      to the last alone. One variant is the first alone.
    - simplex: every way to share the weight in equal steps, the steps as fine as at most `variants` rows allow, and at
      least the ingredients alone. The first ingredient's share falls from row to row, then the second's, and so on:
      (1, 0, 0), (½, ½, 0), (½, 0, ½), (0, 1, 0), (0, ½, ½), (0, 0, 1).
    - one at a time: each ingredient alone, whatever `variants` is.
    - random: `variants` rows uniform on the simplex: the gaps between sorted uniform numbers (Devroye, Non-Uniform
      Random Variate Generation, 1986, chapter V.2), from a generator of its own. More variants keep the first rows.

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
    """Return how many rows `sweep` makes, without making them. Raise WeightsError as `sweep` does."""
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
    """The largest m for which C(m + N - 1, N - 1), the ways to share m steps among N, is at most `rows`; at least 1."""
    if ingredients == 1:
        return 1
    m = 1
    while math.comb(m + ingredients, ingredients - 1) <= rows:
        m += 1
    return m


def _shares(steps: int, ingredients: int) -> list[tuple[int, ...]]:
    """Every way to share `steps` among `ingredients`, the first share falling slowest ("stars and bars")."""
    places = steps + ingredients - 1
    bars = ((-1, *chosen, places) for chosen in combinations(range(places), ingredients - 1))
    return [tuple(high - low - 1 for low, high in pairwise(bar)) for bar in bars][::-1]


def _random_row(ingredients: int, generator: random.Random) -> Row:
    cuts = [0.0, *sorted(generator.random() for _ in range(ingredients - 1)), 1.0]
    return tuple(high - low for low, high in pairwise(cuts))
