"""Files for Flux Redux at real widths: a micro Flux with its VAE, a SigLIP of two layers, and the style model itself.

The text encoders hold zeros: even a T5-XXL of one layer would be 260 MB of token embeddings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.text_encoders.flux
import micro_flux
import random_model
import torch
from comfy.ldm.flux.redux import ReduxImageEncoder
from comfy.taesd.taesd import TAESD
from safetensors.torch import save_file

SIGLIP = Path(__file__).with_name("siglip_384.json")
SMALL_TEXT = {
    "t5xxl_model_config": {"num_layers": 1, "d_ff": 64, "num_heads": 2, "d_kv": 32},
    "clip_l_model_config": {"num_hidden_layers": 1, "intermediate_size": 64},
}


def register() -> None:
    """Let ComfyUI's stock loaders make these instead of models of full depth, in this process."""
    text, vision = comfy.text_encoders.flux.FluxClipModel, comfy.clip_vision.ClipVisionModel
    text_init, vision_init = text.__init__, vision.__init__

    def small_text(self: Any, *args: Any, model_options: Any = None, **kwargs: Any) -> None:
        text_init(self, *args, model_options={**(model_options or {}), **SMALL_TEXT}, **kwargs)
        for parameter in self.parameters():
            parameter.data.zero_()

    def small_vision(self: Any, json_config: Any) -> None:
        vision_init(self, str(SIGLIP) if str(json_config).endswith("clip_vision_siglip_384.json") else json_config)

    text.__init__, vision.__init__ = small_text, small_vision


def write_files(models: Path) -> None:
    """Write the checkpoint, the vision encoder and the style model into a models folder, under the names of the real ones."""
    flux = micro_flux.state(context_in_dim=4096, vec_in_dim=768)
    checkpoint = {f"model.diffusion_model.{name}": value for name, value in flux.items()}
    vae = random_model.random_state(TAESD(latent_channels=16), 2, 1.4)
    checkpoint.update({f"vae.{name}": value for name, value in vae.items()})
    checkpoint["text_encoders.clip_l.transformer.text_model.final_layer_norm.bias"] = torch.zeros(768)
    tower = random_model.random_state(comfy.clip_vision.ClipVisionModel(str(SIGLIP)).model, 3, 1.4)
    layers = json.loads(SIGLIP.read_text(encoding="utf-8"))["num_hidden_layers"]
    assert layers < 22
    tower["vision_model.encoder.layers.22.layer_norm1.weight"] = torch.zeros(1)  # what the loader knows SigLIP by
    style = random_model.random_state(ReduxImageEncoder(dtype=torch.float32), 4)
    for folder, name, state in (
        ("checkpoints", "flux1-dev-fp8", checkpoint),
        ("clip_vision", "sigclip_vision_patch14_384", tower),
        ("style_models", "flux1-redux-dev", style),
    ):
        (models / folder).mkdir(parents=True, exist_ok=True)
        half = {key: value.half().contiguous() for key, value in state.items()}
        save_file(half, str(models / folder / f"{name}.safetensors"))
