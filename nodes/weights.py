"""Nodes that make weights."""

from __future__ import annotations

from comfy_api.latest import io

from ..mixing.errors import WeightsError
from ..mixing.seeds import MAX_SEED
from ..mixing.sweeps import EASINGS, MAX_VARIANTS, PATTERNS, Easing, Pattern, blend, sweep
from ..mixing.weights import NORMALISATIONS, Normalisation, checked, formatted, normalised, parse
from .types import MENU, MixWeights

_DRAWER = f"{MENU}/weights"


class ImageMixerWeights(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerWeights",
            display_name="Mix Weights",
            category=_DRAWER,
            description="Makes one row of weights from text, and normalises it if you choose so.",
            search_aliases=["init_image_weights", "ratio", "normalise"],
            inputs=[
                io.String.Input(
                    "text",
                    default="0.5, 0.5",
                    tooltip="One number per image, separated by commas, spaces, semicolons or new lines: 0.5, 0.7. "
                    "0 leaves an image out.",
                ),
                io.Combo.Input(
                    "normalisation",
                    options=list(NORMALISATIONS),
                    default="as given",
                    tooltip="How the numbers are scaled. as given: not at all. sum to 1: they add up to 1. max to 1: the "
                    "largest is 1. unit length: their squares add up to 1. softmax: shares of the exponentials, which add "
                    "up to 1, so even a weight of 0 gets a share.",
                ),
            ],
            outputs=[
                MixWeights.Output("weights", tooltip="One row of weights."),
                io.String.Output("text", tooltip="The same numbers as text."),
            ],
        )

    @classmethod
    def validate_inputs(cls, text: str | None = None) -> bool | str:
        return weights_valid(text)

    @classmethod
    def execute(cls, text: str, normalisation: Normalisation) -> io.NodeOutput:
        matrix = normalised(checked((parse(text),)), normalisation)
        return io.NodeOutput(matrix, formatted(matrix[0]))


class ImageMixerBlendWeights(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerBlendWeights",
            display_name="Blend Weights",
            category=_DRAWER,
            description="Makes rows of weights that change step by step from one row to another, for an animation or a sweep.",
            search_aliases=["interpolate", "transition", "animate weights", "morph"],
            inputs=[
                io.String.Input(
                    "from", default="1, 0", tooltip="The weights of the first variant, one number per image: 1, 0."
                ),
                io.String.Input(
                    "to",
                    default="0, 1",
                    tooltip="The weights of the last variant, as many numbers as in from: 0, 1.",
                ),
                io.Int.Input(
                    "variants",
                    default=9,
                    min=1,
                    max=MAX_VARIANTS,
                    tooltip=f"Number of rows, 1 to {MAX_VARIANTS}, first and last included. 1 makes only the first row.",
                ),
                io.Combo.Input(
                    "easing",
                    options=list(EASINGS),
                    default="linear",
                    tooltip="How the steps are spread. linear: evenly. ease in: smaller steps at the start. ease out: "
                    "smaller steps at the end. ease in-out: smaller steps at both ends.",
                ),
            ],
            outputs=[MixWeights.Output("weights", tooltip="One row per variant.")],
        )

    @classmethod
    def validate_inputs(cls, **kwargs: object) -> bool | str:
        return weights_valid(kwargs.get("from"), kwargs.get("to"))

    @classmethod
    def execute(cls, variants: int, easing: Easing, **row: str) -> io.NodeOutput:
        return io.NodeOutput(blend(parse(row["from"]), parse(row["to"]), variants, easing))


class ImageMixerSweepWeights(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSweepWeights",
            display_name="Sweep Weights",
            category=_DRAWER,
            description="Makes rows of weights that explore a mix: from image to image, all mixtures, one image at a time, or "
            "at random.",
            search_aliases=["grid", "explore", "simplex", "random weights"],
            inputs=[
                io.Int.Input(
                    "ingredients", default=2, min=1, max=100, tooltip="Numbers per row, one per image, 1 to 100."
                ),
                io.Combo.Input(
                    "pattern",
                    options=list(PATTERNS),
                    default="ramp",
                    tooltip="ramp: from each image to the next. simplex: every mixture on an even grid. one at a time: "
                    "each image alone. random: random shares, evenly distributed.",
                ),
                io.Int.Input(
                    "variants",
                    default=9,
                    min=1,
                    max=MAX_VARIANTS,
                    tooltip=f"Number of rows, 1 to {MAX_VARIANTS}. simplex makes the finest grid with at most this many rows; one at a time "
                    "ignores this number.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=False,
                    tooltip="Seed of the pattern random: the same seed makes the same rows. The other patterns ignore it.",
                ),
            ],
            outputs=[MixWeights.Output("weights", tooltip="One row per variant.")],
        )

    @classmethod
    def execute(cls, ingredients: int, pattern: Pattern, variants: int, seed: int) -> io.NodeOutput:
        return io.NodeOutput(sweep(ingredients, pattern, variants, seed))


def weights_valid(*texts: object) -> bool | str:
    """Return what `validate_inputs` must: True, or a message about the first text that does not hold weights.

    An input that is not a text (None for a linked one) is read when the node runs.
    """
    try:
        for text in texts:
            parse(text if isinstance(text, str) else "")
    except WeightsError as error:
        return str(error)
    return True
