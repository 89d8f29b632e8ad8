"""Read a workflow as any version of the front end saves it, link arrays and link objects alike, into one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError

SUBGRAPH_INPUT = "-10"
SUBGRAPH_OUTPUT = "-20"

MUTED = 2
BYPASSED = 4


@dataclass(frozen=True)
class Link:
    """A connection. Node ids are strings; the two ids above stand for a subgraph's own inputs and outputs."""

    id: str
    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class Slot:
    """An input or output of a node. `link` is the id of an input's link, `widget` the widget that the input feeds."""

    name: str
    type: str
    link: str | None = None
    widget: str | None = None
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """A saved node. `values` is its widgets_values: a list in the order of its widgets, or a dict by name."""

    id: str
    type: str
    title: str
    mode: int
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    values: list[Any] | dict[str, Any]
    properties: Mapping[str, Any]

    @property
    def muted(self) -> bool:
        """Whether it is switched off and passes nothing on."""
        return self.mode == MUTED

    @property
    def bypassed(self) -> bool:
        """Whether it passes its inputs on unchanged."""
        return self.mode == BYPASSED


@dataclass(frozen=True)
class Graph:
    """The nodes and links of the workflow itself or of a subgraph. A subgraph also has inputs and outputs."""

    nodes: Mapping[str, Node]
    links: Mapping[str, Link]
    inputs: tuple[Slot, ...] = ()
    outputs: tuple[Slot, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Workflow:
    """A saved workflow: its top graph, and its subgraphs by id. A node that uses one names that id as its type."""

    root: Graph
    subgraphs: Mapping[str, Graph] = field(default_factory=dict)


def is_ui_format(data: object) -> bool:
    """Return whether decoded JSON is a workflow as the front end saves it."""
    return isinstance(data, dict) and isinstance(data.get("nodes"), list)


def is_api_format(data: object) -> bool:
    """Return whether decoded JSON is a prompt in API format: node id to class_type and inputs."""
    return (
        isinstance(data, dict)
        and bool(data)
        and all(isinstance(node, dict) and isinstance(node.get("class_type"), str) for node in data.values())
    )


def read_workflow(data: Mapping[str, Any]) -> Workflow:
    """Read a saved workflow. Raises UsageError if it is damaged."""
    try:
        subgraphs: dict[str, Graph] = {}
        _collect_subgraphs(data, subgraphs)
        return Workflow(_read_graph(data), subgraphs)
    except DAMAGES as error:
        raise damaged(error) from error


DAMAGES = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
"""Errors that reading a damaged workflow may raise."""

LONGEST_PROBLEM = 200


def damaged(error: Exception) -> UsageError:
    """Return the error for a workflow that could not be read because of `error`."""
    problem = f"{type(error).__name__}: {error}"[:LONGEST_PROBLEM]
    return UsageError(f"the workflow is damaged ({problem}): save it again in ComfyUI")


def _collect_subgraphs(data: Mapping[str, Any], found: dict[str, Graph]) -> None:
    for definition in (data.get("definitions") or {}).get("subgraphs") or []:
        found[str(definition["id"])] = _read_graph(definition)
        _collect_subgraphs(definition, found)


def _read_graph(data: Mapping[str, Any]) -> Graph:
    nodes = {node.id: node for node in map(_read_node, data.get("nodes") or [])}
    links = {link.id: link for link in map(_read_link, _entries(data.get("links"))) if link}
    inputs, outputs = (tuple(_read_slot(slot) for slot in data.get(key) or []) for key in ("inputs", "outputs"))
    return Graph(nodes, links, inputs, outputs, str(data.get("name") or ""))


def _entries(links: Any) -> list[Any]:
    return list(links.values()) if isinstance(links, dict) else list(links or [])


def _read_link(link: Any) -> Link | None:
    if link is None:
        return None
    if isinstance(link, dict):
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        link = [link[key] for key in keys]
    identity, origin, origin_slot, target, target_slot = link[:5]
    return Link(str(identity), str(origin), int(origin_slot), str(target), int(target_slot or 0))


def _read_node(node: Mapping[str, Any]) -> Node:
    values = node.get("widgets_values")
    return Node(
        id=str(node["id"]),
        type=str(node["type"]),
        title=str(node.get("title") or ""),
        mode=int(node.get("mode") or 0),
        inputs=tuple(_read_slot(slot) for slot in node.get("inputs") or []),
        outputs=tuple(_read_slot(slot) for slot in node.get("outputs") or []),
        values=dict(values) if isinstance(values, dict) else list(values or []),
        properties=node.get("properties") or {},
    )


def _read_slot(slot: Mapping[str, Any]) -> Slot:
    kind, link, widget = slot.get("type"), slot.get("link"), slot.get("widget")
    links = slot.get("links") or slot.get("linkIds") or []
    return Slot(
        name=str(slot.get("name") or ""),
        type=_type_name(kind),
        link=None if link is None else str(link),
        widget=str(widget["name"]) if isinstance(widget, dict) and widget.get("name") else None,
        links=tuple(str(link) for link in links),
    )


def _type_name(kind: object) -> str:
    if kind in (0, None, ""):
        return "*"
    return "COMBO" if isinstance(kind, list) else str(kind)
