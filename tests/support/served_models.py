"""Model files for a server on which the methods are tried: each method's template finds the files that it names."""

from __future__ import annotations

from pathlib import Path

import edit_models
import micro
import micro_adapters
import micro_redux
import micro_unclip
import random_model
import torch
from image_mixer.tests.support.live import PHOTOGRAPHS
from safetensors.torch import save_file

IP_ADAPTER = {"ckpt_name": "sd15.ckpt", "clip_name": "vit_h.safetensors", "file": "ip-adapter_sd15.safetensors"}
"""Micro files for the template of method ip-adapter, by the inputs that name them."""


def write_models(base: Path) -> None:
    """Write the files of every method, and the photographs as inputs, into a server's base directory."""
    for photograph in PHOTOGRAPHS.glob("*.jpg"):
        (base / "input" / photograph.name).write_bytes(photograph.read_bytes())
    models = base / "models"
    folders = {name: models / name for name in ("checkpoints", "clip_vision", "ipadapter")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    micro_redux.write_files(models)
    edit_models.write(models)
    micro_unclip.write_checkpoint(folders["checkpoints"] / "sd21-unclip-l.ckpt")
    write_sd15(folders["checkpoints"] / IP_ADAPTER["ckpt_name"], micro.unet_state())
    micro.write_vision_tower(folders["clip_vision"] / IP_ADAPTER["clip_name"], projection_dim=1024)
    groups = micro_adapters.standard(micro.UNET, 1024)
    save_file(micro_adapters.flat(groups), str(folders["ipadapter"] / IP_ADAPTER["file"]))
    save_file({"a": torch.zeros(2)}, str(folders["ipadapter"] / "other.safetensors"))
    (folders["ipadapter"] / "notes.txt").write_text("not a model", encoding="utf-8")


def write_sd15(path: Path, unet: dict[str, torch.Tensor]) -> None:
    """Write a stock SD1.5 checkpoint around a denoiser, with a TAESD and a strided text encoder."""
    state = {f"model.diffusion_model.{key}": value for key, value in unet.items()}
    state.update({f"first_stage_model.{key}": value for key, value in random_model.taesd_state(2).items()})
    state.update(random_model.strided_state(random_model.clip_l_shapes(), "cond_stage_model.transformer."))
    torch.save({"state_dict": state}, path)
