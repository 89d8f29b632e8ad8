"""Combining a piece of a mix with an entry's own mask and time range."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from image_mixer.local.methods.pieces import within

LEFT = torch.tensor([[1.0, 1.0, 0.0, 0.0]] * 4)
TOP = torch.tensor([[1.0] * 4] * 2 + [[0.0] * 4] * 2)


def test_masks_multiply_and_keep_the_entrys_strength() -> None:
    both = within({"mask": LEFT[None], "mask_strength": 0.5, "x": 1}, {"mask": TOP[None], "mask_strength": 1.0})
    assert both is not None and both["x"] == 1
    assert torch.equal(both["mask"], (LEFT * TOP)[None]) and both["mask_strength"] == 0.5


def test_masks_of_different_sizes_meet_at_the_larger() -> None:
    both = within({"mask": torch.ones(2, 2)}, {"mask": TOP[None]})
    assert both is not None and torch.equal(both["mask"], TOP[None])


@pytest.mark.parametrize(
    ("own", "part", "expected"),
    [
        ({}, (0.2, 0.5), (0.2, 0.5)),
        ({"start_percent": 0.3, "end_percent": 1.0}, (0.0, 0.5), (0.3, 0.5)),
        ({"start_percent": 0.5, "end_percent": 1.0}, (0.0, 0.5), None),
    ],
)
def test_time_ranges_are_cut(own: dict[str, Any], part: tuple[float, float], expected: Any) -> None:
    both = within(own, {"start_percent": part[0], "end_percent": part[1]})
    assert (both and (both["start_percent"], both["end_percent"])) == expected


def test_a_piece_without_either_changes_nothing() -> None:
    own = {"mask": LEFT[None], "start_percent": 0.1, "end_percent": 0.2}
    assert within(own, {}) == own
