"""Saved workflows for the tests of their conversion, and the node classes of a server."""

from __future__ import annotations

import random
from typing import Any

from image_mixer.tools.comfy_tool.workflow.convert import convert

INFO: dict[str, Any] = {
    "Load": {
        "input": {"required": {"image": [["a.png", "b.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
        "display_name": "Load Image",
    },
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL", {}],
                "seed": ["INT", {"default": 0, "control_after_generate": True}],
                "steps": ["INT", {"default": 20}],
                "name": [["euler", "ddim"], {}],
            },
            "optional": {"note": ["STRING", {"default": "none"}], "flag": ["BOOLEAN", {}]},
        },
        "input_order": {"required": ["model", "seed", "steps", "name"], "optional": ["note", "flag"]},
        "output": ["LATENT"],
    },
    "Model": {
        "input": {
            "required": {
                "file": ["COMBO", {"options": ["x", "y"], "control_after_generate": True}],
                "scale": ["FLOAT", {"default": 1.5}],
            }
        },
        "output": ["MODEL"],
    },
    "Scale": {
        "input": {"required": {"image": ["IMAGE"], "factor": ["FLOAT", {"default": 1.0}], "mask": ["MASK"]}},
        "output": ["IMAGE"],
    },
    "Save": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}},
        "output": [],
        "output_node": True,
    },
    "Text": {"input": {"required": {"text": ["STRING", {"dynamicPrompts": True}]}}, "output": ["STRING"]},
    "Forced": {
        "input": {"required": {"socket": ["INT", {"forceInput": True}], "kept": ["INT", {}]}},
        "output": ["INT"],
    },
    "Mix": {
        "input": {
            "required": {
                "images": [
                    "COMFY_AUTOGROW_V3",
                    {
                        "template": {
                            "input": {"required": {"image": ["IMAGE", {}]}},
                            "prefix": "image",
                            "min": 1,
                            "max": 5,
                        }
                    },
                ]
            },
            "optional": {"pad": ["STRING", {"default": "1"}], "weights": ["MIX_WEIGHTS", {}]},
        },
        "output": ["IMAGE_MIX"],
    },
    "Local": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "method": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "auto", "inputs": {"required": {}}},
                            {
                                "key": "mixer",
                                "inputs": {
                                    "required": {
                                        "power": ["FLOAT", {"default": 2.0}],
                                        "seed": ["INT", {}],
                                        "extra": ["IMAGE"],
                                    },
                                    "optional": {"deep": ["STRING", {"default": "d"}]},
                                },
                            },
                        ]
                    },
                ],
                "strength": ["FLOAT", {"default": 1.0}],
            }
        },
        "output": ["IMAGE"],
    },
    "Box": {"input": {"required": {"box": ["BOUNDING_BOX", {}], "after": ["INT", {}]}}, "output": ["INT"]},
    "Own": {
        "input": {"required": {"pad": ["MY_PAD", {"default": "1, 1"}], "link": ["MY_LINK"]}},
        "output": ["MY_LINK"],
    },
}


def node(identity: Any, kind: str, values: Any = (), inputs: Any = (), mode: int = 0, **more: Any) -> dict[str, Any]:
    """Return a saved node. Inputs are (name, type, link) or (name, type, link, widget)."""
    slots = []
    for name, slot_type, link, *widget in inputs:
        slots.append(
            {"name": name, "type": slot_type, "link": link, **({"widget": {"name": widget[0]}} if widget else {})}
        )
    values = list(values) if isinstance(values, tuple) else values
    return {
        "id": identity,
        "type": kind,
        "mode": mode,
        "inputs": slots,
        "outputs": [],
        "widgets_values": values,
        **more,
    }


def flow(nodes: list[dict[str, Any]], links: list[Any] = [], **more: Any) -> dict[str, Any]:  # noqa: B006
    return {"nodes": nodes, "links": links, "version": 0.4, **more}


def inputs_of(prompt: dict[str, Any], identity: str) -> dict[str, Any]:
    return dict(prompt[identity]["inputs"])


def sent(workflow: dict[str, Any]) -> dict[str, Any]:
    return dict(convert(workflow, INFO, random.Random(0)))


CHAIN = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]


def chain(middle: dict[str, Any]) -> dict[str, Any]:
    return flow([node(1, "Load", ["a.png"]), middle, node(3, "Save", ["x"], [("images", "IMAGE", 2)])], CHAIN)
