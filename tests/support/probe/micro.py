"""Micro models: ComfyUI's own classes with few channels and random weights. They test wiring, not quality."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import comfy.clip_vision
import comfy.model_base
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import random_model
import torch
from safetensors.torch import save_file

WIDTH = 768
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": WIDTH,
    "num_heads": 8,
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "legacy": False,
}
TOWER = {
    "model_type": "clip_vision_model",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "image_size": 56,
    "patch_size": 14,
    "num_channels": 3,
    "projection_dim": WIDTH,
    "hidden_act": "quick_gelu",
}
MICRO_TOWER = "micro_tower"
TEXT_TOWER = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 12, "num_hidden_layers": 1}


class MicroSD15(comfy.supported_models.SD15):
    """SD1.x as ComfyUI recognises it, with 32 channels."""

    unet_config: ClassVar = {**comfy.supported_models.SD15.unet_config, "model_channels": 32}


def register() -> None:
    """Let ComfyUI's stock loaders recognise micro checkpoints in this process."""
    if MicroSD15 not in comfy.supported_models.models:
        comfy.supported_models.models.insert(0, MicroSD15)


@dataclass
class MicroModels:
    """What ComfyUI's loaders return."""

    model: Any
    clip: Any
    vae: Any
    clip_vision: Any


def unet_state(seed: int = 1) -> dict[str, torch.Tensor]:
    """Random weights of the micro denoiser, without a prefix."""
    return random_model.unet_state(UNET, seed)


def build(seed: int = 0, tagged: bool = True, prediction: str = "v") -> MicroModels:
    """Return the whole set. Two calls with the same seed return equal models.

    `prediction` "eps" is Lambda's. Random weights denoise nothing with it: latents stay at about 100, where float32
    itself is off by 1e-4. With "v" they are as large as a trained model's, so absolute bounds mean something.
    """
    register()
    state = {f"model.diffusion_model.{key}": value for key, value in unet_state(seed + 1).items()}
    state.update({f"first_stage_model.{key}": value for key, value in random_model.taesd_state(seed + 2).items()})
    model, _, vae, _ = comfy.sd.load_state_dict_guess_config(state, output_clip=False)
    if prediction == "v":
        kind = comfy.model_base.ModelType.V_PREDICTION
        model.model.model_sampling = comfy.model_base.model_sampling(model.model.model_config, kind)
        model.model.model_type = kind
    if tagged:
        model.set_attachments("image_mixer", True)
    return MicroModels(model, text_tower(seed + 3), vae, vision_tower(seed + 4))


def vision_tower(seed: int, **changes: Any) -> Any:
    """Return a CLIP_VISION of three layers."""
    return _tower(seed, changes)[0]


def write_vision_tower(path: Path, seed: int = 0, **changes: Any) -> None:
    """Write such an encoder as .safetensors, which stock loaders take after `register_towers` has run."""
    tower, config = _tower(seed, changes)
    described = torch.tensor(list(json.dumps(config).encode()), dtype=torch.uint8)
    save_file({**{key: value.clone() for key, value in tower.get_sd().items()}, MICRO_TOWER: described}, str(path))


def register_towers() -> None:
    """Let ComfyUI's stock loader of vision encoders take the micro ones in this process."""
    stock = comfy.clip_vision.load_clipvision_from_sd
    if getattr(stock, "takes_micro", False):
        return

    def load(sd: dict[str, Any], prefix: str = "", convert_keys: bool = False) -> Any:
        if MICRO_TOWER not in sd:
            return stock(sd, prefix, convert_keys)
        tower = _empty_tower(json.loads(bytes(sd.pop(MICRO_TOWER).tolist())))
        tower.load_sd(sd)
        return tower

    load.takes_micro = True  # type: ignore[attr-defined]
    comfy.clip_vision.load_clipvision_from_sd = load


def _tower(seed: int, changes: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    config = {**TOWER, **changes}
    tower = _empty_tower(config)
    tower.load_sd(random_model.random_state(tower.model, seed, 1.4))
    return tower, config


def _empty_tower(wanted: dict[str, Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"  # 0.18 reads configurations from files alone
        config.write_text(json.dumps(wanted))
        return comfy.clip_vision.ClipVisionModel(str(config))


def text_tower(seed: int) -> Any:
    """Return a CLIP of one layer in SD1's class, with a text projection."""
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    options = {"clip_l_model_config": TEXT_TOWER}
    clip = comfy.sd.CLIP(target, model_options=options)
    clip.cond_stage_model.clip_l.transformer.load_state_dict(
        random_model.random_state(clip.cond_stage_model.clip_l.transformer, seed, 1.4)
    )
    return clip


def write_checkpoint(path: Path, visual: bool = True, seed: int = 0) -> None:
    """Write a .ckpt like Lambda's: micro denoiser, TAESD, and a ViT-L/14 of real shape that is small on disk."""
    random_model.write_checkpoint(path, UNET, visual, seed)
