"""Diffusers' transformers with random weights, and the same in ComfyUI; both get the same references and weights."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.samplers
import comfy.sd
import edit_models
import random_model
import torch
from diffusers import FluxTransformer2DModel, QwenImageTransformer2DModel
from image_mixer.tests.support.reference_scene import drawn

FLUX = {
    "in_channels": 64, "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 128, "num_attention_heads": 1,
    "joint_attention_dim": edit_models.TEXT, "pooled_projection_dim": edit_models.POOLED, "guidance_embeds": True,
}  # fmt: skip
GUIDANCE = 2.5


def randomised(module: Any, seed: int) -> Any:
    """Return `module` with all parameters random, norms and biases included."""
    module.load_state_dict(random_model.random_state(module, seed))
    return module.eval()


def flux(seed: int = 5) -> tuple[Any, Any]:
    """Return (diffusers' transformer, ComfyUI's MODEL) of equal weights; ComfyUI's own loader renames the keys."""
    theirs = randomised(FluxTransformer2DModel(**FLUX), seed)
    return theirs, _loaded(theirs)


def qwen(seed: int = 6) -> tuple[Any, Any]:
    """As `flux`, for Qwen-Image, whose keys are the same in both."""
    edit_models.register()
    theirs = randomised(QwenImageTransformer2DModel(**edit_models.QWEN, out_channels=16, patch_size=2), seed)
    return theirs, _loaded(theirs)


def _loaded(module: Any) -> Any:
    # Cloned, because the loader swaps rows of its tensors in place.
    return comfy.sd.load_diffusion_model_state_dict({k: v.clone() for k, v in module.state_dict().items()})


def text(seed: int = 3, tokens: int = 7) -> Any:
    """Return a CONDITIONING as a text tower makes it."""
    pooled = drawn(seed + 100, 1, edit_models.POOLED)
    return [[drawn(seed, 1, tokens, edit_models.TEXT), {"pooled_output": pooled, "guidance": GUIDANCE}]]


def packed(latent: torch.Tensor) -> torch.Tensor:
    """Return the tokens [B, h/2 * w/2, C * 4] of a latent [B, C, (1,) h, w], two by two, in diffusers' order."""
    latent = latent[:, :, 0] if latent.ndim == 5 else latent
    items, channels, height, width = latent.shape
    tiles = latent.view(items, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(items, height // 2 * (width // 2), channels * 4)


def unpacked(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the inverse of `packed`, in the shape of `like`."""
    items, channels, (height, width) = like.shape[0], like.shape[1], like.shape[-2:]
    tiles = tokens.view(items, height // 2, width // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return tiles.reshape(like.shape)


def positions(latent: torch.Tensor, index: int = 0, down: int = 0, right: int = 0) -> torch.Tensor:
    """Return Flux's ids [tokens, 3] of a latent: the picture's index, and its tokens' positions."""
    rows, columns = latent.shape[-2] // 2, latent.shape[-1] // 2
    ids = torch.zeros(rows, columns, 3)
    ids[..., 0] = index
    ids[..., 1] = torch.arange(rows)[:, None] + down
    ids[..., 2] = torch.arange(columns)[None] + right
    return ids.reshape(-1, 3)


def flux_velocity(
    theirs: Any, noisy: torch.Tensor, sigma: float, references: list[Any], bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the output of diffusers' Flux for `noisy` followed by `references` [(latent, ids)], as in Kontext's pipeline."""
    tokens, pooled = text()[0][0], text()[0][1]["pooled_output"]
    items = len(noisy)
    hidden = torch.cat([packed(noisy), *(packed(latent).expand(items, -1, -1) for latent, _ in references)], 1)
    out = theirs(
        hidden_states=hidden,
        encoder_hidden_states=tokens.expand(items, -1, -1),
        pooled_projections=pooled.expand(items, -1),
        timestep=torch.full((items,), sigma),
        guidance=torch.full((items,), GUIDANCE),
        img_ids=torch.cat([positions(noisy), *(ids for _, ids in references)]),
        txt_ids=torch.zeros(tokens.shape[1], 3),
        joint_attention_kwargs=None if bias is None else {"attention_mask": bias},
    ).sample
    return unpacked(out[:, : packed(noisy).shape[1]], noisy)


def denoised(
    model: Any, positive: Any, noise: torch.Tensor, sigmas: list[float], negative: Any = None, cfg: float = 1.0
) -> torch.Tensor:
    """Return the result of ComfyUI's Euler from `noise`, in the model's own latent space."""
    samples = comfy.sample.sample_custom(
        model,
        noise,
        cfg,
        comfy.samplers.sampler_object("euler"),
        torch.tensor(sigmas),
        positive,
        negative or positive,
        torch.zeros_like(noise),
        disable_pbar=True,
    )
    return model.model.process_latent_in(samples)
