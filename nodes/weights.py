"""Nodes that make weights."""

from __future__ import annotations

from comfy_api.latest import io

from ..mixing import weights
from ..mixing.errors import MixError
from ..mixing.seeds import MAX_SEED
from .types import MENU, MixWeights

_DRAWER = f"{MENU}/weights"
MAX_VARIANTS = 4096


class ImageMixerWeights(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerWeights",
            display_name="Mix Weights",
            category=_DRAWER,
            description="One row of weights, typed or linked as text, and normalised if asked for.",
            search_aliases=["init_image_weights", "ratio", "normalise"],
            inputs=[
                io.String.Input(
                    "text",
                    default="0.5, 0.5",
                    tooltip="A number an image, separated by commas, spaces, semicolons or new lines: 0.5, 0.7. "
                    "0 leaves an image out.",
                ),
                _normalisation_input(),
            ],
            outputs=[
                MixWeights.Output("weights", tooltip="One row of weights."),
                io.String.Output("text", tooltip="The same numbers as text."),
            ],
        )

    @classmethod
    def validate_inputs(cls, text: str | None = None) -> bool | str:
        return _no_error(lambda: text is None or weights.parse(text))

    @classmethod
    def execute(cls, text: str, normalisation: str) -> io.NodeOutput:
        matrix = weights.normalised(weights.checked((weights.parse(text),)), normalisation)
        return io.NodeOutput(matrix, weights.formatted(matrix[0]))


class ImageMixerBlendWeights(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerBlendWeights",
            display_name="Blend Weights",
            category=_DRAWER,
            description="Rows of weights that go from one row to another: an animation, or a sweep between two mixes.",
            search_aliases=["interpolate", "transition", "animate weights", "morph"],
            inputs=[
                io.String.Input(
                    "from", default="1, 0", tooltip="The first variant's weights, a number an image: 1, 0."
                ),
                io.String.Input(
                    "to", default="0, 1", tooltip="The last variant's weights, as many numbers as from has: 0, 1."
                ),
                io.Int.Input(
                    "variants",
                    default=9,
                    min=1,
                    max=MAX_VARIANTS,
                    tooltip="How many rows, both ends included. 1 gives the first one alone.",
                ),
                io.Combo.Input(
                    "easing",
                    options=list(weights.EASINGS),
                    default="linear",
                    tooltip="How the steps are spread: linear is even, the others are slow at their start, end or both.",
                ),
            ],
            outputs=[MixWeights.Output("weights", tooltip="A row a variant.")],
        )

    @classmethod
    def validate_inputs(cls, **kwargs: object) -> bool | str:
        texts = [kwargs.get(name) for name in ("from", "to")]
        return _no_error(lambda: [weights.parse(text) for text in texts if isinstance(text, str)]) if kwargs else True

    @classmethod
    def execute(cls, variants: int, easing: str, **row: str) -> io.NodeOutput:
        return io.NodeOutput(weights.blend(weights.parse(row["from"]), weights.parse(row["to"]), variants, easing))


class ImageMixerSweepWeights(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSweepWeights",
            display_name="Sweep Weights",
            category=_DRAWER,
            description="Rows of weights that explore a mix: from image to image, all mixtures, each alone, or at random.",
            search_aliases=["grid", "explore", "simplex", "random weights"],
            inputs=[
                io.Int.Input(
                    "ingredients", default=2, min=1, max=100, tooltip="How many numbers a row has: one an image."
                ),
                io.Combo.Input(
                    "pattern",
                    options=list(weights.PATTERNS),
                    default="ramp",
                    tooltip="ramp: from each image to the next. simplex: every mixture on an even grid. one at a time: "
                    "each image alone. random: shares drawn evenly.",
                ),
                io.Int.Input(
                    "variants",
                    default=9,
                    min=1,
                    max=MAX_VARIANTS,
                    tooltip="How many rows. simplex takes the finest grid that fits; one at a time ignores it.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=False,
                    tooltip="For the pattern random: the same seed draws the same rows. Ignored by the others.",
                ),
            ],
            outputs=[MixWeights.Output("weights", tooltip="A row a variant.")],
        )

    @classmethod
    def execute(cls, ingredients: int, pattern: str, variants: int, seed: int) -> io.NodeOutput:
        return io.NodeOutput(weights.sweep(ingredients, pattern, variants, seed))


def _normalisation_input() -> io.Combo.Input:
    return io.Combo.Input(
        "normalisation",
        options=list(weights.NORMALISATIONS),
        default="as given",
        tooltip="as given leaves the numbers alone. sum to 1: shares. max to 1: the largest is 1. unit length: squares sum to "
        "1. softmax: shares by exponential, so that even 0 gets some.",
    )


def _no_error(check: object) -> bool | str:
    try:
        check()  # type: ignore[operator]
    except MixError as error:
        return str(error)
    return True
