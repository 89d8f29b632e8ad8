"""The input `method`: each method of the local engine with its own options under its own entry.

Nothing here names a method: widgets are made of the options that each method declares beside its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..local.methods import METHODS, Option, options_of


def method_input(engine: bool = False) -> io.DynamicCombo.Input:
    """Return the input, with `auto` first, which has no options: the method that it chooses then has its defaults.

    `engine`: for a node that encodes pictures and prompts itself, so that all options apply.
    """
    entries = [io.DynamicCombo.Option("auto", [])]
    for method in METHODS:
        options = options_of(method.settings).items()
        inputs = [option_input(name, option) for name, option in options if engine or not option.engine_only]
        entries.append(io.DynamicCombo.Option(method.name, inputs))
    return io.DynamicCombo.Input(
        "method",
        options=entries,
        tooltip="How the mix conditions the model. auto chooses by the model and the adapter.",
    )


def option_input(name: str, option: Option, optional: bool = False) -> io.Input:
    """Return the widget `name` for an option of a method."""
    shared: dict[str, Any] = {"optional": optional, "default": option.default, "tooltip": option.tooltip}
    if isinstance(option.default, str):
        return io.Combo.Input(name, options=list(option.choices), **shared)
    if isinstance(option.default, bool):
        return io.Boolean.Input(name, **shared)
    if isinstance(option.default, int):
        return io.Int.Input(name, min=option.least, max=option.most, **shared)
    return io.Float.Input(name, min=option.least, max=option.most, step=option.step, round=0.001, **shared)


def settings_of(method: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by name in the value that ComfyUI gives for the input."""
    return {name: value for name, value in method.items() if name != "method"}


def valid(method: object) -> bool | str:
    """Return True, or why the method is not valid: what `validate_inputs` of a node returns.

    ComfyUI leaves out a method that is not in the list, and shows only errors that belong to an input which is there. So
    `validate_inputs` has another input, model, among its parameters.
    """
    return isinstance(method, dict) or "Unknown method: choose one from the list."
