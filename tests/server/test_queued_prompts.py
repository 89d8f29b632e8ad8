"""server.prompts: what is left out of a queued prompt."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from comfy_api.latest import io
from image_mixer.server.prompts import clean, takes

KNOWN = {
    "Ours": takes(
        [
            io.Image.Input("image"),
            io.Int.Input("number"),
            io.String.Input("told", force_input=True),
            io.MultiType.Input("either", types=[io.Model, io.Clip]),
            io.Autogrow.Input("images", template=io.Autogrow.TemplatePrefix(io.Image.Input("image"), prefix="image")),
            io.DynamicCombo.Input(
                "method",
                options=[
                    io.DynamicCombo.Option("a", []),
                    io.DynamicCombo.Option("b", [io.Float.Input("power"), io.Mask.Input("mask")]),
                ],
            ),
        ]
    ),
}
GOOD: dict[str, Any] = {
    "image": ["1", 0],
    "number": 3,
    "told": "x",
    "either": ["1", 1],
    "images.image0": ["1", 0],
    "method": "b",
    "method.power": 0.5,
    "method.mask": ["1", 2],
}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, set()),
        ({"number": ["1", 0], "told": ["1", 0], "method": ["1", 0]}, set()),
        ({"image": "a.png"}, {"image"}),
        ({"image": None, "either": {"__value__": ["1", 0]}}, {"image", "either"}),
        ({"images.image0": 7, "images.image1": ["1", 0]}, {"images.image0"}),
        ({"method.mask": "m"}, {"method.mask"}),
        ({"images.image10": ["1", 0], "images.image0.x": ["1", 0]}, {"images.image10", "images.image0.x"}),
        ({"method.bogus": 1, "nothing": ["1", 0], "": 1, "images": 1}, {"method.bogus", "nothing", "", "images"}),
    ],
)
def test_what_cannot_be_is_left_out(change: dict[str, Any], left: set[str]) -> None:
    prompt = {"5:3": {"class_type": "Ours", "inputs": GOOD | change}}
    clean(prompt, KNOWN)
    assert prompt["5:3"]["inputs"] == {name: value for name, value in (GOOD | change).items() if name not in left}


@pytest.mark.parametrize(
    "prompt",
    [
        {"1": {"class_type": "Theirs", "inputs": {"image": "a.png", "odd": ["1", 0]}}},
        None,
        [],
        "x",
        {"1": None},
        {"1": {}},
        {"1": {"class_type": ["Ours"], "inputs": {}}},
        {"1": {"class_type": "Ours", "inputs": "x"}},
        {"1": {"class_type": "Ours"}},
    ],
)
def test_other_packs_and_other_shapes_are_left_alone(prompt: Any) -> None:
    before = copy.deepcopy(prompt)
    clean(prompt, KNOWN)
    assert prompt == before
