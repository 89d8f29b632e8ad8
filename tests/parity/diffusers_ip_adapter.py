"""Tiny UNets of diffusers with random numbers, and the same numbers in ComfyUI's MODEL."""

from __future__ import annotations

from typing import Any

import comfy.utils
import micro
import micro_unets
import torch
from diffusers import UNet2DConditionModel


def sd15() -> tuple[UNet2DConditionModel, Any]:
    """Return (diffusers' UNet, ComfyUI's model) of the other tests' micro SD1.5."""
    return _pair(micro.UNET, {"attention_head_dim": 8, "cross_attention_dim": micro.WIDTH})


def sdxl() -> tuple[UNet2DConditionModel, Any]:
    """Return (diffusers' UNet, ComfyUI's model) of a small SDXL."""
    return _pair(
        micro_unets.SDXL,
        {
            "attention_head_dim": (1, 2), "cross_attention_dim": 2048, "transformer_layers_per_block": (1, 2),
            "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    )  # fmt: skip


def _pair(config: dict[str, Any], options: dict[str, Any]) -> tuple[UNet2DConditionModel, Any]:
    channels = tuple(config["model_channels"] * mult for mult in config["channel_mult"])
    with torch.inference_mode(False), torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            block_out_channels=channels, layers_per_block=1, norm_num_groups=32,
            down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2, **options,
        )  # fmt: skip
        for parameter in unet.parameters():
            # Fresh norms and biases are ones and zeros, which would hide a mistake in the order.
            if parameter.ndim == 1:
                parameter.data += 0.1 * torch.randn(parameter.shape)
    names = comfy.utils.unet_to_diffusers(config)
    state = {names[name]: value.detach().clone() for name, value in unet.state_dict().items()}
    return unet.eval().requires_grad_(False), micro_unets.model_of(state, prediction="eps")


def with_adapters(unet: Any, groups: list[dict[str, Any]], scales: list[float]) -> Any:
    """Return `unet` with those adapters loaded at those scales."""
    with torch.inference_mode(False):
        unet._load_ip_adapter_weights(groups, low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = list(scales)
    return unet


def forward(unet: Any, x: torch.Tensor, step: float, text: torch.Tensor, seen: list[torch.Tensor], **added: Any) -> Any:
    """Return diffusers' noise prediction; `seen` is [items, images, D] (or [items, images, m, D]) per adapter."""
    return unet(
        x, torch.as_tensor(step), encoder_hidden_states=text, added_cond_kwargs={"image_embeds": seen, **added}
    ).sample
