"""Image Mix and the nodes that add one ingredient to a mix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io

from ..mixing import images as pictures
from ..mixing import weights as rows
from ..mixing.errors import MixError
from ..mixing.mix import Ingredient, Kind, Mix, mixed
from .types import MENU, ImageMix, MixWeights

MAX_SOCKETS = 10

_MIX_TOOLTIP = "A mix to go on from: its ingredients come first and keep their own weights. Unconnected: a new mix."
_WEIGHT_TOOLTIP = "How much of this ingredient, relative to the others. 0 leaves it out exactly; 1 is the usual."
_REGION_TOOLTIP = (
    "Where in the output this ingredient acts: white is fully, black is not at all. Of any size; it is scaled to the "
    "output. Unconnected: everywhere."
)
_START_TOOLTIP = "From which part of the sampling this ingredient acts, 0 to 1. 0 is from the first step."
_END_TOOLTIP = "Up to which part of the sampling this ingredient acts, 0 to 1. 1 is to the last step."


class ImageMixerMix(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerMix",
            display_name="Image Mix",
            category=MENU,
            description="The images to mix and how much of each.",
            search_aliases=[
                "blend",
                "merge",
                "interpolate",
                "combine images",
                "weights",
                "ip-adapter",
                "unclip",
                "redux",
            ],
            inputs=[
                io.Autogrow.Input(
                    "images",
                    template=io.Autogrow.TemplatePrefix(
                        io.Image.Input(
                            "image", tooltip="A picture to mix; each picture of a batch gets this socket's weight."
                        ),
                        prefix="image",
                        min=1,
                        max=MAX_SOCKETS,
                    ),
                    tooltip="The pictures to mix, a socket each.",
                ),
                io.String.Input(
                    "pad",
                    default="",
                    optional=True,
                    extra_dict={"widgetType": "IMAGE_MIXER_PAD"},  # a text still; web/pad.js draws it
                    tooltip="A weight for each image socket, such as 0.5, 0.7. A missing number is 1; 0 leaves a picture "
                    "out. A connected weights input replaces it.",
                ),
                MixWeights.Input(
                    "weights",
                    optional=True,
                    tooltip="Weights for these sockets, one column a socket; more rows make more variants. Unconnected: the pad.",
                ),
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The images with their weights.")],
        )

    @classmethod
    def validate_inputs(cls, images: Any = None, pad: str | None = None) -> bool | str:
        return _valid(rows.parse, pad)

    @classmethod
    def execute(
        cls, images: io.Autogrow.Type, pad: str = "", weights: rows.Matrix | None = None, mix: Mix | None = None
    ) -> io.NodeOutput:
        sockets = [tuple(Ingredient("image", p) for p in pictures.pictures(batch)) for batch in images.values()]
        return io.NodeOutput(mixed(sockets, pad, weights, mix))


class ImageMixerAddImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerAddImage",
            display_name="Add Image",
            category=f"{MENU}/ingredients",
            description="Adds an image to a mix, where and when it acts included.",
            search_aliases=["mix image", "regional mix", "image weight"],
            inputs=[
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
                io.Image.Input("image", tooltip="The picture to add; each picture of a batch becomes an ingredient."),
                _weight_input(),
                io.Mask.Input("region", optional=True, tooltip=_REGION_TOOLTIP),
                *_span_inputs(),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The mix with this image behind its others.")],
        )

    @classmethod
    def execute(
        cls,
        image: io.Image.Type,
        weight: float,
        start: float,
        end: float,
        mix: Mix | None = None,
        region: io.Mask.Type | None = None,
    ) -> io.NodeOutput:
        return io.NodeOutput(_added(mix, "image", pictures.pictures(image), weight, region, start, end))


class ImageMixerAddText(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerAddText",
            display_name="Add Text",
            category=f"{MENU}/ingredients",
            description="Adds a text to a mix as an ingredient of its own. Needs a method that takes texts: image mixer.",
            search_aliases=["mix text", "prompt ingredient", "text weight"],
            inputs=[
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="What this ingredient says, up to 75 tokens. Empty is refused: remove the node.",
                ),
                _weight_input(),
                io.Mask.Input("region", optional=True, tooltip=_REGION_TOOLTIP),
                *_span_inputs(),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The mix with this text behind its others.")],
        )

    @classmethod
    def execute(
        cls,
        text: str,
        weight: float,
        start: float,
        end: float,
        mix: Mix | None = None,
        region: io.Mask.Type | None = None,
    ) -> io.NodeOutput:
        return io.NodeOutput(_added(mix, "text", (text,), weight, region, start, end))


class ImageMixerAddURL(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerAddURL",
            display_name="Add Image URL",
            category=f"{MENU}/ingredients",
            description="Adds an image by its public URL. It is passed on to a remote service and never fetched by this server.",
            search_aliases=["image url", "remote image", "modelslab"],
            inputs=[
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
                io.String.Input(
                    "url", default="", tooltip="The picture's public address, https://… The local engine refuses it."
                ),
                _weight_input(),
                io.Mask.Input("region", optional=True, tooltip=_REGION_TOOLTIP),
                *_span_inputs(),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The mix with this URL behind its others.")],
        )

    @classmethod
    def execute(
        cls,
        url: str,
        weight: float,
        start: float,
        end: float,
        mix: Mix | None = None,
        region: io.Mask.Type | None = None,
    ) -> io.NodeOutput:
        return io.NodeOutput(_added(mix, "url", (url.strip(),), weight, region, start, end))


def _added(
    mix: Mix | None,
    kind: Kind,
    contents: Iterable[Any],
    weight: float,
    region: io.Mask.Type | None,
    start: float,
    end: float,
) -> Mix:
    """The mix with an ingredient for each of `contents` behind its own, all with one weight, region and span."""
    area = pictures.region(region) if region is not None else None
    ingredients = tuple(Ingredient(kind, content, area, start, end) for content in contents)
    return (mix or Mix()).appended(ingredients, ((weight,) * len(ingredients),))


def _weight_input() -> io.Float.Input:
    return io.Float.Input("weight", default=1.0, min=-10.0, max=10.0, step=0.05, round=0.001, tooltip=_WEIGHT_TOOLTIP)


def _span_inputs() -> list[io.Float.Input]:
    return [
        io.Float.Input(
            "start", default=0.0, min=0.0, max=1.0, step=0.01, round=0.001, tooltip=_START_TOOLTIP, advanced=True
        ),
        io.Float.Input(
            "end", default=1.0, min=0.0, max=1.0, step=0.01, round=0.001, tooltip=_END_TOOLTIP, advanced=True
        ),
    ]


def _valid(parse: Any, text: str | None) -> bool | str:
    """What `validate_inputs` answers for a text that `parse` reads; a linked one (None) is read when it is there."""
    try:
        parse(text or "")
    except MixError as error:
        return str(error)
    return True
