"""Which job in the account's list is a lost one of ours: whole numbers must be equal exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.remote.run.proof import core, marks, verdict

REQUEST: dict[str, Any] = {
    "seed": 5,
    "prompt": "p",
    "init_image": ["https://u/1", "https://x/2"],
    "init_image_weights": "0.5,0.7",
    "steps": 30,
    "guidance_scale": 3.0,
}
META: dict[str, Any] = {
    "seed": "5",
    "prompt": "p",
    "init_image": "https://u/1,https://x/2",
    "init_image_weights": "0.5,0.7",
    "steps": 30,
    "guidance_scale": 3,
}
THIN = {"seed": 5, "prompt": "p", "init_image": ["https://u/1", "https://x/2"]}
OWN = ["https://u/1"]


@pytest.mark.parametrize(
    ("meta", "request_", "own", "alike", "wanted"),
    [
        (META, REQUEST, OWN, 0, "ours"),
        (META, REQUEST, OWN, 1, "ours"),
        (META, REQUEST, [], 0, "open"),
        (META, REQUEST, ["https://u/9"], 0, "open"),
        (META | {"seed": 6}, REQUEST, OWN, 0, "another's"),
        (META | {"prompt": "q"}, REQUEST, OWN, 0, "open"),
        (META | {"init_image": "https://u/1"}, REQUEST, OWN, 0, "open"),
        (META | {"init_image_weights": "0.5,0.8"}, REQUEST, OWN, 0, "open"),
        (META | {"init_image_weights": "0.50,0.700"}, REQUEST, OWN, 0, "ours"),
        (META, REQUEST | {"seed": None}, OWN, 0, "open"),
        (THIN, REQUEST, OWN, 0, "ours"),
        (THIN, REQUEST, OWN, 1, "open"),
        ({}, REQUEST, OWN, 0, "open"),
        ({"seed": [], "prompt": {}, "init_image": 3}, REQUEST, OWN, 0, "open"),
        (META | {"init_image": "https://u/1#image-mixer-abc,https://x/2"}, REQUEST, OWN, 0, "ours"),
    ],
)
def test_verdict(meta: dict[str, Any], request_: dict[str, Any], own: list[str], alike: int, wanted: str) -> None:
    assert verdict(meta, request_, own, alike) == wanted


LARGE = 2**62 + 12345


@pytest.mark.parametrize(
    ("seed", "echoed", "wanted"),
    [
        (LARGE, LARGE, "ours"),
        (LARGE, str(LARGE), "ours"),
        (LARGE, LARGE + 1, "open"),  # equal after rounding to a double: this neither proves nor disproves
        (LARGE, float(LARGE), "open"),
        (LARGE, LARGE + 10**6, "another's"),
        (1_234_567, 1_234_568, "another's"),  # equal to six digits
        (1_234_567, 1_234_567.0, "ours"),
        (2**53 - 1, 2**53 - 2, "another's"),
        (LARGE, LARGE % 2**32, "open"),  # a service that keeps 32 bits
        (LARGE, 2**32 - 1, "open"),
        (5, True, "open"),
        (5, None, "open"),
        (5, "five", "open"),
    ],
)
def test_seeds_are_compared_exactly(seed: int, echoed: Any, wanted: str) -> None:
    assert verdict(META | {"seed": echoed}, REQUEST | {"seed": seed}, OWN, 0) == wanted


@given(st.integers(0, 2**63 - 1), st.integers(1, 64))
def test_a_neighbours_picture_is_never_ours(seed: int, apart: int) -> None:
    assert verdict(META | {"seed": seed + apart}, REQUEST | {"seed": seed}, OWN, 0) != "ours"
    assert verdict(META | {"seed": seed}, REQUEST | {"seed": seed}, OWN, 0) == "ours"


def test_alike_is_what_is_really_alike() -> None:
    assert core(REQUEST | {"seed": LARGE}) != core(REQUEST | {"seed": LARGE + 1})
    assert core(REQUEST) == core(REQUEST | {"seed": "5", "steps": 3})


def test_marks_name_attempts() -> None:
    assert marks({"init_image": ["https://u/1#image-mixer-0123", "https://x/2#top"]}) == ("0123",)
    assert marks({"init_image": 7}) == ()
