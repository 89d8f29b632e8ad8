"""diffusers' Flux transformer with the weights of a micro Flux, and its Redux encoder."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import comfy.utils
import micro_flux
import torch
from diffusers import FluxTransformer2DModel
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder


def transformer(seed: int = 1) -> FluxTransformer2DModel:
    """Return the transformer of `micro_flux.build(seed)` in diffusers' classes."""
    config = micro_flux.FLUX
    other = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=config["depth"],
        num_single_layers=config["depth_single_blocks"],
        attention_head_dim=128,
        num_attention_heads=config["num_heads"],
        joint_attention_dim=config["context_in_dim"],
        pooled_projection_dim=config["vec_in_dim"],
        guidance_embeds=True,
        axes_dims_rope=tuple(config["axes_dim"]),
    ).eval()
    ours, names = micro_flux.state(seed), comfy.utils.flux_to_diffusers(config)
    other.load_state_dict({theirs: _part(ours, names[theirs]) for theirs in other.state_dict()})
    return other


def _part(state: dict[str, torch.Tensor], name: Any) -> torch.Tensor:
    if isinstance(name, str):
        return state[name]
    whole = state[name[0]]
    if len(name) > 2:
        changed: torch.Tensor = name[2](whole)
        return changed
    return whole.narrow(*name[1])


def encoder(ours: Any) -> ReduxImageEncoder:
    """Return diffusers' Redux encoder with the weights of core's."""
    other = ReduxImageEncoder(ours.redux_dim, ours.redux_down.out_features).eval()
    other.load_state_dict(ours.state_dict())
    return other


def packed(x: torch.Tensor) -> torch.Tensor:
    """Return the tokens [B, H W / 4, 4 C] of a latent [B, C, H, W]."""
    b, c, h, w = x.shape
    return x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, 4 * c)


def unpacked(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the latent [B, C, height, width] of tokens."""
    b, _, c = tokens.shape
    return tokens.view(b, height // 2, width // 2, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, -1, height, width)


def ids(height: int, width: int, first: float = 0.0) -> torch.Tensor:
    """Return the positions [H W / 4, 3] of a latent's tokens."""
    made = torch.zeros(height // 2, width // 2, 3)
    made[..., 0] = first
    made[..., 1] += torch.arange(height // 2)[:, None]
    made[..., 2] += torch.arange(width // 2)[None]
    return made.reshape(-1, 3)


def euler(
    other: FluxTransformer2DModel,
    context: torch.Tensor,
    pooled: torch.Tensor,
    guidance: float,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    references: tuple[torch.Tensor, ...] = (),
) -> torch.Tensor:
    """Run Euler's steps over `sigmas`; `references` are latents beside the noise, each at an index of its own."""
    height, width = x.shape[-2:]
    places = [ids(height, width), *(ids(*r.shape[-2:], first=1.0) for r in references)]
    for sigma, following in pairwise(sigmas):
        tokens = torch.cat([packed(x), *(packed(r) for r in references)], dim=1)
        out = other(
            hidden_states=tokens,
            encoder_hidden_states=context,
            pooled_projections=pooled,
            timestep=sigma.expand(x.shape[0]),
            img_ids=torch.cat(places),
            txt_ids=torch.zeros(context.shape[1], 3),
            guidance=torch.tensor([guidance]).expand(x.shape[0]),
        ).sample[:, : packed(x).shape[1]]
        x = x + unpacked(out, height, width) * (following - sigma)
    return x
