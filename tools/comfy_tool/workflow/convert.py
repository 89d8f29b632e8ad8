"""Convert a workflow as the front end saves it to the prompt that a server queues (API format).

This follows the front end's own conversion: muted nodes pass nothing on, bypassed ones pass on the input that fits,
nodes that only the front end knows are left out, and subgraphs are unfolded, with ids such as 5:3.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from .graph import DAMAGES, Node, damaged, read_workflow
from .levels import PRIMITIVE, VIRTUAL, Level, saved_values, unfold
from .links import Constant, resolve
from .objectinfo import ObjectInfo, inputs_of
from .prompt import MutablePrompt
from .widgets import as_sent, wrapped


def convert(data: Mapping[str, Any], info: ObjectInfo, chance: random.Random | None = None) -> MutablePrompt:
    """Return the prompt of a saved workflow. `info` is the server's /object_info; `chance` makes the random choices in
    texts.

    Raises UsageError for a damaged workflow, and for node classes that the server does not have.
    """
    workflow = read_workflow(data)
    try:
        return _Conversion(unfold(workflow, info), info, chance or random.Random()).prompt()
    except DAMAGES as error:
        raise damaged(error) from error


class _Conversion:
    def __init__(self, top: Level, info: ObjectInfo, chance: random.Random) -> None:
        self.top = top
        self.info = info
        self.chance = chance

    def prompt(self) -> MutablePrompt:
        prompt: MutablePrompt = {}
        self._send(self.top, prompt)
        for node in prompt.values():
            for name, value in list(node["inputs"].items()):
                if isinstance(value, list) and value[0] not in prompt:
                    del node["inputs"][name]
        return prompt

    def _send(self, level: Level, prompt: MutablePrompt) -> None:
        given = self._primitives(level)
        for node in level.graph.nodes.values():
            if node.muted or node.bypassed or node.type in VIRTUAL:
                continue
            if node.id in level.below:
                self._send(level.below[node.id], prompt)
                continue
            prompt[level.id_of(node)] = self._sent(level, node, given.get(node.id, {}))

    def _sent(self, level: Level, node: Node, given: Mapping[str, Any]) -> dict[str, Any]:
        info = self._info(level, node)
        values = {**saved_values(level, node, self.info), **given}
        specs = {one.name: one for one in inputs_of(info)}
        inputs: dict[str, Any] = {}
        for name, value in values.items():
            spec = specs.get(name)
            inputs[name] = as_sent(value, spec, node.type, self._lookup, self.chance) if spec else wrapped(value)
        for slot in node.inputs:
            found = resolve(level, node, slot, self.info)
            if isinstance(found, Constant):
                inputs[slot.name] = wrapped(found.value)
            elif found is not None:
                inputs[slot.name] = [found.node, found.slot]
        title = node.title or str(info.get("display_name") or node.type)
        return {"inputs": inputs, "class_type": node.type, "_meta": {"title": title}}

    def _info(self, level: Level, node: Node) -> Mapping[str, Any]:
        info = self.info.get(node.type)
        if info is not None:
            return info
        where = f"node {level.id_of(node)}"
        if node.type.startswith(("workflow>", "workflow/")):
            raise UsageError(f"{where} is an old group node: turn it into a subgraph in ComfyUI and save")
        raise UsageError(f"{where}: the server has no node class {node.type}: install the pack it is from")

    def _primitives(self, level: Level) -> dict[str, dict[str, Any]]:
        """Return the values that PrimitiveNodes put into the widgets that they are linked to, by node and widget."""
        given: dict[str, dict[str, Any]] = {}
        for node in level.graph.nodes.values():
            values = saved_values(level, node, self.info) if node.type == PRIMITIVE else {}
            value = level.changed.get(node.id, {}).get("value", values.get("value"))
            if value is None:
                continue
            for link in level.graph.links.values():
                target = level.graph.nodes.get(link.target) if link.origin == node.id else None
                slot = next((one for one in target.inputs if one.link == link.id), None) if target else None
                if target is not None and slot is not None:
                    given.setdefault(target.id, {})[slot.widget or slot.name] = value
        return given

    def _lookup(self, node_name: str, widget: str) -> Any:
        """Return the value for %node.widget% in a file name. The node is found by its replacement name or its title."""
        nodes = self.top.nodes()
        named = [pair for pair in nodes if pair[1].properties.get("Node name for S&R") == node_name]
        named = named or [pair for pair in nodes if pair[1].title == node_name]
        return saved_values(*named[0], self.info).get(widget) if named else None
