"""The input `method`: each method of the local engine with its own inputs under its own entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..local.methods import METHODS, redux, unclip
from ..mixing.seeds import MAX_SEED

_INPUTS: dict[str, list[io.Input]] = {
    "redux": [
        io.Combo.Input(
            "combine",
            options=list(redux.COMBINES),
            default=redux.CONCATENATE,
            tooltip="How the pictures' tokens come together. concatenate keeps all of them: weight 2 is a picture given twice, "
            "and each picture takes time and memory. weighted sum adds them up: one picture's cost for any number of them; "
            "weights that add up to 1 keep the usual strength.",
        ),
        io.Int.Input(
            "grid",
            default=redux.LARGEST_GRID,
            min=1,
            max=redux.LARGEST_GRID,
            tooltip="Tokens a side that are kept of each picture, averaged over equal areas: fewer are faster, and leave "
            "more to the text. 27 keeps all 729.",
        ),
    ],
    "unclip": [
        io.Combo.Input(
            "combine",
            options=list(unclip.COMBINES),
            default=unclip.AVERAGE,
            tooltip="How the vectors become one. The averages keep the length that the model was trained with, whatever the "
            "weights add up to; weighted sum is core's, longer with every picture. Negative weights point away from a picture; "
            "the spherical mean takes none.",
        ),
        io.Float.Input(
            "noise_augmentation",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            round=0.001,
            tooltip="How much noise the vector gets, as a share of the 1000 levels that the model was trained with: more "
            "leaves more to the text and to chance. 0 is the lowest level.",
        ),
        io.Int.Input(
            "noise_seed",
            default=0,
            min=0,
            max=MAX_SEED,
            tooltip="Seed of that noise, the same for all variants and samples, whatever their own seeds.",
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
