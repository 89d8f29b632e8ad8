"""Encode Mix: a mix becomes embeddings."""

from __future__ import annotations

from comfy_api.latest import io

from ..local.engine import Encoders, embed_all
from ..local.methods import options_of
from ..local.methods.reference import ReferenceSettings
from ..mixing.images import Preparation
from ..mixing.mix import Mix
from .inputs import clip_input, clip_vision_input, negative_mix_input, preparation_input
from .methods import option_input
from .types import MENU, ImageMix, MixEmbeds


class ImageMixerEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerEncode",
            display_name="Encode Mix",
            category=f"{MENU}/local",
            description="Makes an embedding of every ingredient. Embeddings are kept in memory: changing a weight does not run "
            "an encoder again.",
            search_aliases=["clip vision encode", "embeddings"],
            inputs=[
                ImageMix.Input("mix", tooltip="What to encode."),
                clip_vision_input(),
                clip_input(),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="For methods that take the pictures themselves (reference). Leave it unconnected for image mixer.",
                ),
                negative_mix_input(),
                preparation_input(),
                option_input("reference_megapixels", options_of(ReferenceSettings)["megapixels"], optional=True),
            ],
            outputs=[MixEmbeds.Output("embeddings", tooltip="For Apply Mix and Save Embeds.")],
        )

    @classmethod
    def execute(
        cls,
        mix: Mix,
        preparation: Preparation,
        clip_vision: io.ClipVision.Type | None = None,
        clip: io.Clip.Type | None = None,
        vae: io.Vae.Type | None = None,
        negative_mix: Mix | None = None,
        reference_megapixels: float = 1.0,
    ) -> io.NodeOutput:
        encoders = Encoders(clip_vision, clip, vae)
        return io.NodeOutput(embed_all(mix, encoders, preparation, negative_mix, reference_megapixels))
