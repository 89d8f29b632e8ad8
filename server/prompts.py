"""Queued prompts, before ComfyUI looks at them: what a node of this pack cannot take is left out.

ComfyUI checks the values of widgets alone. A text where only a link can be would reach the node as if it were a picture
or a model, and a link to an input that the node does not have would reach it too. Left out, the one is what it looks
like on the canvas, an input with nothing connected, and the other what ComfyUI makes of a value of unknown name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from comfy_api.latest import io

logger = logging.getLogger("image-mixer")

Takes = Mapping[str, bool]
"""The inputs of a node by name, and whether they take values too."""


def register(server: Any, nodes: Iterable[type[io.ComfyNode]]) -> None:
    """Has ComfyUI's `server` show each queued prompt to `clean` for `nodes`."""
    known = {schema.node_id: takes(schema.inputs) for schema in (node.GET_SCHEMA() for node in nodes)}

    def on_prompt(request: Any) -> Any:
        if isinstance(request, dict):
            clean(request.get("prompt"), known)
        return request

    server.add_on_prompt_handler(on_prompt)


def takes(inputs: Iterable[io.Input], prefix: str = "") -> dict[str, bool]:
    """What a node with `inputs` takes."""
    found: dict[str, bool] = {}
    for one in inputs:
        name = prefix + one.id
        if isinstance(one, io.Autogrow.Input):
            found |= dict.fromkeys((f"{name}.{inner}" for inner in one.template.names), False)
        else:
            found[name] = isinstance(one, (io.WidgetInput, io.DynamicCombo.Input))
        if isinstance(one, io.DynamicCombo.Input):
            for option in one.options:
                found |= takes(option.inputs, f"{name}.")
    return found


def clean(prompt: Any, known: Mapping[str, Takes]) -> None:
    """Leaves out, in a prompt of any shape, what nodes of the classes in `known` cannot take."""
    for number, node in prompt.items() if isinstance(prompt, dict) else ():
        kind = node.get("class_type") if isinstance(node, dict) else None
        inputs = node.get("inputs") if isinstance(kind, str) and kind in known else None
        for name in list(inputs) if isinstance(inputs, dict) else ():
            values = known[str(kind)].get(name)
            if values is None or not (values or isinstance(inputs[name], list)):
                del inputs[name]
                why = "is no input of it" if values is None else "takes a link alone"
                logger.warning("Node %.40s (%s): %.40r %s, and was left out.", number, kind, name, why)
