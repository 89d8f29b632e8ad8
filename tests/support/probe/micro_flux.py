"""A micro Flux: ComfyUI's own class with one head, two blocks and random weights."""

from __future__ import annotations

from typing import Any

import comfy.ldm.flux.model
import comfy.ops
import comfy.sd
import random_model
import torch

CONTEXT, POOLED = 64, 32
FLUX = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": POOLED,
    "context_in_dim": CONTEXT,
    "hidden_size": 128,
    "mlp_ratio": 4.0,
    "num_heads": 1,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "qkv_bias": True,
    "txt_ids_dims": [],
}


def state(seed: int = 1, guidance_embed: bool = True, **changes: Any) -> dict[str, torch.Tensor]:
    """Return random weights of a micro Flux, without a prefix; `guidance_embed` makes it dev, without it schnell."""
    transformer = comfy.ldm.flux.model.Flux(
        **FLUX | changes, guidance_embed=guidance_embed, dtype=torch.float32, device="cpu",
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    return random_model.random_state(transformer, seed)


def build(seed: int = 1, guidance_embed: bool = True, **changes: Any) -> Any:
    """Return a MODEL, loaded as core's Load Diffusion Model does."""
    return comfy.sd.load_diffusion_model_state_dict(state(seed, guidance_embed, **changes))


def text(items: int = 1, tokens: int = 8, seed: int = 2, width: int = CONTEXT) -> list[list[Any]]:
    """Return CONDITIONING as a text encoder for it would make it."""
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(items, tokens, width, generator=generator)
    return [[context, {"pooled_output": torch.randn(items, POOLED, generator=generator)}]]
