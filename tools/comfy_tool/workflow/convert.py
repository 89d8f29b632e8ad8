"""From a workflow as the front end saves it to the prompt that a server queues (API format).

It follows the front end's own conversion: muted nodes give nothing, bypassed ones pass on the input that fits, nodes
that only the front end knows are resolved away, and subgraphs are unfolded, with ids such as 5:3.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from .graph import DAMAGES, SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Graph, Node, Slot, Workflow, damaged, read_workflow
from .objectinfo import AUTOGROW, MATCH_TYPE, ObjectInfo, inputs_of, outputs_of, types_fit
from .widgets import as_sent, read_values, wrapped

Prompt = dict[str, dict[str, Any]]

REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
VIRTUAL = {REROUTE, PRIMITIVE, "Note", "MarkdownNote"}


@dataclass(frozen=True)
class Origin:
    """Where a link really comes from: an output of a node that is sent."""

    node: str
    slot: int


@dataclass(frozen=True)
class Constant:
    """A link that turned out to be the value of a widget shown on a subgraph."""

    value: Any


@dataclass
class Level:
    """One graph in its place: the workflow's own, or a subgraph as used by one node of the level above."""

    graph: Graph
    path: tuple[str, ...] = ()
    above: Level | None = None
    host: Node | None = None
    shown: dict[int, Any] = field(default_factory=dict)
    """The values of the host's widgets, by the index of the subgraph's input."""
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values of inner widgets that the host overrides, by node and widget."""
    below: dict[str, Level] = field(default_factory=dict)

    def id_of(self, node: Node) -> str:
        """The id under which a node is sent."""
        return ":".join([*self.path, node.id])


def convert(data: Mapping[str, Any], info: ObjectInfo, chance: random.Random | None = None) -> Prompt:
    """The prompt of a saved workflow. `info` is the server's /object_info; `chance` makes the random choices in texts.

    Raises UsageError for a damaged workflow, and for nodes that the server does not have.
    """
    workflow = read_workflow(data)
    try:
        return _Conversion(workflow, info, chance or random.Random()).prompt()
    except DAMAGES as error:
        raise damaged(error) from error


class _Conversion:
    def __init__(self, workflow: Workflow, info: ObjectInfo, chance: random.Random) -> None:
        self.subgraphs = workflow.subgraphs
        self.info = info
        self.chance = chance
        self.top = self._unfold(Level(workflow.root), ())

    def prompt(self) -> Prompt:
        prompt: Prompt = {}
        self._send(self.top, prompt)
        for node in prompt.values():
            for name, value in list(node["inputs"].items()):
                if isinstance(value, list) and value[0] not in prompt:
                    del node["inputs"][name]
        return prompt

    def _unfold(self, level: Level, inside: tuple[str, ...]) -> Level:
        for node in level.graph.nodes.values():
            graph = self.subgraphs.get(node.type)
            if graph is None:
                continue
            if node.type in inside:
                raise UsageError(f"node {level.id_of(node)}: the subgraph {graph.name!r} contains itself")
            inner = Level(graph, (*level.path, node.id), level, node)
            level.below[node.id] = self._unfold(inner, (*inside, node.type))
            self._show(inner)
        return level

    # Widgets shown on a subgraph's node

    def _show(self, level: Level) -> None:
        """Find the values of the widgets that a subgraph's node shows: its own list, in the order of the inputs that
        feed a widget, and older still, a list of the inner widgets shown."""
        assert level.host is not None
        saved = level.host.values if isinstance(level.host.values, list) else []
        sources: dict[int, tuple[str, str]] = {}
        for index in range(len(level.graph.inputs)):
            source = self._source(level, index)
            if source is None:
                continue
            sources[index] = source[:2]
            at = len(level.shown)
            level.shown[index] = saved[at] if at < len(saved) and saved[at] is not None else source[2]
        entries = level.host.properties.get("proxyWidgets")
        for at, entry in enumerate(entries if isinstance(entries, list) else []):
            value = saved[at] if at < len(saved) else None
            if value is not None and isinstance(entry, list) and len(entry) >= 2:
                self._apply_entry(level, sources, str(entry[0]), str(entry[1]), value)

    def _apply_entry(
        self, level: Level, sources: Mapping[int, tuple[str, str]], inner: str, name: str, value: Any
    ) -> None:
        for index, source in sources.items():
            if source == (inner, name) or (inner == "-1" and level.graph.inputs[index].name == name):
                level.shown[index] = value
                return
        nested = level.below.get(inner)
        if nested is None:
            level.changed.setdefault(inner, {})[name] = value
            return
        for index, slot in enumerate(nested.graph.inputs):
            if slot.name == name and index in nested.shown:
                nested.shown[index] = value

    def _source(self, level: Level, index: int) -> tuple[str, str, Any] | None:
        """The inner node and widget that a subgraph's input feeds first, and that widget's own value."""
        slot = level.graph.inputs[index]
        for link_id in slot.links:
            link = level.graph.links.get(link_id)
            node = level.graph.nodes.get(link.target) if link else None
            target = next((one for one in node.inputs if one.link == link_id), None) if node else None
            if node is None or target is None:
                continue
            nested = level.below.get(node.id)
            if nested is not None:
                at = _input_index(nested.graph, target.name)
                if at is not None and at in nested.shown:
                    return node.id, target.name, self._innermost(nested, at)
                continue
            values = self._saved_values(level, node)
            name = target.widget or target.name
            if name in values:
                return node.id, name, values[name]
        return None

    def _innermost(self, level: Level, index: int) -> Any:
        source = self._source(level, index)
        return None if source is None else source[2]

    def _saved_values(self, level: Level, node: Node) -> dict[str, Any]:
        if node.type == PRIMITIVE:
            return {"value": node.values[0]} if isinstance(node.values, list) and node.values else {}
        info = self.info.get(node.type)
        values = read_values(node, info) if info else {}
        return {**values, **level.changed.get(node.id, {})}

    # Nodes that are sent

    def _send(self, level: Level, prompt: Prompt) -> None:
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
        values = {**self._saved_values(level, node), **given}
        specs = {one.name: one for one in inputs_of(info)}
        inputs: dict[str, Any] = {}
        for name, value in values.items():
            spec = specs.get(name)
            inputs[name] = as_sent(value, spec, node.type, self._lookup, self.chance) if spec else wrapped(value)
        for slot in node.inputs:
            found = self._resolve_input(level, node, slot, set())
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
        """The values that PrimitiveNodes put into the widgets they are linked to, by node and widget."""
        given: dict[str, dict[str, Any]] = {}
        for node in level.graph.nodes.values():
            values = self._saved_values(level, node) if node.type == PRIMITIVE else {}
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
        """The value that %node.widget% stands for in a file name; the node by its replacement name or its title."""
        nodes = list(_all_nodes(self.top))
        named = [pair for pair in nodes if pair[1].properties.get("Node name for S&R") == node_name]
        named = named or [pair for pair in nodes if pair[1].title == node_name]
        return self._saved_values(*named[0]).get(widget) if named else None

    # Where links come from

    def _resolve_input(
        self, level: Level, node: Node, slot: Slot, seen: set[tuple[str, str, str]], kind: str | None = None
    ) -> Origin | Constant | None:
        self._mark(level, node, "in " + slot.name, seen)
        link = level.graph.links.get(slot.link) if slot.link is not None else None
        if link is None:
            return None
        if link.origin == SUBGRAPH_INPUT and level.host is not None and level.above is not None:
            return self._resolve_host(level, link.origin_slot, seen, kind)
        origin = level.graph.nodes.get(link.origin)
        if origin is None:
            return None
        return self._resolve_output(level, origin, link.origin_slot, kind or slot.type, seen)

    def _resolve_host(
        self, level: Level, index: int, seen: set[tuple[str, str, str]], kind: str | None
    ) -> Origin | Constant | None:
        """The value of a subgraph's input: what is linked to the host from outside, or else the widget shown there."""
        assert level.host is not None and level.above is not None
        if index >= len(level.graph.inputs):
            return None
        name = level.graph.inputs[index].name
        outer = next((one for one in level.host.inputs if one.name == name), None)
        if outer is not None and outer.link is not None:
            return self._resolve_input(level.above, level.host, outer, seen, kind)
        return Constant(level.shown[index]) if index in level.shown else None

    def _resolve_output(
        self, level: Level, node: Node, index: int, kind: str, seen: set[tuple[str, str, str]]
    ) -> Origin | Constant | None:
        self._mark(level, node, f"out {index}", seen)
        if node.muted:
            return None
        if node.bypassed:
            passed = self._bypass(level, node, index, kind)
            return None if passed is None else self._resolve_input(level, node, passed, seen)
        inner = level.below.get(node.id)
        if inner is not None:
            return self._resolve_inner(inner, index, kind, seen)
        if node.type == REROUTE:
            return self._resolve_input(level, node, node.inputs[0], seen, kind) if node.inputs else None
        return None if node.type in VIRTUAL else Origin(level.id_of(node), index)

    def _resolve_inner(
        self, level: Level, index: int, kind: str, seen: set[tuple[str, str, str]]
    ) -> Origin | Constant | None:
        """What comes out of a subgraph's output."""
        links = [one for one in level.graph.links.values() if (one.target, one.target_slot) == (SUBGRAPH_OUTPUT, index)]
        if not links:
            return None
        if links[0].origin == SUBGRAPH_INPUT:
            return self._resolve_host(level, links[0].origin_slot, seen, kind)
        origin = level.graph.nodes.get(links[0].origin)
        return None if origin is None else self._resolve_output(level, origin, links[0].origin_slot, kind, seen)

    def _bypass(self, level: Level, node: Node, index: int, kind: str) -> Slot | None:
        """The input that a bypassed node hands on at an output: the one in the same place if it fits, or the first of
        the very type, or the first that fits."""
        slots, outputs = self._live_slots(level, node)
        output = outputs[index] if index < len(outputs) else "*"
        if kind in ("*", ""):
            return (slots[index] if index < len(slots) else slots[0]) if slots else None
        if index < len(slots) and types_fit(slots[index].type, output) and types_fit(slots[index].type, kind):
            return slots[index]
        exact = [slot for slot in slots if slot.type == kind]
        fitting = [slot for slot in slots if types_fit(slot.type, output) and types_fit(slot.type, kind)]
        return next(iter([*exact, *fitting]), None)

    def _live_slots(self, level: Level, node: Node) -> tuple[list[Slot], list[str]]:
        """A node's inputs in the order of its class (sockets, then widgets, then any others), and its outputs' types.
        What is saved may lack the inputs that have only a widget."""
        saved = {slot.name: slot for slot in node.inputs}
        inner, info = level.below.get(node.id), self.info.get(node.type)
        if inner is not None:
            slots = [saved.get(slot.name, Slot(slot.name, slot.type)) for slot in inner.graph.inputs]
            return slots, [slot.type for slot in inner.graph.outputs]
        if info is None:
            return list(node.inputs), [slot.type for slot in node.outputs]
        specs = [one for one in inputs_of(info) if one.type != AUTOGROW]
        ordered = [one for one in specs if not one.is_widget] + [one for one in specs if one.is_widget]
        slots = []
        for one in ordered:
            slot = saved.pop(one.name, None)
            kind = slot.type if slot and one.type == MATCH_TYPE else one.type
            slots.append(Slot(one.name, kind, slot.link if slot else None))
        return slots + list(saved.values()), outputs_of(info)

    def _mark(self, level: Level, node: Node, place: str, seen: set[tuple[str, str, str]]) -> None:
        key = (level.id_of(node), node.type, place)
        if key in seen:
            raise UsageError(f"node {level.id_of(node)} ({node.title or node.type}) is linked in a circle")
        seen.add(key)


def _input_index(graph: Graph, name: str) -> int | None:
    return next((index for index, slot in enumerate(graph.inputs) if slot.name == name), None)


def _all_nodes(level: Level) -> list[tuple[Level, Node]]:
    found = [(level, node) for node in level.graph.nodes.values()]
    for inner in level.below.values():
        found += _all_nodes(inner)
    return found
