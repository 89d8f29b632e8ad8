"""The input `method`: each method of the local engine with its own inputs under its own entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..local.methods import METHODS, ip_adapter, redux, reference, unclip
from ..mixing.seeds import MAX_SEED


def megapixels_input(name: str, optional: bool = False) -> io.Float.Input:
    """The size at which the VAE sees pictures, for methods that take the pictures themselves."""
    return io.Float.Input(
        name,
        optional=optional,
        default=1.0,
        min=reference.LEAST_MEGAPIXELS,
        max=reference.MOST_MEGAPIXELS,
        step=0.05,
        round=0.001,
        tooltip="Size of a reference picture in megapixels of 1024 x 1024; its shape is kept. 1 is what the models were "
        "trained with, less is faster.",
    )


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
    "reference": [
        io.Combo.Input(
            "placement",
            options=list(reference.PLACEMENTS),
            default=reference.AS_THE_MODEL,
            tooltip="Where references lie among the positions of the picture, as in Edit Model Reference Method. as the model "
            "leaves it to the model, or to the conditioning connected.",
        ),
    ],
}
"""The inputs of a method's own, by its name; a method that is not here has none. Names and order are permanent."""

_ENGINE_INPUTS: dict[str, list[io.Input]] = {
    "reference": [
        megapixels_input("megapixels"),
        io.Boolean.Input(
            "pictures_in_prompt",
            default=True,
            tooltip="Shows the pictures to a text tower that can see (Qwen-Image-Edit's) as Picture 1, 2 and so on, each whole "
            "whatever its weight; other towers get the text alone. Off: the text alone.",
        ),
    ],
}
"""As `_INPUTS`, for Image Mixer (Local) alone, which encodes pictures and prompts itself."""


def method_input(engine: bool = False) -> io.DynamicCombo.Input:
    """The input itself, `auto` first, which has no inputs of its own: a method is then at its defaults.

    `engine`: with what only a node that encodes pictures and prompts itself can use.
    """
    names = ("auto", *(method.name for method in METHODS))
    inputs = {name: _INPUTS.get(name, []) + (_ENGINE_INPUTS.get(name, []) if engine else []) for name in names}
    return io.DynamicCombo.Input(
        "method",
        options=[io.DynamicCombo.Option(name, inputs[name]) for name in names],
        tooltip="How the mix conditions the model. auto goes by the model and the adapter.",
    )


def settings_of(method: Mapping[str, Any]) -> dict[str, Any]:
    """The method's own inputs by name, of the value that ComfyUI gives for the input."""
    return {name: value for name, value in method.items() if name != "method"}
