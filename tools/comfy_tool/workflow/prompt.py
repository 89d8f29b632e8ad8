"""Prompts, as a server queues them (API format): node id to class, inputs and title."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Prompt = Mapping[str, Mapping[str, Any]]
MutablePrompt = dict[str, dict[str, Any]]


def title_of(node: Mapping[str, Any]) -> str:
    """Return a node's title, or its class if it does not have a title."""
    return str((node.get("_meta") or {}).get("title") or node["class_type"])


def describe(node_id: str, node: Mapping[str, Any]) -> str:
    """Return how messages name a node: `node 5 (Image Mix)`."""
    return f"node {node_id} ({title_of(node)})"


def link_of(value: Any) -> tuple[str, int] | None:
    """Return an input's link as (node id, output), None for a plain value."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):
        return value[0], value[1]
    return None


def links_of(node: Mapping[str, Any]) -> list[str]:
    """Return the ids of the nodes that a node's inputs are linked to."""
    return [link[0] for link in map(link_of, node["inputs"].values()) if link]
