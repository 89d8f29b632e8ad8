"""Weights: text, checks, normalisations, joins."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import MixError, WeightsError
from image_mixer.mixing.weights import (
    NORMALISATIONS,
    Matrix,
    Normalisation,
    Row,
    checked,
    formatted,
    joined,
    normalised,
    pad_row,
    parse,
    spread,
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
def test_normalised_keeps_its_promise(row: Row, how: Normalisation) -> None:
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
def test_normalised_goes_with_the_order(row: Row, how: Normalisation, random: Any) -> None:
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
