"""Weights as plain numbers: reading, checking, normalising and combining them. Imports neither torch nor Pillow."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, Literal

from .errors import WeightsError

Row = tuple[float, ...]
"""One weight per ingredient (or per socket), in order."""

Matrix = tuple[Row, ...]
"""Weights [variants, ingredients]."""

Normalisation = Literal["as given", "sum to 1", "max to 1", "unit length", "softmax"]
NORMALISATIONS: tuple[Normalisation, ...] = ("as given", "sum to 1", "max to 1", "unit length", "softmax")

MAX_NUMBERS = 1000
"""Most numbers in one text, and most ingredients of a sweep."""

CANCELLED = 1e-9
"""Weights cancel if their sum is at most this share of the sum of their magnitudes: 0.1 + 0.2 - 0.3 is not exactly 0 in
floats."""

_SEPARATORS = re.compile(r"[\s,;]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse(text: str) -> Row:
    """Read the numbers of a text such as "0.5,0.7", the form of the service's v5 document. An empty text has no numbers.

    Any run of commas, semicolons, spaces and newlines separates numbers. Numbers are decimal; a sign and an exponent
    are allowed. Raises WeightsError on anything else, on a number too large to be finite, and on more than MAX_NUMBERS
    numbers.
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
    return value + 0.0  # turns -0.0 into 0, which would otherwise be shown and hashed as another weight


def formatted(row: Row) -> str:
    """Write a row as text, "0.5, 0.7", with 6 significant digits. `parse` reads it back."""
    return ", ".join(f"{weight:.6g}" for weight in row)


def pad_row(text: str, sockets: int) -> Row:
    """Read the value of the pad: one number per socket, 1 for each missing number.

    Raises WeightsError as `parse` does, and on more numbers than sockets.
    """
    row = parse(text)
    if len(row) > sockets:
        raise WeightsError(
            f"The pad holds {len(row)} numbers for {sockets} connected images: remove some, or connect more images."
        )
    return row + (1.0,) * (sockets - len(row))


def checked(matrix: Iterable[Iterable[float]]) -> Matrix:
    """Return `matrix` as tuples of finite floats, all rows of one length.

    Raises WeightsError if there is no row or no column, if a row is longer or shorter than the first, and if an entry
    is not a finite number.
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
    """Scale each row of `matrix` on its own.

    - as given: unchanged.
    - sum to 1: divided by the sum.
    - max to 1: divided by the largest magnitude.
    - unit length: divided by the square root of the sum of squares.
    - softmax: exp(w) divided by the sum of exp(w).

    A row of zeros stays as it is, except that softmax turns it into equal shares.
    Raises WeightsError on an unknown normalisation, as `checked` does, and for "sum to 1" if the weights cancel.
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
            f"The weights {_shown(row)} add up to 0 and cannot be scaled to a sum of 1: choose another normalisation."
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
    """Multiply the row by the power of two that brings its largest magnitude below 1: exact, and no sum overflows."""
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
    """Put the columns of `right` after those of `left`. A single row is used with every row of the other matrix.

    Raises WeightsError if both have more than one row and not the same number.
    """
    rows = max(len(left), len(right))
    if not {len(left), len(right)} <= {1, rows}:
        raise WeightsError(
            f"Weights of {len(left)} variants cannot go with weights of {len(right)}: the numbers must be equal, or 1."
        )
    return tuple(left[i % len(left)] + right[i % len(right)] for i in range(rows))


def spread(matrix: Matrix, counts: Sequence[int]) -> Matrix:
    """Repeat column k `counts[k]` times: each image of a batch gets the weight of its socket.

    Raises WeightsError if a row does not have one number per entry of `counts`.
    """
    for row in matrix:
        if len(row) != len(counts):
            raise WeightsError(f"There are {len(row)} weights for {len(counts)} pictures: give one for each input.")
    return tuple(
        tuple(weight for weight, count in zip(row, counts, strict=True) for _ in range(count)) for row in matrix
    )


def used_columns(matrix: Matrix) -> tuple[int, ...]:
    """Return the columns, from 0, that are not 0 in every row. `matrix` is rectangular."""
    return tuple(k for k, column in enumerate(zip(*matrix, strict=True)) if any(column))
