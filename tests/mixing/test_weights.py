"""Weights: text, checks, normalisations, joins, blends and sweeps."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing import weights
from image_mixer.mixing.errors import MixError, WeightsError
from image_mixer.mixing.weights import (
    EASINGS,
    MAX_VARIANTS,
    NORMALISATIONS,
    PATTERNS,
    Matrix,
    Row,
    blend,
    checked,
    formatted,
    joined,
    normalised,
    pad_row,
    parse,
    spread,
    sweep,
    used_columns,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(finite, min_size=1, max_size=8).map(tuple)
small_rows = st.lists(st.floats(-100, 100), min_size=1, max_size=8).map(tuple)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("0.5,0.7", (0.5, 0.7)),
        ("", ()),
        (" \n ", ()),
        (",;,", ()),
        ("1", (1.0,)),
        ("0.5, 0.7", (0.5, 0.7)),
        ("0.5 ,;\n\t 0.7,\r\n1;2", (0.5, 0.7, 1.0, 2.0)),
        ("+1 -2 .5 3.", (1.0, -2.0, 0.5, 3.0)),
        ("1e2,1E-2,-1.5e+1", (100.0, 0.01, -15.0)),
        ("1e-400", (0.0,)),
        (",0.5,,0.7,", (0.5, 0.7)),
        (" ".join(["1"] * 1000), (1.0,) * 1000),
    ],
)
def test_parse_reads(text: str, row: Row) -> None:
    assert parse(text) == row


def test_parse_drops_the_sign_of_zero() -> None:
    assert math.copysign(1, parse("-0.0")[0]) == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("0.5,abc", "'abc'"),
        ("nan", "'nan'"),
        ("inf", "'inf'"),
        ("1,-infinity", "'-infinity'"),
        ("1_000", "'1_000'"),
        ("0x10", "'0x10'"),
        ("0.5/0.7", "'0.5/0.7'"),
        ("--1", "'--1'"),
        ("1e", "'1e'"),
        (".", "'.'"),
        ("\u0663", "'\u0663'"),
        ("1e400", "'1e400'"),
        ("-1e400", "'-1e400'"),
        ("x" * 100, "'" + "x" * 39 + "…'"),
        (" ".join(["1"] * 1001), "1001"),
    ],
)
def test_parse_refuses_and_names(text: str, named: str) -> None:
    with pytest.raises(WeightsError) as caught:
        parse(text)
    assert named in str(caught.value)


@given(st.text() | st.text("0123456789.,;eE+- \n_naif"))
def test_parse_raises_nothing_else(text: str) -> None:
    try:
        row = parse(text)
    except MixError as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 300
    else:
        assert all(map(math.isfinite, row))


@pytest.mark.parametrize(
    ("row", "text"),
    [((0.5, 0.7), "0.5, 0.7"), ((), ""), ((1.0,), "1"), ((1 / 3, -2e-9), "0.333333, -2e-09"), ((0.1 + 0.2,), "0.3")],
)
def test_formatted(row: Row, text: str) -> None:
    assert formatted(row) == text


@given(st.lists(finite, max_size=8).map(tuple))
def test_parse_reads_what_formatted_writes(row: Row) -> None:
    assert parse(formatted(row)) == tuple(float(f"{weight:.6g}") for weight in row)


@pytest.mark.parametrize(
    ("text", "sockets", "row"),
    [("0.5,0.7", 2, (0.5, 0.7)), ("0.5", 3, (0.5, 1.0, 1.0)), ("", 2, (1.0, 1.0)), ("", 0, ()), ("-1;0", 2, (-1, 0))],
)
def test_pad_row(text: str, sockets: int, row: Row) -> None:
    assert pad_row(text, sockets) == row


def test_pad_row_refuses_more_numbers_than_sockets() -> None:
    with pytest.raises(WeightsError, match=r"3 numbers for 2 "):
        pad_row("1,2,3", 2)


def test_checked_makes_tuples_of_floats() -> None:
    matrix = checked([[1, True], [0.5, -0.0]])
    assert matrix == ((1.0, 1.0), (0.5, 0.0))
    assert all(type(weight) is float for row in matrix for weight in row)
    assert math.copysign(1, matrix[1][1]) == 1


@pytest.mark.parametrize(
    ("matrix", "named"),
    [
        ((), "empty"),
        (((),), "empty"),
        (((1.0, 2.0), (3.0,)), "Row 2 of the weights has 1 numbers, row 1 has 2"),
        (((1.0,), (math.nan,)), "Row 2 of the weights holds nan"),
        (((math.inf,),), "inf"),
        (((10**400,),), "100000"),
        ((("1",),), "'1'"),
        (((None,),), "None"),
        ((1.0, 2.0), "tuple"),
        (3, "int"),
    ],
)
def test_checked_refuses(matrix: Any, named: str) -> None:
    with pytest.raises(WeightsError) as caught:
        checked(matrix)
    assert named in str(caught.value)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("how", "row", "expected"),
    [
        ("as given", (2.0, -1.0), (2.0, -1.0)),
        ("sum to 1", (1.0, 3.0), (0.25, 0.75)),
        ("sum to 1", (3.0, -1.0), (1.5, -0.5)),
        ("sum to 1", (-1.0, -1.0), (0.5, 0.5)),
        ("max to 1", (1.0, -4.0), (0.25, -1.0)),
        ("max to 1", (0.5, 0.5), (1.0, 1.0)),
        ("unit length", (3.0, -4.0), (0.6, -0.8)),
        ("softmax", (0.0, math.log(3)), (0.25, 0.75)),
        ("softmax", (1e4, 1e4), (0.5, 0.5)),
        ("softmax", (-1e308, 1e308), (0.0, 1.0)),
        ("sum to 1", (1e308, 1e308), (0.5, 0.5)),
        ("unit length", (1.5e308, 1.5e308), (math.sqrt(0.5), math.sqrt(0.5))),
        ("sum to 1", (5e-324, 5e-324), (0.5, 0.5)),
        ("as given", (0.0, 0.0), (0.0, 0.0)),
        ("sum to 1", (0.0, 0.0), (0.0, 0.0)),
        ("max to 1", (0.0, 0.0), (0.0, 0.0)),
        ("unit length", (0.0, 0.0), (0.0, 0.0)),
        ("softmax", (0.0, 0.0), (0.5, 0.5)),
    ],
)
def test_normalised(how: Any, row: Row, expected: Row) -> None:
    assert normalised((row,), how)[0] == pytest.approx(expected, rel=1e-15)


def test_each_row_is_normalised_by_itself() -> None:
    assert normalised(((1.0, 1.0), (0.0, 0.0), (1.0, 3.0)), "sum to 1") == ((0.5, 0.5), (0.0, 0.0), (0.25, 0.75))


@pytest.mark.parametrize("row", [(1.0, -1.0), (0.1, 0.2, -0.3), (1e308, -1e308)])
def test_sum_to_1_refuses_weights_that_cancel(row: Row) -> None:
    with pytest.raises(WeightsError, match="add up to 0"):
        normalised((row,), "sum to 1")


def test_normalised_refuses_an_unknown_word() -> None:
    with pytest.raises(WeightsError, match="'mean'"):
        normalised(((1.0,),), "mean")  # type: ignore[arg-type]


@given(small_rows, st.sampled_from(NORMALISATIONS))
def test_normalised_keeps_its_promise(row: Row, how: weights.Normalisation) -> None:
    try:
        (result,) = normalised((row,), how)
    except WeightsError:
        assert how == "sum to 1"
        assert abs(math.fsum(row)) <= 1e-9 * math.fsum(map(abs, row))
        return
    measure = {
        "sum to 1": math.fsum,
        "max to 1": lambda r: max(map(abs, r)),
        "unit length": lambda r: math.hypot(*r),
        "softmax": math.fsum,
    }
    if how == "as given" or (how != "softmax" and not any(row)):
        assert result == row
    else:
        assert measure[how](result) == pytest.approx(1)
    if how != "softmax":
        assert all(after == 0 for before, after in zip(row, result, strict=True) if before == 0)


@given(small_rows, st.sampled_from(NORMALISATIONS), st.randoms(use_true_random=False))
def test_normalised_goes_with_the_order(row: Row, how: weights.Normalisation, random: Any) -> None:
    order = random.sample(range(len(row)), len(row))
    try:
        (result,) = normalised((row,), how)
    except WeightsError:
        return
    (shuffled,) = normalised((tuple(row[k] for k in order),), how)
    assert shuffled == pytest.approx(tuple(result[k] for k in order), rel=1e-12)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        (((1.0,),), ((2.0, 3.0),), ((1.0, 2.0, 3.0),)),
        (((1.0,), (2.0,)), ((3.0,), (4.0,)), ((1.0, 3.0), (2.0, 4.0))),
        (((1.0,), (2.0,)), ((3.0,),), ((1.0, 3.0), (2.0, 3.0))),
        (((1.0,),), ((3.0,), (4.0,)), ((1.0, 3.0), (1.0, 4.0))),
        (((),), ((3.0,), (4.0,)), ((3.0,), (4.0,))),
    ],
)
def test_joined(left: Matrix, right: Matrix, result: Matrix) -> None:
    assert joined(left, right) == result


def test_joined_refuses_other_row_counts() -> None:
    with pytest.raises(WeightsError, match=r"2 variants .* 3"):
        joined(((1.0,),) * 2, ((1.0,),) * 3)
    with pytest.raises(WeightsError, match=r"0 variants .* 1"):
        joined((), ((1.0,),))


def test_spread_repeats_a_column_for_each_picture() -> None:
    assert spread(((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), [2, 0, 1]) == ((1.0, 1.0, 3.0), (4.0, 4.0, 6.0))
    assert spread(((),), []) == ((),)


def test_spread_refuses_another_length() -> None:
    with pytest.raises(WeightsError, match="3 weights for 2 pictures"):
        spread(((1.0, 2.0, 3.0),), [1, 1])


def test_used_columns_are_those_not_zero_in_every_row() -> None:
    assert used_columns(((0.0, 1.0, 0.0, -1.0), (0.0, 0.0, 1e-300, 0.0))) == (1, 2, 3)
    assert used_columns(((-0.0,),)) == ()
    assert used_columns(((),)) == ()


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
    pairs: list[tuple[float, float]], variants: int, easing: weights.Easing
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
def test_every_sweep_shares_one(ingredients: int, pattern: weights.Pattern, variants: int, seed: int) -> None:
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
