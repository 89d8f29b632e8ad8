"""What `run --dry-run` finds: faults, and how many images and paid jobs a prompt makes at most."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tools.comfy_tool.commands.estimate import estimate, sweep_rows
from image_mixer.tools.comfy_tool.errors import UsageError
from image_mixer.tools.comfy_tool.workflow.validate import check

IMAGE = ["IMAGE", {}]
INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}, "output": ["IMAGE", "MASK"]},
    "SaveImage": {"input": {"required": {"images": IMAGE}}, "output": [], "output_node": True},
    "ImageMixerMix": {
        "output": ["IMAGE_MIX"],
        "input": {
            "required": {
                "images": [
                    "COMFY_AUTOGROW_V3",
                    {"template": {"input": {"required": {"image": IMAGE}}, "prefix": "image", "min": 1, "max": 9}},
                ]
            },
            "optional": {"pad": ["STRING", {}], "weights": ["MIX_WEIGHTS"], "mix": ["IMAGE_MIX"]},
        },
    },
    "ImageMixerAddText": {
        "output": ["IMAGE_MIX"],
        "input": {"required": {"text": ["STRING", {}]}, "optional": {"mix": ["IMAGE_MIX"]}},
    },
    "ImageMixerWeights": {"output": ["MIX_WEIGHTS", "STRING"], "input": {"required": {"text": ["STRING", {}]}}},
    "ImageMixerBlendWeights": {
        "output": ["MIX_WEIGHTS"],
        "input": {"optional": {"variants": ["INT", {"default": 8, "min": 1, "max": 4096}]}},
    },
    "ImageMixerSweepWeights": {
        "output": ["MIX_WEIGHTS"],
        "input": {
            "optional": {
                "ingredients": ["INT", {"default": 2}],
                "pattern": [["ramp", "simplex", "one at a time", "random"], {}],
                "variants": ["INT", {"default": 8}],
            }
        },
    },
    "ImageMixerRecipe": {
        "output": ["MIX_RECIPE"],
        "input": {
            "required": {"mix": ["IMAGE_MIX"], "seed": ["INT", {}], "samples": ["INT", {"default": 1, "min": 1}]}
        },
    },
    "ImageMixerSeedSequence": {
        "output": ["INT"],
        "output_is_list": [True],
        "input": {"optional": {"count": ["INT", {"default": 4}]}},
    },
    "ImageMixerLocal": {
        "output": ["IMAGE", "LATENT", "STRING"],
        "input": {"required": {"recipe": ["MIX_RECIPE"]}, "optional": {"fallback": ["IMAGE", {"lazy": True}]}},
    },
    "ImageMixerRemote": {
        "output": ["IMAGE", "STRING"],
        "input": {"required": {"recipe": ["MIX_RECIPE"]}, "optional": {"fallback": ["IMAGE", {"lazy": True}]}},
    },
    "EmptyLatentImage": {"output": ["LATENT"], "input": {"optional": {"batch_size": ["INT", {"default": 1}]}}},
    "RepeatLatentBatch": {"output": ["LATENT"], "input": {"required": {"samples": ["LATENT"], "amount": ["INT", {}]}}},
    "KSampler": {"output": ["LATENT"], "input": {"required": {"latent_image": ["LATENT"], "seed": ["INT", {}]}}},
    "VAEDecode": {"output": ["IMAGE"], "input": {"required": {"samples": ["LATENT"]}}},
    "PrimitiveInt": {"output": ["INT"], "input": {"required": {"value": ["INT", {}]}}},
    "Dice": {"output": ["INT"], "input": {"required": {}}},
    "Lister": {"output": ["INT"], "output_is_list": [True], "input": {"required": {}}},
    "Any": {"output": ["*"], "input": {"required": {}}},
}


def recipe(engine: str = "ImageMixerLocal", /, **nodes: dict[str, Any]) -> dict[str, Any]:
    """Return a prompt of Load Image, Image Mix, Mix Recipe, an engine and Save Image. `nodes` changes inputs by the node's
    name, or adds a node with `kind`."""
    prompt: dict[str, Any] = {
        "load": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "mix": {"class_type": "ImageMixerMix", "inputs": {"images.image0": ["load", 0]}},
        "recipe": {"class_type": "ImageMixerRecipe", "inputs": {"mix": ["mix", 0], "seed": 1, "samples": 1}},
        "engine": {"class_type": engine, "inputs": {"recipe": ["recipe", 0]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["engine", 0]}},
    }
    for name, inputs in nodes.items():
        inputs = dict(inputs)
        kind = inputs.pop("kind", None)
        prompt.setdefault(name, {"class_type": kind, "inputs": {}})["inputs"].update(inputs)
    return prompt


BLEND = {"kind": "ImageMixerBlendWeights", "variants": 5}
TO_WEIGHTS = {"weights": ["w", 0]}


CASES: list[tuple[dict[str, Any], int | None, int | None]] = [
    (recipe(), 1, 0),
    (recipe("ImageMixerRemote"), 1, 1),
    (recipe(recipe={"samples": 3}), 3, 0),
    (recipe(mix=TO_WEIGHTS, w={"kind": "ImageMixerWeights", "text": "1"}), 1, 0),
    (recipe("ImageMixerRemote", mix=TO_WEIGHTS, w=BLEND, recipe={"samples": 2}), 10, 10),
    (recipe(mix=TO_WEIGHTS, w={"kind": "ImageMixerBlendWeights"}), 8, 0),
    (recipe(mix=TO_WEIGHTS, w={"kind": "ImageMixerSweepWeights", "pattern": "one at a time", "ingredients": 3}), 3, 0),
    (recipe(mix=TO_WEIGHTS, w={"kind": "ImageMixerSweepWeights", "pattern": "ramp", "variants": 6}), 6, 0),
    # Mixes in a row: all weights with several rows have the same number of rows.
    (
        recipe(
            recipe={"mix": ["text", 0]},
            text={"kind": "ImageMixerAddText", "text": "x", "mix": ["mix", 0]},
            mix=TO_WEIGHTS,
            w=BLEND,
        ),
        5,
        0,
    ),
    (
        recipe(
            mix={"mix": ["first", 0]},
            first={"kind": "ImageMixerMix", "images.image0": ["load", 0], **TO_WEIGHTS},
            w=BLEND,
        ),
        5,
        0,
    ),
    # A list of seeds runs the recipe, and all nodes after it, once per seed.
    (
        recipe(
            "ImageMixerRemote",
            recipe={"seed": ["s", 0], "samples": 2},
            s={"kind": "ImageMixerSeedSequence", "count": 3},
        ),
        6,
        6,
    ),
    (recipe(recipe={"seed": ["s", 0]}, s={"kind": "ImageMixerSeedSequence"}), 4, 0),
    # Both engines, one as the other's fallback: at most both.
    (recipe(engine={"fallback": ["other", 0]}, other={"kind": "ImageMixerRemote", "recipe": ["recipe", 0]}), 2, 1),
    # Numbers that the graph computes.
    (recipe(recipe={"samples": ["n", 0]}, n={"kind": "PrimitiveInt", "value": 7}), 7, 0),
    (recipe("ImageMixerRemote", recipe={"samples": ["n", 0]}, n={"kind": "Dice"}), None, None),
    (recipe(mix=TO_WEIGHTS, w={"kind": "Any"}), None, 0),
    (recipe("ImageMixerRemote", recipe={"seed": ["n", 0]}, n={"kind": "Lister"}), None, None),
    (recipe(engine={"recipe": ["n", 0]}, n={"kind": "Any"}), None, 0),
    (recipe(mix=TO_WEIGHTS, w={"kind": "ImageMixerSweepWeights", "pattern": ["n", 0]}, n={"kind": "Any"}), None, 0),
    # Core's samplers.
    (
        recipe(
            save={"images": ["d", 0]},
            d={"kind": "VAEDecode", "samples": ["k", 0]},
            k={"kind": "KSampler", "latent_image": ["e", 0], "seed": 1},
            e={"kind": "EmptyLatentImage", "batch_size": 4},
        ),
        4,
        0,
    ),
    (
        recipe(
            save={"images": ["d", 0]},
            d={"kind": "VAEDecode", "samples": ["k", 0]},
            k={"kind": "KSampler", "latent_image": ["r", 0], "seed": ["s", 0]},
            r={"kind": "RepeatLatentBatch", "samples": ["e", 0], "amount": 3},
            e={"kind": "EmptyLatentImage"},
            s={"kind": "ImageMixerSeedSequence", "count": 2},
        ),
        6,
        0,
    ),
    (
        recipe(
            save={"images": ["d", 0]},
            d={"kind": "VAEDecode", "samples": ["k", 0]},
            k={"kind": "KSampler", "latent_image": ["engine", 1], "seed": 1},
            recipe={"samples": 2},
        ),
        4,
        0,
    ),
    (
        recipe(
            save={"images": ["d", 0]},
            d={"kind": "VAEDecode", "samples": ["k", 0]},
            k={"kind": "KSampler", "latent_image": ["n", 0], "seed": 1},
            n={"kind": "Any"},
        ),
        None,
        0,
    ),
    # A node that no output needs does not run.
    (recipe(spare={"kind": "ImageMixerRemote", "recipe": ["recipe", 0]}), 1, 0),
]


@pytest.mark.parametrize(("prompt", "images", "paid"), CASES)
def test_estimates(prompt: dict[str, Any], images: int | None, paid: int | None) -> None:
    found = estimate(prompt, INFO, check(prompt, INFO))
    assert (found.images, found.paid_jobs) == (images, paid)


def test_the_page_reckons_with_the_same_cases() -> None:
    file = Path(__file__).resolve().parents[1] / "web" / "estimates.json"
    cases = [{"prompt": prompt, "images": images, "paid": paid} for prompt, images, paid in CASES]
    assert json.loads(file.read_text(encoding="utf-8")) == {"info": INFO, "cases": cases}


@pytest.mark.parametrize("ingredients", range(1, 6))
@pytest.mark.parametrize("variants", [1, 2, 3, 6, 7, 20, 100])
def test_sweeps_have_the_rows_that_the_node_makes(ingredients: int, variants: int) -> None:
    from image_mixer.mixing.sweeps import PATTERNS, sweep

    for pattern in PATTERNS:
        assert sweep_rows(pattern, variants, ingredients) == len(sweep(ingredients, pattern, variants))


@pytest.mark.parametrize("ingredients", range(2, 6))
def test_simplex_is_the_finest_lattice(ingredients: int) -> None:
    for variants in range(1, 60):
        rows = sweep_rows("simplex", variants, ingredients)
        sizes = [math.comb(steps + ingredients - 1, ingredients - 1) for steps in range(1, 70)]
        assert rows == max(size for size in sizes if size <= max(variants, ingredients))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"engine": {"recipe": None}}, "node engine (ImageMixerLocal), input recipe: is required but has neither"),
        (
            {"save": {"images": ["recipe", 0]}},
            "input images: accepts IMAGE, but the output of node recipe (ImageMixerRecipe) is MIX_R",
        ),
        ({"save": {"images": ["engine", 9]}}, "is linked to output 9 of node engine (ImageMixerLocal), which has 3"),
        ({"save": {"images": ["gone", 0]}}, "is linked to node gone, which does not exist"),
        ({"save": {"images": "a.png"}}, "accepts only a link of type IMAGE, not 'a.png'"),
        ({"recipe": {"samples": 0}}, "node recipe (ImageMixerRecipe), input samples: 0 must be at least 1"),
        ({"recipe": {"samples": "many"}}, "'many' is not a number"),
        (
            {"mix": TO_WEIGHTS, "w": {"kind": "ImageMixerSweepWeights", "pattern": "spiral"}},
            "'spiral' is not one of its",
        ),
        ({"mix": {"images.image0": None}}, "input images.image0: is required"),
        ({"spare": {"kind": "Missing"}}, "node spare (Missing): the server has no node class Missing"),
        ({"mix": {"mix": ["mix", 0]}}, "linked in a circle"),
    ],
)
def test_faults(change: dict[str, Any], problem: str) -> None:
    prompt = recipe(**change)
    for node in prompt.values():
        node["inputs"] = {name: value for name, value in node["inputs"].items() if value is not None}
    with pytest.raises(UsageError) as caught:
        check(prompt, INFO)
    assert problem in str(caught.value)


def test_nothing_to_run() -> None:
    with pytest.raises(UsageError, match="no output node"):
        check({"1": {"class_type": "Dice", "inputs": {}}}, INFO)
