"""The definitions of this server's node classes, as far as server.estimate needs them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from .estimate import Define, Definition

logger = logging.getLogger("image-mixer")


def definitions(classes: Mapping[str, Any]) -> Define:
    """Return what looks up a class in `classes`, ComfyUI's NODE_CLASS_MAPPINGS; each class is read once."""
    known: dict[str, Definition] = {}

    def define(name: str) -> Definition:
        if name not in known:
            known[name] = definition_of(classes[name]) if name in classes else Definition()
        return known[name]

    return define


def definition_of(node_class: Any) -> Definition:
    """Read a node class's attributes, its inputs only when a default is asked for: loaders list folders for them."""
    return Definition(
        output_node=bool(getattr(node_class, "OUTPUT_NODE", False)),
        takes_lists=bool(getattr(node_class, "INPUT_IS_LIST", False)),
        outputs=tuple(map(str, getattr(node_class, "RETURN_TYPES", ()))),
        list_outputs=tuple(map(bool, getattr(node_class, "OUTPUT_IS_LIST", None) or ())),
        default=_defaults(node_class),
    )


def _defaults(node_class: Any) -> Callable[[str], Any]:
    @functools.cache
    def specs() -> dict[str, Any]:
        try:
            sections = node_class.INPUT_TYPES()
            return {**sections.get("optional", {}), **sections.get("required", {})}
        except Exception as error:  # other packs' code
            logger.warning("The inputs of %s cannot be read: %s", getattr(node_class, "__name__", node_class), error)
            return {}

    def default(name: str) -> Any:
        spec = specs().get(name, ())
        return spec[1].get("default") if len(spec) > 1 and isinstance(spec[1], dict) else None

    return default
