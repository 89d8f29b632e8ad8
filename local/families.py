"""What ComfyUI's model objects say about themselves: configuration, family, shape of the latents.

Model families cannot all be told apart by class, so methods look here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


def unet_config(model: ModelPatcher) -> Mapping[str, Any]:
    """Return the denoiser's configuration, empty if the model does not have one."""
    config = getattr(model.model, "model_config", None)
    return getattr(config, "unet_config", None) or {}


def family_of(model: ModelPatcher) -> str | None:
    """Return ComfyUI's `image_model` ("flux", "qwen_image", ...), or None for the UNets of Stable Diffusion."""
    return unet_config(model).get("image_model")


def class_name(model: ModelPatcher) -> str:
    """Return the name of ComfyUI's class for the model, as messages show it."""
    return type(model.model).__name__


def latent_dimensions(model: ModelPatcher) -> int:
    """Return 2 for latents [B, C, H, W], 3 for [B, C, T, H, W]."""
    return getattr(model.get_model_object("latent_format"), "latent_dimensions", 2)


def is_distilled(model: ModelPatcher) -> bool:
    """Return whether the model takes the guidance scale as an input (Flux dev, for example) and is sampled at cfg 1."""
    return bool(unet_config(model).get("guidance_embed"))
