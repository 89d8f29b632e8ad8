"""Cleans queued prompts before ComfyUI reads them: inputs that a node of this pack cannot take are removed.

ComfyUI only checks the values of widgets. Without this, a text at an input that accepts only links would reach the node
as if it were a picture or a model, and a link to an input that the node does not have would reach it too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from comfy_api.latest import io

logger = logging.getLogger("image-mixer")

Takes = Mapping[str, bool]
"""The inputs of a node by name, each with whether it takes values as well as links."""


def register(server: Any, nodes: Iterable[type[io.ComfyNode]]) -> None:
    """Let ComfyUI's `server` pass each queued prompt to `clean`, for the classes in `nodes`."""
    known = {schema.node_id: takes(schema.inputs) for schema in (node.GET_SCHEMA() for node in nodes)}

    def on_prompt(request: Any) -> Any:
        if isinstance(request, dict):
            clean(request.get("prompt"), known)
        return request

    server.add_on_prompt_handler(on_prompt)


def takes(inputs: Iterable[io.Input], prefix: str = "") -> dict[str, bool]:
    """Return what a node with `inputs` takes; names begin with `prefix`."""
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
    """Remove from a prompt of any shape what nodes of the classes in `known` cannot take."""
    for number, node in prompt.items() if isinstance(prompt, dict) else ():
        kind = node.get("class_type") if isinstance(node, dict) else None
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(kind, str) or kind not in known or not isinstance(inputs, dict):
            continue
        for name in list(inputs):
            values = known[kind].get(name)
            if values is None or not (values or isinstance(inputs[name], list)):
                del inputs[name]
                why = "the node has no such input" if values is None else "it accepts only a link"
                logger.warning("Node %.40s (%s): the input %.40r was left out: %s.", number, kind, name, why)
