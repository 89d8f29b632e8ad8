"""`--set NODE.INPUT=VALUE`: which input is meant, and which values fit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tools.comfy_tool.errors import UsageError
from image_mixer.tools.comfy_tool.workflow.settings import apply_settings

INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["there.png"], {"image_upload": True}]}}},
    "Text": {"input": {"required": {"text": ["STRING", {}], "pad.x": ["STRING", {}]}}},
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "steps": ["INT", {"min": 1, "max": 50}],
                "cfg": ["FLOAT", {"min": 0}],
                "name": [["euler", "ddim"]],
                "on": ["BOOLEAN"],
                "many": ["COMBO", {"options": ["a", "b"], "multi_select": True}],
                "method": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "auto", "inputs": {}},
                            {"key": "mixer", "inputs": {"required": {"power": ["INT", {}]}}},
                        ]
                    },
                ],
                "curve": ["CURVE", {}],
            }
        }
    },
    "Mix": {
        "input": {
            "required": {
                "images": [
                    "COMFY_AUTOGROW_V3",
                    {"template": {"input": {"required": {"image": ["IMAGE"]}}, "prefix": "image", "min": 1}},
                ]
            }
        }
    },
}
PROMPT: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "Left"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "b.png"}, "_meta": {"title": "Right. one"}},
    "3": {"class_type": "Sampler", "inputs": {"method": "mixer"}, "_meta": {"title": "KSampler"}},
    "5:3": {"class_type": "Text", "inputs": {}},
    "7": {"class_type": "Mix", "inputs": {"images.image0": ["1", 0]}},
}


def changed(setting: str) -> tuple[str, str, Any]:
    """Return the one (node, input, value) that a setting changes."""
    prompt = copy.deepcopy(PROMPT)
    apply_settings(prompt, [setting], INFO, lambda file: f"image-mixer/{file.name}")
    found = [
        (node_id, name, value)
        for node_id, node in prompt.items()
        for name, value in node["inputs"].items()
        if PROMPT[node_id]["inputs"].get(name, ...) != value
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("3.steps=7", ("3", "steps", 7)),
        ("3.steps=7.0", ("3", "steps", 7)),
        ("3.cfg=7", ("3", "cfg", 7)),
        ("3.cfg=1e-3", ("3", "cfg", 0.001)),
        ("3.on=true", ("3", "on", True)),
        ("3.name=ddim", ("3", "name", "ddim")),
        ('3.name="ddim"', ("3", "name", "ddim")),
        ('3.many=["a", "b"]', ("3", "many", {"__value__": ["a", "b"]})),
        ("3.method=auto", ("3", "method", "auto")),
        ("3.method.power=4", ("3", "method.power", 4)),
        ("3.curve=[[0, 1]]", ("3", "curve", {"__type__": "CURVE", "__value__": [[0, 1]]})),
        ("ksampler.steps=7", ("3", "steps", 7)),
        ("Sampler.steps=7", ("3", "steps", 7)),
        ("Left.image=there.png", ("1", "image", "there.png")),
        ("Right. one.image=there.png", ("2", "image", "there.png")),
        ("5:3.text=a=b, c", ("5:3", "text", "a=b, c")),
        ("5:3.text=5", ("5:3", "text", "5")),
        ('5:3.text="quoted"', ("5:3", "text", "quoted")),
        ("5:3.text=", ("5:3", "text", "")),
        ("5:3.pad.x=0.5, 0.7", ("5:3", "pad.x", "0.5, 0.7")),
        ("Text.text={not json", ("5:3", "text", "{not json")),
    ],
)
def test_what_fits(setting: str, expected: tuple[str, str, Any]) -> None:
    assert changed(setting) == expected


def test_a_local_picture_is_uploaded(tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    picture.touch()
    assert changed(f"1.image={picture}") == ("1", "image", "image-mixer/mine.png")


def test_a_link_may_be_replaced_by_a_value() -> None:
    prompt = {"1": {"class_type": "Text", "inputs": {"text": ["9", 0]}}}
    apply_settings(prompt, ["1.text=x"], INFO, str)
    assert prompt["1"]["inputs"]["text"] == "x"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("3.steps", "write NODE.INPUT=VALUE"),
        ("steps=3", "write NODE.INPUT=VALUE"),
        ("9.steps=3", "no node has the id, title or class '9'; there are: node 1 (Left); "),
        ("LoadImage.image=a", "'LoadImage' names 2 nodes; use an id: node 1 (Left); node 2 (Right. one)"),
        ("3.depth=3", "node 3 (KSampler) has no input 'depth'; its inputs are: model, steps, cfg"),
        ("3.model=x", "input model accepts only a link of type MODEL"),
        ("7.images.image0=x", "input images.image0 accepts only a link of type IMAGE"),
        ("3.steps=many", "node 3 (KSampler), input steps: 'many' is not a number"),
        ("3.steps=true", "'true' is not a number"),
        ("3.steps=1.5", "'1.5' is not a whole number"),
        ("3.steps=51", "'51' is not within 1 to 50"),
        ("3.steps=0", "'0' is not within 1 to 50"),
        ("3.cfg=NaN", "'NaN' is not a number"),
        ("3.on=1", "'1' must be true or false"),
        ("3.name=ddin", "'ddin' is not one of its 2 entries, such as ddim"),
        ("3.method=none", "'none' is not one of its 2 entries, such as auto, mixer"),
        ("1.image=gone.png", "'gone.png' is not a file here or in the server's input folder"),
    ],
)
def test_what_does_not_fit_is_one_line(setting: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed(setting)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
