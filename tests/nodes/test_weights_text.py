"""Texts of weights in nodes: checked before the graph runs, read when it does."""

from __future__ import annotations

from typing import Any

import pytest
from image_mixer.mixing.errors import WeightsError
from image_mixer.nodes.mix import ImageMixerMix
from image_mixer.nodes.weights import (
    ImageMixerBlendWeights,
    ImageMixerSweepWeights,
    ImageMixerWeights,
    weights_valid,
)


@pytest.mark.parametrize("texts", [(), (None,), ("",), ("0.5, 0.7",), ("1 0", None), (3, ["node", 0])])
def test_a_text_of_numbers_and_a_link_are_accepted(texts: tuple[Any, ...]) -> None:
    assert weights_valid(*texts) is True


@pytest.mark.parametrize(
    "answer",
    [
        weights_valid("1, x"),
        weights_valid("1", "x"),
        ImageMixerMix.validate_inputs(pad="x"),
        ImageMixerWeights.validate_inputs(text="x"),
        ImageMixerBlendWeights.validate_inputs(**{"from": "1", "to": "x"}),
        ImageMixerBlendWeights.validate_inputs(**{"from": "x", "to": "1"}),
    ],
)
def test_another_text_is_named_in_one_line(answer: bool | str) -> None:
    assert answer == "'x' is not a number: write weights like 0.5, 0.7."


def test_the_nodes_make_the_rows() -> None:
    assert ImageMixerWeights.execute("1, 3", "sum to 1").args == (((0.25, 0.75),), "0.25, 0.75")
    made = ImageMixerBlendWeights.execute(3, "linear", **{"from": "1, 0", "to": "0, 1"})
    assert made.args == (((1.0, 0.0), (0.5, 0.5), (0.0, 1.0)),)
    assert ImageMixerSweepWeights.execute(2, "one at a time", 9, 0).args == (((1.0, 0.0), (0.0, 1.0)),)


def test_a_text_that_came_by_a_link_is_read_then() -> None:
    with pytest.raises(WeightsError, match="'x'"):
        ImageMixerWeights.execute("x", "as given")
