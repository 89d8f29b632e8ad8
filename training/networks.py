"""Build the networks from ComfyUI's own classes, with initial weights, which ComfyUI's layers leave unset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.clip_model
import comfy.ops
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor, nn

from .autoencoder import CONFIG as VAE_CONFIG

WIDTH = 128

_RESET: tuple[Any, ...] = (nn.Conv2d, nn.Linear, nn.GroupNorm, nn.LayerNorm)
"""torch's own classes. ComfyUI's subclasses override `reset_parameters` to do nothing."""

UNET_CONFIG: dict[str, Any] = {
    "image_size": 8,
    "in_channels": VAE_CONFIG["latent_channels"],
    "out_channels": VAE_CONFIG["latent_channels"],
    "model_channels": 96,
    "num_res_blocks": 1,
    "channel_mult": [1, 1],
    "num_heads": -1,
    "num_head_channels": 32,
    "use_spatial_transformer": True,
    "transformer_depth": [0, 1],
    "transformer_depth_output": [0, 0, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": WIDTH,
    "use_linear_in_transformer": False,
    "legacy": False,
}
VISION_CONFIG: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "intermediate_size": 384,
    "hidden_act": "gelu",
    "num_channels": 3,
    "image_size": 64,
    "patch_size": 8,
    "projection_dim": WIDTH,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
TEXT_CONFIG: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 256,
    "hidden_act": "gelu",
    "max_position_embeddings": 77,
    "eos_token_id": 49407,
}


def vision_tower(seed: int = 2) -> Any:
    """Return the untrained vision tower: pictures [B, 3, 64, 64] in -1..1 -> (..., ..., embeddings [B, 128], ...)."""
    tower = comfy.clip_model.CLIPVisionModelProjection(
        VISION_CONFIG, torch.float32, "cpu", comfy.ops.disable_weight_init
    )
    return _begin(tower, seed)


def text_tower(seed: int = 3) -> Any:
    """Return the untrained text tower. Its embedding rows are zero."""
    tower = _begin(
        comfy.clip_model.CLIPTextModel(TEXT_CONFIG, torch.float32, "cpu", comfy.ops.disable_weight_init), seed
    )
    with torch.no_grad():
        tower.get_input_embeddings().weight.zero_()
    return tower


def unet(seed: int = 4) -> Any:
    """Return the untrained denoiser: (latents [B, 12, 8, 8], steps [B], context [B, N, 128]) -> v [B, 12, 8, 8]."""
    model = UNetModel(**UNET_CONFIG, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    _begin(model, seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("out.2.") or ".out_layers.3." in name or ".proj_out." in name:
                weight.zero_()
    return model.to(memory_format=torch.channels_last)


def embed(tower: Any, pictures: Tensor) -> Tensor:
    """Return projected embeddings [B, 128] of pictures [B, 3, 64, 64] in 0..1, as ComfyUI's encode_image does."""
    embeddings: Tensor = tower(pixel_values=pictures * 2 - 1)[2]
    return embeddings


@contextmanager
def trainable_layers() -> Iterator[None]:
    """Replace the in-place additions of ComfyUI's CLIP layer, which autograd refuses, inside the block."""

    def forward(self: Any, x: Tensor, mask: Tensor | None = None, optimized_attention: Any = None) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x), mask, optimized_attention)
        return x + self.mlp(self.layer_norm2(x))  # type: ignore[no-any-return]

    layer = comfy.clip_model.CLIPLayer
    kept = layer.forward
    layer.forward = forward
    try:
        yield
    finally:
        layer.forward = kept


def _begin(model: Any, seed: int) -> Any:
    """Give every layer torch's usual initial weights, drawn from `seed`."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            for kind in _RESET:
                if isinstance(module, kind):
                    kind.reset_parameters(module)
            if isinstance(module, nn.Embedding):
                module.weight.normal_(0, 0.02)
            if hasattr(module, "class_embedding"):
                module.class_embedding.normal_(0, 0.02)
    model.requires_grad_(True)
    return model
