"""Image Mix and the nodes that add one ingredient to a mix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io

from ..mixing.images import pictures, region
from ..mixing.mix import Ingredient, Kind, Mix, mixed
from ..mixing.weights import Matrix
from .types import MENU, ImageMix, MixWeights
from .weights import weights_valid

MAX_SOCKETS = 10

_MIX_TOOLTIP = "A mix to extend: its ingredients come first and keep their own weights. Unconnected: start a new mix."
_WEIGHT_TOOLTIP = "How much of this ingredient to use, relative to the others, -10 to 10. 1 is usual; 0 leaves it out."
_REGION_TOOLTIP = (
    "Where in the output this ingredient acts: fully where the mask is white, not at all where it is black. The mask may "
    "have any size and is scaled to the output. Unconnected: everywhere."
)
_START_TOOLTIP = "When this ingredient starts to act, as a fraction of the sampling, 0 to 1. 0 is the first step."
_END_TOOLTIP = "When this ingredient stops acting, as a fraction of the sampling, 0 to 1. 1 is after the last step."


class ImageMixerMix(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerMix",
            display_name="Image Mix",
            category=MENU,
            description="Chooses the images to mix and how much of each.",
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
                            "image", tooltip="An image to mix. Every image of a batch gets the weight of this socket."
                        ),
                        prefix="image",
                        min=1,
                        max=MAX_SOCKETS,
                    ),
                    tooltip="The images to mix, one socket per image or batch.",
                ),
                io.String.Input(
                    "pad",
                    default="",
                    optional=True,
                    extra_dict={"widgetType": "IMAGE_MIXER_PAD"},  # the value is still a text; web/pad.js draws it
                    tooltip="One weight per image socket, such as 0.5, 0.7. A missing number is 1; 0 leaves the image "
                    "out. Connected weights replace the pad.",
                ),
                MixWeights.Input(
                    "weights",
                    optional=True,
                    tooltip="Weights for these sockets, one column per socket; each row makes a variant. Unconnected: the pad.",
                ),
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The images with their weights.")],
        )

    @classmethod
    def validate_inputs(cls, images: Any = None, pad: str | None = None) -> bool | str:
        return weights_valid(pad)

    @classmethod
    def execute(
        cls, images: io.Autogrow.Type, pad: str = "", weights: Matrix | None = None, mix: Mix | None = None
    ) -> io.NodeOutput:
        sockets = [tuple(Ingredient("image", one) for one in pictures(batch)) for batch in images.values()]
        return io.NodeOutput(mixed(sockets, pad, weights, mix))


class ImageMixerAddImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerAddImage",
            display_name="Add Image",
            category=f"{MENU}/ingredients",
            description="Adds an image to a mix, and says where and when it acts.",
            search_aliases=["mix image", "regional mix", "image weight"],
            inputs=[
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
                io.Image.Input("image", tooltip="The image to add. Every image of a batch becomes an ingredient."),
                _weight_input(),
                io.Mask.Input("region", optional=True, tooltip=_REGION_TOOLTIP),
                *_span_inputs(),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The mix with this image after its other ingredients.")],
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
        return io.NodeOutput(_added(mix, "image", pictures(image), weight, region, start, end))


class ImageMixerAddText(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerAddText",
            display_name="Add Text",
            category=f"{MENU}/ingredients",
            description="Adds a text to a mix as an ingredient. Only the method image mixer accepts text ingredients.",
            search_aliases=["mix text", "prompt ingredient", "text weight"],
            inputs=[
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="The text of this ingredient, up to 75 tokens. It must not be empty; remove the node instead.",
                ),
                _weight_input(),
                io.Mask.Input("region", optional=True, tooltip=_REGION_TOOLTIP),
                *_span_inputs(),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The mix with this text after its other ingredients.")],
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
            description="Adds an image by its public URL. A remote service receives the URL; this server never fetches it.",
            search_aliases=["image url", "remote image", "modelslab"],
            inputs=[
                ImageMix.Input("mix", optional=True, tooltip=_MIX_TOOLTIP),
                io.String.Input(
                    "url",
                    default="",
                    tooltip="The public address of the image, https://... Only remote services accept it.",
                ),
                _weight_input(),
                io.Mask.Input("region", optional=True, tooltip=_REGION_TOOLTIP),
                *_span_inputs(),
            ],
            outputs=[ImageMix.Output("mix", tooltip="The mix with this URL after its other ingredients.")],
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
    mask: io.Mask.Type | None,
    start: float,
    end: float,
) -> Mix:
    """Return the mix with one ingredient per item of `contents` added, all with the same weight, region and span."""
    area = region(mask) if mask is not None else None
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
