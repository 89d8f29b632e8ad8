"""Load Image Mixer Checkpoint."""

from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from ..local.checkpoint import load_image_mixer
from .types import MENU


class ImageMixerLoadCheckpoint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerLoadCheckpoint",
            display_name="Load Image Mixer Checkpoint",
            category=f"{MENU}/local",
            description="Loads Lambda's Image Mixer, with the vision tower in the same file.",
            search_aliases=["lambda", "image mixer full", "checkpoint"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=folder_paths.get_filename_list("checkpoints"),
                    tooltip="An Image Mixer checkpoint in models/checkpoints.",
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The denoiser, marked as an Image Mixer."),
                io.Vae.Output("vae", tooltip="Decodes the images."),
                io.ClipVision.Output("clip_vision", tooltip="The vision tower that the model was trained with."),
            ],
        )

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(*load_image_mixer(folder_paths.get_full_path_or_raise("checkpoints", file)))
