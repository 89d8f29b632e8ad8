"""Micro SD2.1-unCLIP (l, h) and SDXL: ComfyUI's own classes with few channels and random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import comfy.model_base
import comfy.sd
import comfy.supported_models
import random_model
import torch

CHANNELS = 64
_UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": CHANNELS,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "num_heads": -1,
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "legacy": False,
    "num_classes": "sequential",
}
_EVERYWHERE = {"transformer_depth": [1, 1], "transformer_depth_output": [1, 1, 1, 1], "transformer_depth_middle": 1}
UNETS: dict[str, dict[str, Any]] = {
    "l": _UNET | _EVERYWHERE | {"context_dim": 1024, "adm_in_channels": 1536},
    "h": _UNET | _EVERYWHERE | {"context_dim": 1024, "adm_in_channels": 2048},
    "sdxl": _UNET
    | {"transformer_depth": [0, 2], "transformer_depth_output": [0, 0, 2, 2], "transformer_depth_middle": 2}
    | {"context_dim": 2048, "adm_in_channels": 2816},
}
WIDTHS = {"l": 768, "h": 1024, "sdxl": 1280}


class MicroUnclipL(comfy.supported_models.SD21UnclipL):
    """SD2.1-unCLIP l as ComfyUI recognises it, with fewer channels."""

    unet_config: ClassVar = {**comfy.supported_models.SD21UnclipL.unet_config, "model_channels": CHANNELS}


class MicroUnclipH(comfy.supported_models.SD21UnclipH):
    """SD2.1-unCLIP h as ComfyUI recognises it, with fewer channels."""

    unet_config: ClassVar = {**comfy.supported_models.SD21UnclipH.unet_config, "model_channels": CHANNELS}


class MicroSDXL(comfy.supported_models.SDXL):
    """SDXL as ComfyUI recognises it, with fewer channels and two attention blocks, at the lower level only."""

    unet_config: ClassVar = {
        **comfy.supported_models.SDXL.unet_config, "model_channels": CHANNELS, "transformer_depth": [0, 2],
    }  # fmt: skip


def register() -> None:
    """Let ComfyUI's stock loaders recognise these in this process."""
    for kind in (MicroUnclipL, MicroUnclipH, MicroSDXL):
        if kind not in comfy.supported_models.models:
            comfy.supported_models.models.insert(0, kind)


def state(kind: str, seed: int = 1) -> dict[str, torch.Tensor]:
    """Random weights of the denoiser, without a prefix."""
    return random_model.unet_state(UNETS[kind], seed)


def build(kind: str, seed: int = 1) -> Any:
    """A MODEL patcher of `kind` ("l", "h" or "sdxl") with v-prediction, so that latents stay of a trained model's size."""
    register()
    model = comfy.sd.load_diffusion_model_state_dict(state(kind, seed))
    prediction = comfy.model_base.ModelType.V_PREDICTION
    model.model.model_sampling = comfy.model_base.model_sampling(model.model.model_config, prediction)
    model.model.model_type = prediction
    return model


def text(kind: str, seed: int = 2, tokens: int = 7) -> list[list[Any]]:
    """Return CONDITIONING as the model's text encoders would make it."""
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(1, tokens, UNETS[kind]["context_dim"], generator=generator)
    return [[context, {"pooled_output": torch.randn(1, 1280, generator=generator)}]]


def write_checkpoint(path: Path, kind: str = "l", seed: int = 0) -> None:
    """Write a .ckpt like Stability's SD2.1-unCLIP l: micro denoiser and VAE, encoders of real shape that are small on disk."""
    parts = {
        "model.diffusion_model.": state(kind, seed + 1),
        "first_stage_model.": random_model.taesd_state(seed + 2),
        "cond_stage_model.model.": open_clip_text(seed + 3),
        "": random_model.open_clip_visual("embedder.model.visual."),
    }
    torch.save(
        {"state_dict": {f"{prefix}{name}": value for prefix, part in parts.items() for name, value in part.items()}},
        path,
    )


def open_clip_text(seed: int) -> dict[str, torch.Tensor]:
    """CLIP ViT-H's text half under OpenCLIP's key names, all of it windows of one buffer."""
    width, layers, words, positions = 1024, 24, 49408, 77
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedding.weight": (words, width), "positional_embedding": (positions, width),
        "ln_final.weight": (width,), "ln_final.bias": (width,), "text_projection": (width, width),
    }  # fmt: skip
    shapes.update(random_model.open_clip_blocks(width, layers))
    store = torch.randn(words + 4 * width, generator=torch.Generator().manual_seed(seed)) / width**0.5
    return {name: torch.as_strided(store, shape, (1,) * len(shape)) for name, shape in shapes.items()}
