"""Small models with random weights that take reference images: Flux and Krea2 in shapes that ComfyUI's loaders know,
Qwen-Image in a class defined here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import comfy.ops
import comfy.sd
import comfy.supported_models
import comfy.text_encoders.flux
import random_model
import torch

TEXT = 64
POOLED = 32
SMALL_TEXT = {
    "t5xxl_model_config": {"num_layers": 1, "d_ff": 64, "num_heads": 2, "d_kv": 32},
    "clip_l_model_config": {"num_hidden_layers": 1, "intermediate_size": 64},
}
FLUX = {
    "image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "vec_in_dim": POOLED,
    "context_in_dim": TEXT, "hidden_size": 128, "mlp_ratio": 4.0, "num_heads": 1, "depth": 1, "depth_single_blocks": 1,
    "axes_dim": [16, 56, 56], "theta": 10000, "qkv_bias": True, "guidance_embed": True, "txt_ids_dims": [],
}  # fmt: skip
FLUX2 = {
    **FLUX, "image_model": "flux2", "in_channels": 128, "out_channels": 128, "patch_size": 1, "vec_in_dim": None,
    "mlp_ratio": 3.0, "axes_dim": [32, 32, 32, 32], "theta": 2000, "qkv_bias": False, "txt_ids_dims": [3],
    "global_modulation": True, "mlp_silu_act": True, "ops_bias": False, "default_ref_method": "index",
    "ref_index_scale": 10.0,
}  # fmt: skip
QWEN = {
    "in_channels": 64, "num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 32, "joint_attention_dim": TEXT,
    "axes_dims_rope": (8, 12, 12),
}  # fmt: skip
KREA2 = {"features": 128, "heads": 1, "kvheads": 1, "layers": 2, "txtdim": 40, "txtlayers": 2}


class MicroQwenImage(comfy.supported_models.QwenImage):
    """Qwen-Image with two heads of 32; the stock class has 24 of 128, whatever the file says."""

    unet_extra_config: ClassVar = {key: QWEN[key] for key in list(QWEN)[2:]}


def register() -> None:
    """Let ComfyUI's stock loaders take the micro Qwen-Image, and make Flux's text encoders of one layer, in this process.

    These text encoders read no weights from files, so the full-depth files that other templates need can be used too.
    """
    if MicroQwenImage in comfy.supported_models.models:
        return
    comfy.supported_models.models.insert(0, MicroQwenImage)
    tower = comfy.text_encoders.flux.FluxClipModel
    made = tower.__init__

    def small(self: Any, *args: Any, model_options: Any = None, **kwargs: Any) -> None:
        made(self, *args, model_options={**(model_options or {}), **SMALL_TEXT}, **kwargs)
        for parameter in self.parameters():
            parameter.data.fill_(0.01)

    tower.__init__ = small
    tower.load_sd = lambda self, state: ([], [])


def state(family: str, seed: int = 1, **changes: Any) -> dict[str, torch.Tensor]:
    """Random weights of a micro "flux", "flux2", "qwen_image" or "krea2", as its file has them."""
    made = {"device": "cpu", "dtype": torch.float32, "operations": comfy.ops.disable_weight_init}
    if family in ("flux", "flux2"):
        from comfy.ldm.flux.model import Flux

        module = Flux(**(FLUX if family == "flux" else FLUX2) | changes, **made)
    elif family == "qwen_image":
        from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel

        module = QwenImageTransformer2DModel(**QWEN, **made)
    else:
        from comfy.ldm.krea2.model import SingleStreamDiT

        module = SingleStreamDiT(**KREA2, **made)
    return random_model.random_state(module, seed)


def build(family: str, seed: int = 1) -> Any:
    """Return a MODEL through ComfyUI's own loader."""
    register()
    return comfy.sd.load_diffusion_model_state_dict(state(family, seed))


def vae_state(seed: int = 2) -> dict[str, torch.Tensor]:
    """A TAESD of 16 channels, Flux's number, in the keys that Load VAE takes."""
    from comfy.taesd.taesd import TAESD

    return random_model.random_state(TAESD(latent_channels=16), seed, 1.4)


class MicroVAE:
    """A VAE of one matrix: 16 channels per 8 x 8 pixels, with a time dimension if `video`."""

    def __init__(self, seed: int = 2, video: bool = False) -> None:
        self.first_stage_model = torch.nn.Identity()
        self.patcher = type("Patcher", (), {"patches": {}})()
        self.calls = 0
        self._video = video
        self._matrix = torch.randn(192, 16, generator=torch.Generator().manual_seed(seed)) / 192**0.5

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        tiles = torch.nn.functional.pixel_unshuffle(pixels.movedim(-1, 1) * 2 - 1, 8).movedim(1, -1)
        latent = (tiles @ self._matrix).movedim(-1, 1)
        return latent[:, :, None] if self._video else latent

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        if self._video:
            latent = latent[:, :, 0]
        tiles = latent.movedim(1, -1) @ self._matrix.T
        return torch.nn.functional.pixel_shuffle(tiles.movedim(-1, 1), 8).movedim(1, -1)


def write(folder: Path) -> None:
    """The files that the template for reference images asks for, under a server's models folder.

    Flux has the widths of the real text encoders. Their files are almost empty, since `register` made them of one layer.
    """
    from safetensors.torch import save_file

    files = {
        "diffusion_models/flux1-dev-kontext_fp8_scaled": state("flux", context_in_dim=4096, vec_in_dim=768),
        "text_encoders/t5xxl_fp8_e4m3fn_scaled": {"encoder.final_layer_norm.weight": torch.ones(4096)},
        "text_encoders/clip_l": {"text_model.encoder.layers.1.mlp.fc1.weight": torch.zeros(64, 768)},
        "vae/ae": vae_state(),
    }
    for name, tensors in files.items():
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            save_file(tensors, str(path))


class MicroCLIP:
    """A text encoder whose tokens are drawn from the text, with what Image Mixer (Local) needs of ComfyUI's CLIP."""

    def __init__(self) -> None:
        self.cond_stage_model = torch.nn.Identity()
        self.patcher = type("Patcher", (), {"patches": {}})()
        self.tokenizer, self.layer_idx, self.tokenizer_options = None, None, {}
        self.use_clip_schedule, self.apply_hooks_to_conds = False, None
        self.calls = 0

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, tokens: str) -> Any:
        self.calls += 1
        generator = torch.Generator().manual_seed(sum(map(ord, tokens)))
        pooled = torch.randn(1, POOLED, generator=generator)
        return [[torch.randn(1, 7, TEXT, generator=generator), {"pooled_output": pooled}]]
