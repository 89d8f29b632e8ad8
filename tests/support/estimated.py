"""Prompts whose images and paid jobs are counted, and the definitions of their nodes as /object_info gives them."""

from __future__ import annotations

from typing import Any

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
