"""Save Embeds and Load Embeds: embeddings to keep or to share without the pictures."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..local import embeds_file
from ..local.embeddings import Embeddings
from ..mixing.errors import InputError
from . import filenames
from .types import MENU, MixEmbeds

_DRAWER = f"{MENU}/local"
FOLDER = "mix_embeds"


class ImageMixerSaveEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSaveEmbeds",
            display_name="Save Embeds",
            category=_DRAWER,
            description="Saves the embeddings of a mix as safetensors in the output folder; the pictures are not in the file.",
            search_aliases=["save embeddings", "export embeds"],
            is_output_node=True,
            inputs=[
                MixEmbeds.Input("embeddings", tooltip="From Encode Mix."),
                io.String.Input(
                    "filename_prefix", default="embeds", tooltip=f"Beginning of the file name in output/{FOLDER}."
                ),
            ],
            outputs=[],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        return filenames.valid(filename_prefix, FOLDER)

    @classmethod
    def execute(cls, embeddings: Embeddings, filename_prefix: str) -> io.NodeOutput:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(
            f"{FOLDER}/{filename_prefix}", folder_paths.get_output_directory()
        )
        embeds_file.save(embeddings, Path(folder) / f"{name}_{counter:05}_.safetensors")
        return io.NodeOutput()


class ImageMixerLoadEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerLoadEmbeds",
            display_name="Load Embeds",
            category=_DRAWER,
            description="Loads embeddings that Save Embeds wrote. Only safetensors files are read.",
            search_aliases=["load embeddings", "import embeds"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=_files(),
                    tooltip=f"A file in output/{FOLDER}, or one that you put in input/{FOLDER}.",
                ),
            ],
            outputs=[MixEmbeds.Output("embeddings", tooltip="For Apply Mix.")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str) -> float:
        path = _path(file)
        return path.stat().st_mtime if path.is_file() else 0.0

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(embeds_file.load(_path(file)))


def _folders() -> dict[str, Path]:
    return {
        "input": Path(folder_paths.get_input_directory()) / FOLDER,
        "output": Path(folder_paths.get_output_directory()) / FOLDER,
    }


def _files() -> list[str]:
    return [
        f"{path.relative_to(folder).as_posix()} [{kind}]"
        for kind, folder in _folders().items()
        for path in sorted(folder.rglob("*.safetensors"))
    ]


def _path(file: str) -> Path:
    """Return the file of a choice in the list. Raise InputError on one outside the two folders."""
    name, _, kind = file.rpartition(" [")
    folder = _folders().get(kind.rstrip("]"))
    path = (folder / name).resolve() if folder else None
    if folder is None or path is None or not path.is_relative_to(folder.resolve()):
        raise InputError(f"{file[:80]!r} is not a file of the mix_embeds folders: choose one from the list.")
    return path
