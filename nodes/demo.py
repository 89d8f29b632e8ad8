"""Demo Mixer Model: the miniature model that ships with the pack."""

from __future__ import annotations

from comfy_api.latest import io

from ..local import demo
from .types import MENU


class ImageMixerDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerDemoModel",
            display_name="Demo Mixer Model",
            category=f"{MENU}/local",
            description="A miniature image mixer that ships with the pack, to see mixing work without a download. It knows six "
            "shapes, six colours, four patterns and four backgrounds, 64 x 64 pixels.",
            search_aliases=["demo", "example", "tiny model", "test model"],
            inputs=[],
            outputs=[
                io.Model.Output("model", tooltip="The denoiser, marked as an Image Mixer. Made for 64 x 64 pixels."),
                io.Clip.Output("clip", tooltip="Its text tower, for words such as cyan, star or striped."),
                io.Vae.Output("vae", tooltip="Decodes its images."),
                io.ClipVision.Output("clip_vision", tooltip="Its vision tower."),
                io.Image.Output("picture_1", display_name="picture 1", tooltip="A picture to mix: a yellow heart."),
                io.Image.Output("picture_2", display_name="picture 2", tooltip="A picture to mix: a dotted red star."),
                io.Image.Output(
                    "picture_3", display_name="picture 3", tooltip="A picture to mix: a striped cyan ring."
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        made = demo.load_demo()
        return io.NodeOutput(made.model, made.clip, made.vae, made.clip_vision, *demo.load_pictures())
