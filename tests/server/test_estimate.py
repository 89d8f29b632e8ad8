"""server.estimate: how many images and paid jobs a prompt makes at most."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from image_mixer.nodes import NODES
from image_mixer.server.definitions import definition_of, definitions
from image_mixer.server.estimate import LARGEST, Definition, NodeEstimate, estimate
from image_mixer.tests.support.estimated import BLEND, INFO, TO_WEIGHTS, recipe

import nodes as core


def described(name: str) -> Definition:
    """The definition of a class by INFO, which is like /object_info."""
    told = INFO.get(name, {})
    specs = {**told.get("input", {}).get("optional", {}), **told.get("input", {}).get("required", {})}
    defaults = {key: spec[1].get("default") for key, spec in specs.items() if len(spec) > 1}
    return Definition(
        told.get("output_node", False),
        told.get("is_input_list", False),
        tuple(told.get("output", ())),
        tuple(told.get("output_is_list", ())),
        defaults.get,
    )


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
    found = estimate(prompt, described)
    assert (found.images, found.paid_jobs) == (images, paid)
    told = json.loads(json.dumps(found.as_json()))
    assert (told["images"], told["paid_jobs"]) == (images, paid)


@pytest.mark.parametrize(("prompt", "images", "paid"), CASES)
def test_the_classes_of_a_server_say_the_same(prompt: dict[str, Any], images: int | None, paid: int | None) -> None:
    lister = type("Lister", (), {"RETURN_TYPES": ("INT",), "OUTPUT_IS_LIST": (True,)})
    classes = core.NODE_CLASS_MAPPINGS | {node.GET_SCHEMA().node_id: node for node in NODES} | {"Lister": lister}
    prompt = copy.deepcopy(prompt)
    for node in prompt.values():
        default = described(node["class_type"]).default
        given = {name: default(name) for name in ("variants", "count", "ingredients", "batch_size") if default(name)}
        node["inputs"] = given | node["inputs"]  # INFO's defaults, which are not the nodes' own
    found = estimate(prompt, definitions(classes))
    assert (found.images, found.paid_jobs) == (images, paid)


@pytest.mark.parametrize(
    ("name", "key", "default"),
    [
        ("ImageMixerBlendWeights", "variants", 9),
        ("ImageMixerRecipe", "samples", 1),
        ("EmptyLatentImage", "batch_size", 1),
    ],
)
def test_defaults_are_those_of_the_nodes(name: str, key: str, default: int) -> None:
    classes = core.NODE_CLASS_MAPPINGS | {node.GET_SCHEMA().node_id: node for node in NODES}
    assert definitions(classes)(name).default(key) == default


def test_each_node_has_its_own_number() -> None:
    found = estimate(recipe("ImageMixerRemote", mix=TO_WEIGHTS, w=BLEND, recipe={"samples": 2}), described)
    assert found.nodes == (NodeEstimate("engine", 10, True),)
    assert found.as_json() == {"images": 10, "paid_jobs": 10, "nodes": [{"node": "engine", "images": 10, "paid": True}]}


@pytest.mark.parametrize(
    "prompt",
    [None, [], "x", 1, {}, {"1": None}, {"1": {}}, {"1": {"class_type": ["SaveImage"], "inputs": {}}}]
    + [{"1": {"class_type": "SaveImage", "inputs": inputs}} for inputs in (None, "x", [], {"images": ["1", 0]})],
)
def test_other_shapes_make_nothing(prompt: Any) -> None:
    assert estimate(prompt, described).as_json() == {"images": 0, "paid_jobs": 0, "nodes": []}


@pytest.mark.parametrize(
    "change",
    [
        {"mix": {"mix": ["mix", 0]}},
        {"mix": {"mix": ["other", 0]}, "other": {"kind": "ImageMixerAddText", "mix": ["mix", 0]}},
        {"recipe": {"samples": ["n", 0]}, "n": {"kind": "PrimitiveInt", "value": ["n", 0]}},
        {"recipe": {"seed": ["n", 0]}, "n": {"kind": "PrimitiveInt", "value": ["engine", 0]}},
        {"mix": {"weights": ["gone", 0]}},
        {"recipe": {"mix": ["gone", 0]}},
        {"recipe": {"samples": True}},
        {"recipe": {"samples": 1.5}},
        {"recipe": {"samples": 10**400}},
        {"recipe": {"samples": LARGEST, "seed": ["s", 0]}, "s": {"kind": "ImageMixerSeedSequence", "count": 2}},
        *(
            {"mix": TO_WEIGHTS, "w": {"kind": "ImageMixerSweepWeights", **{"pattern": "simplex", name: value}}}
            for name, value in (("ingredients", 10**9), ("variants", 10**12), ("variants", -1), ("pattern", "spiral"))
        ),
    ],
)
def test_what_no_server_would_run_is_unknown(change: dict[str, Any]) -> None:
    found = estimate(recipe("ImageMixerRemote", **change), described)
    assert (found.images, found.paid_jobs) == (None, None)


def test_a_chain_and_a_ladder_take_no_longer_than_their_length() -> None:
    prompt = recipe("ImageMixerRemote", recipe={"mix": ["m19999", 0], "seed": ["n19999", 0]})
    for number in range(20_000):
        before = f"{number - 1}" if number else ""
        prompt[f"m{number}"] = {
            "class_type": "ImageMixerAddText",
            "inputs": {"mix": [f"m{before}" if before else "mix", 0]},
        }
        links = {"a": [f"n{before}", 0], "b": [f"n{before}", 0]} if before else {}
        prompt[f"n{number}"] = {"class_type": "Dice", "inputs": links}
    begun = time.process_time()
    assert estimate(prompt, described).paid_jobs == 1
    assert time.process_time() - begun < 5


def test_a_class_of_another_pack_may_be_odd() -> None:
    class Odd:
        RETURN_TYPES = ("LATENT",)
        OUTPUT_IS_LIST = None

        @classmethod
        def INPUT_TYPES(cls) -> Any:  # ComfyUI's name
            raise RuntimeError("no such folder")

    found = definition_of(Odd)
    assert (found.output_node, found.outputs, found.list_outputs, found.default("x")) == (False, ("LATENT",), (), None)
    assert definition_of(object()) is not None and definitions({})("Gone").default("x") is None
