"""Unfold a workflow's subgraphs, and find the values of all widgets, those that a subgraph's node shows included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from .graph import Graph, Node, Workflow
from .objectinfo import ObjectInfo
from .widgets import read_values

REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
VIRTUAL = {REROUTE, PRIMITIVE, "Note", "MarkdownNote"}
"""Node types that only the front end knows."""


@dataclass
class Level:
    """One graph as it is used: the workflow's own, or a subgraph as used by the node `host` of the level above."""

    graph: Graph
    path: tuple[str, ...] = ()
    above: Level | None = None
    host: Node | None = None
    shown: dict[int, Any] = field(default_factory=dict)
    """The values of the host's widgets, by the index of the subgraph's input."""
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values of inner widgets that the host overrides, by node id and widget name."""
    below: dict[str, Level] = field(default_factory=dict)
    """The levels of this graph's own subgraphs, by the id of their node."""

    def id_of(self, node: Node) -> str:
        """Return the id under which a node is sent, such as 5:3."""
        return ":".join([*self.path, node.id])

    def nodes(self) -> list[tuple[Level, Node]]:
        """Return all nodes of this level and those below, each with its level."""
        found = [(self, node) for node in self.graph.nodes.values()]
        for inner in self.below.values():
            found += inner.nodes()
        return found


def saved_values(level: Level, node: Node, info: ObjectInfo) -> dict[str, Any]:
    """Return the values of a node's widgets by name, with those that a subgraph's host overrides."""
    if node.type == PRIMITIVE:
        return {"value": node.values[0]} if isinstance(node.values, list) and node.values else {}
    node_class = info.get(node.type)
    values = read_values(node, node_class) if node_class else {}
    return {**values, **level.changed.get(node.id, {})}


def unfold(workflow: Workflow, info: ObjectInfo) -> Level:
    """Return the workflow's own level with all subgraphs below it. Raises UsageError if one contains itself."""
    return _Unfolding(workflow.subgraphs, info).unfold(Level(workflow.root), ())


class _Unfolding:
    def __init__(self, subgraphs: Mapping[str, Graph], info: ObjectInfo) -> None:
        self.subgraphs = subgraphs
        self.info = info

    def unfold(self, level: Level, inside: tuple[str, ...]) -> Level:
        for node in level.graph.nodes.values():
            graph = self.subgraphs.get(node.type)
            if graph is None:
                continue
            if node.type in inside:
                raise UsageError(f"node {level.id_of(node)}: the subgraph {graph.name!r} contains itself")
            inner = Level(graph, (*level.path, node.id), level, node)
            level.below[node.id] = self.unfold(inner, (*inside, node.type))
            self._read_host(inner, node)
        return level

    def _read_host(self, level: Level, host: Node) -> None:
        """Read the values of the widgets that a subgraph's node shows.

        They are saved in the order of the subgraph's inputs that feed a widget. An older form lists the inner widgets
        by node and name.
        """
        saved = host.values if isinstance(host.values, list) else []
        sources: dict[int, tuple[str, str]] = {}
        for index in range(len(level.graph.inputs)):
            source = self._source(level, index)
            if source is None:
                continue
            sources[index] = source[:2]
            at = len(level.shown)
            level.shown[index] = saved[at] if at < len(saved) and saved[at] is not None else source[2]
        entries = host.properties.get("proxyWidgets")
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
        """Return the inner node and widget that a subgraph's input feeds first, and that widget's own value."""
        for link_id in level.graph.inputs[index].links:
            link = level.graph.links.get(link_id)
            node = level.graph.nodes.get(link.target) if link else None
            target = next((one for one in node.inputs if one.link == link_id), None) if node else None
            if node is None or target is None:
                continue
            nested = level.below.get(node.id)
            if nested is not None:
                at = _input_index(nested.graph, target.name)
                if at is not None and at in nested.shown:
                    innermost = self._source(nested, at)
                    return node.id, target.name, innermost[2] if innermost else None
                continue
            values = saved_values(level, node, self.info)
            name = target.widget or target.name
            if name in values:
                return node.id, name, values[name]
        return None


def _input_index(graph: Graph, name: str) -> int | None:
    return next((index for index, slot in enumerate(graph.inputs) if slot.name == name), None)
