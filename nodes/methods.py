"""The input `method`: each method of the local engine with its own inputs under its own entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..local.methods import METHODS, ip_adapter

_INPUTS: dict[str, list[io.Input]] = {
    "ip-adapter": [
        io.Combo.Input(
            "combine",
            options=list(ip_adapter.COMBINE),
            default="shared",
            tooltip="How several images act together. shared: they divide one attention, by the ratio of their weights alone; "
            "equal weights are the usual joining of images. sum: each has an attention of its own, times its weight, so that "
            "two images of weight 1 act twice as much; negative weights subtract.",
        ),
        io.Combo.Input(
            "layers",
            options=list(ip_adapter.PROFILES),
            default="all",
            tooltip="In which layers of the model the images act. all switches the choice off; style and composition are the "
            "few known for them, strong style all but those of composition; ease in weakens towards the last layer, ease out "
            "towards the first, ease in-out towards both.",
        ),
    ],
}
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
