"""Follow a saved link back to the node that is sent: through reroutes, bypassed nodes and subgraphs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from .graph import SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Node, Slot
from .levels import REROUTE, VIRTUAL, Level
from .objectinfo import AUTOGROW, MATCH_TYPE, ObjectInfo, inputs_of, outputs_of, types_fit


@dataclass(frozen=True)
class Origin:
    """An output of a node that is sent."""

    node: str
    slot: int


@dataclass(frozen=True)
class Constant:
    """The value of a widget shown on a subgraph's node, which the link leads to."""

    value: Any


def resolve(level: Level, node: Node, slot: Slot, info: ObjectInfo) -> Origin | Constant | None:
    """Return what arrives at a node's input, None if nothing does. Raises UsageError for a circle."""
    return _Path(info).into(level, node, slot)


@dataclass
class _Path:
    """The way back from one input. `seen` are the inputs and outputs passed so far."""

    info: ObjectInfo
    seen: set[tuple[str, str, str]] = field(default_factory=set)

    def into(self, level: Level, node: Node, slot: Slot, kind: str | None = None) -> Origin | Constant | None:
        """Return what arrives at an input. `kind` is the type wanted, by default the input's own."""
        self._mark(level, node, "in " + slot.name)
        link = level.graph.links.get(slot.link) if slot.link is not None else None
        if link is None:
            return None
        if link.origin == SUBGRAPH_INPUT and level.above is not None:
            return self._into_host(level, link.origin_slot, kind)
        origin = level.graph.nodes.get(link.origin)
        return None if origin is None else self._out_of(level, origin, link.origin_slot, kind or slot.type)

    def _into_host(self, level: Level, index: int, kind: str | None) -> Origin | Constant | None:
        """Return the value of a subgraph's input: what is linked to its node, or else the widget shown there."""
        if level.host is None or level.above is None or index >= len(level.graph.inputs):
            return None
        name = level.graph.inputs[index].name
        outer = next((one for one in level.host.inputs if one.name == name), None)
        if outer is not None and outer.link is not None:
            return self.into(level.above, level.host, outer, kind)
        return Constant(level.shown[index]) if index in level.shown else None

    def _out_of(self, level: Level, node: Node, index: int, kind: str) -> Origin | Constant | None:
        """Return what an output of a node passes on."""
        self._mark(level, node, f"out {index}")
        if node.muted:
            return None
        if node.bypassed:
            passed = self._bypass(level, node, index, kind)
            return None if passed is None else self.into(level, node, passed)
        inner = level.below.get(node.id)
        if inner is not None:
            return self._out_of_subgraph(inner, index, kind)
        if node.type == REROUTE:
            return self.into(level, node, node.inputs[0], kind) if node.inputs else None
        return None if node.type in VIRTUAL else Origin(level.id_of(node), index)

    def _out_of_subgraph(self, level: Level, index: int, kind: str) -> Origin | Constant | None:
        links = [one for one in level.graph.links.values() if (one.target, one.target_slot) == (SUBGRAPH_OUTPUT, index)]
        if not links:
            return None
        if links[0].origin == SUBGRAPH_INPUT:
            return self._into_host(level, links[0].origin_slot, kind)
        origin = level.graph.nodes.get(links[0].origin)
        return None if origin is None else self._out_of(level, origin, links[0].origin_slot, kind)

    def _bypass(self, level: Level, node: Node, index: int, kind: str) -> Slot | None:
        """Return the input that a bypassed node passes on at an output: the one with the same index if it fits, or the
        first of exactly that type, or the first that fits."""
        slots, outputs = self._slots(level, node)
        output = outputs[index] if index < len(outputs) else "*"
        if kind in ("*", ""):
            return (slots[index] if index < len(slots) else slots[0]) if slots else None
        if index < len(slots) and types_fit(slots[index].type, output) and types_fit(slots[index].type, kind):
            return slots[index]
        exact = [slot for slot in slots if slot.type == kind]
        fitting = [slot for slot in slots if types_fit(slot.type, output) and types_fit(slot.type, kind)]
        return next(iter([*exact, *fitting]), None)

    def _slots(self, level: Level, node: Node) -> tuple[list[Slot], list[str]]:
        """Return a node's inputs in the order of its class (sockets, then widgets, then any others), and the types of
        its outputs. Inputs that have only a widget may be missing from what is saved."""
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

    def _mark(self, level: Level, node: Node, port: str) -> None:
        key = (level.id_of(node), node.type, port)
        if key in self.seen:
            raise UsageError(f"node {level.id_of(node)} ({node.title or node.type}) is linked in a circle")
        self.seen.add(key)
