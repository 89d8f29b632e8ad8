"""More micro denoisers: the real layouts of SD1.5 and SDXL with few channels, and SDXL in small."""

from __future__ import annotations

from typing import Any, ClassVar

import comfy.model_base
import comfy.sd
import comfy.supported_models
import micro
import torch

SD15_LAYOUT = {
    **micro.UNET,
    "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "transformer_depth_middle": 1,
}  # fmt: skip
SDXL = {
    **micro.UNET,
    "model_channels": 64, "num_res_blocks": [1, 1], "channel_mult": [1, 2], "transformer_depth": [1, 2],
    "transformer_depth_output": [1, 1, 2, 2], "transformer_depth_middle": 2, "context_dim": 2048, "num_heads": -1,
    "num_head_channels": 64, "use_linear_in_transformer": True, "adm_in_channels": 2816, "num_classes": "sequential",
}  # fmt: skip
SDXL_LAYOUT = {
    **SDXL,
    "num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "transformer_depth_middle": 10,
}  # fmt: skip


class MicroSDXL(comfy.supported_models.SDXL):
    """SDXL as ComfyUI recognises it, with 64 channels and fewer layers."""

    unet_config: ClassVar = {
        **comfy.supported_models.SDXL.unet_config, "model_channels": 64, "transformer_depth": SDXL["transformer_depth"],
    }  # fmt: skip


class MicroSDXLLayout(comfy.supported_models.SDXL):
    """SDXL's own layout with 64 channels."""

    unet_config: ClassVar = {**comfy.supported_models.SDXL.unet_config, "model_channels": 64}


def register() -> None:
    """Let ComfyUI's stock loaders recognise these too."""
    micro.register()
    for kind in (MicroSDXL, MicroSDXLLayout):
        if kind not in comfy.supported_models.models:
            comfy.supported_models.models.insert(0, kind)


def model_of(state: dict[str, torch.Tensor], prediction: str = "v") -> Any:
    """ComfyUI's MODEL of a denoiser's weights without prefix."""
    register()
    model = comfy.sd.load_diffusion_model_state_dict(dict(state))
    if prediction == "v":
        kind = comfy.model_base.ModelType.V_PREDICTION
        model.model.model_sampling = comfy.model_base.model_sampling(model.model.model_config, kind)
        model.model.model_type = kind
    return model
