"""Load IP-Adapter."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..local import ip_adapter_file
from .types import MENU, MixAdapter

FOLDER = "ipadapter"


class ImageMixerLoadAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerLoadAdapter",
            display_name="Load IP-Adapter",
            category=f"{MENU}/local",
            description="Loads an IP-Adapter of SD1.x or SDXL, standard or plus, for the method ip-adapter.",
            search_aliases=["ipadapter", "ip adapter model loader", "image prompt"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=_files(),
                    tooltip=f"An IP-Adapter (.safetensors or .bin) in models/{FOLDER}. It must be of the model's family.",
                ),
            ],
            outputs=[MixAdapter.Output("adapter", tooltip="For Image Mixer (Local) and Apply Mix.")],
        )

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(ip_adapter_file.load(folder_paths.get_full_path_or_raise(FOLDER, file)))


def _files() -> list[str]:
    """Return the adapters in the folder. If another pack or extra_model_paths.yaml has registered one, it is kept."""
    if FOLDER not in folder_paths.folder_names_and_paths:
        folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    names = folder_paths.get_filename_list(FOLDER)
    return [name for name in names if name.lower().endswith(ip_adapter_file.SUFFIXES)]
