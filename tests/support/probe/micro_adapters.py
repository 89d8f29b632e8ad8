"""IP-Adapter files of random numbers in the published form, for denoisers of any layout."""

from __future__ import annotations

from typing import Any

import torch

HEAD = 64


def widths_of(unet: dict[str, Any]) -> list[int]:
    """Widths of a UNet's cross-attentions in the files' order: input blocks, output blocks, middle."""
    channels = [unet["model_channels"] * mult for mult in unet["channel_mult"]]
    down = [c for c, blocks in zip(channels, unet["num_res_blocks"], strict=True) for _ in range(blocks)]
    up = [c for c, blocks in zip(channels, unet["num_res_blocks"], strict=True) for _ in range(blocks + 1)]
    widths = [w for w, depth in zip(down, unet["transformer_depth"], strict=True) for _ in range(depth)]
    # ComfyUI lists the output blocks' depths from the last block to the first.
    outputs = list(zip(up, unet["transformer_depth_output"], strict=True))[::-1]
    widths += [w for w, depth in outputs for _ in range(depth)]
    return widths + [channels[-1]] * unet["transformer_depth_middle"]


def attention_state(unet: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """The group ip_adapter, numbered as the files are: odd numbers, the even ones being self-attentions."""
    generator = torch.Generator().manual_seed(seed)
    context = unet["context_dim"]
    return {
        f"{2 * place + 1}.to_{part}_ip.weight": torch.randn(width, context, generator=generator) / context**0.5
        for place, width in enumerate(widths_of(unet))
        for part in "kv"
    }


def standard(unet: dict[str, Any], width: int, tokens: int = 4, seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    """A standard file for vectors of `width` numbers."""
    context = unet["context_dim"]
    shapes = {
        "proj.weight": (tokens * context, width), "proj.bias": (tokens * context,),
        "norm.weight": (context,), "norm.bias": (context,),
    }  # fmt: skip
    return {"image_proj": _random(shapes, seed), "ip_adapter": attention_state(unet, seed + 1)}


def plus(
    unet: dict[str, Any], width: int, tokens: int = 16, inner: int = 128, depth: int = 4, seed: int = 0
) -> dict[str, dict[str, torch.Tensor]]:
    """A plus file for hidden states of `width` numbers."""
    context = unet["context_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, tokens, inner), "proj_in.weight": (inner, width), "proj_in.bias": (inner,),
        "proj_out.weight": (context, inner), "proj_out.bias": (context,),
        "norm_out.weight": (context,), "norm_out.bias": (context,),
    }  # fmt: skip
    for layer in range(depth):
        attention, feed_forward = f"layers.{layer}.0", f"layers.{layer}.1"
        shapes.update(
            {f"{attention}.{norm}.{kind}": (inner,) for norm in ("norm1", "norm2") for kind in ("weight", "bias")}
        )
        shapes.update({
            f"{attention}.to_q.weight": (inner, inner), f"{attention}.to_kv.weight": (2 * inner, inner),
            f"{attention}.to_out.weight": (inner, inner), f"{feed_forward}.0.weight": (inner,),
            f"{feed_forward}.0.bias": (inner,), f"{feed_forward}.1.weight": (4 * inner, inner),
            f"{feed_forward}.3.weight": (inner, 4 * inner),
        })  # fmt: skip
    return {"image_proj": _random(shapes, seed), "ip_adapter": attention_state(unet, seed + 1)}


def flat(groups: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The same as a .safetensors file holds it."""
    return {f"{group}.{key}": value for group, state in groups.items() for key, value in state.items()}


def _random(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            state[name] = noise / shape[-1] ** 0.5
        else:
            state[name] = 0.1 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return state
