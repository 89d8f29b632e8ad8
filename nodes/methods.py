"""The input `method`: each method of the local engine with its own inputs under its own entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..local.methods import METHODS

_INPUTS: dict[str, list[io.Input]] = {}
"""The inputs of a method's own, by its name; a method that is not here has none. Names and order are permanent."""


def method_input() -> io.DynamicCombo.Input:
    """The input itself, `auto` first, which has no inputs of its own: a method is then at its defaults."""
    names = ("auto", *(method.name for method in METHODS))
    return io.DynamicCombo.Input(
        "method",
        options=[io.DynamicCombo.Option(name, _INPUTS.get(name, [])) for name in names],
        tooltip="How the mix conditions the model. auto goes by the model and the adapter.",
    )


def settings_of(method: Mapping[str, Any]) -> dict[str, Any]:
    """The method's own inputs by name, of the value that ComfyUI gives for the input."""
    return {name: value for name, value in method.items() if name != "method"}
