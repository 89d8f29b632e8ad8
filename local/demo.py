"""The demo model: a miniature image mixer that ships with the pack, as MODEL, CLIP, VAE and CLIP_VISION.

One safetensors file holds the weights; its metadata gives the configuration of each part.
"""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import comfy.clip_vision
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import torch
from torch import Tensor

from ..mixing.images import decode
from .demo_vae import DemoAutoencoder
from .methods.image_mixer import tag

FOLDER = Path(__file__).resolve().parent / "demo_model"
FILE = FOLDER / "image_mixer_demo.safetensors"
PICTURES = tuple(FOLDER / f"demo_{name}.png" for name in ("a", "b", "c"))
PIXELS = 64
"""Width and height of the pictures that the model was trained on."""

UNET_PREFIX = "model.diffusion_model."
TEXT_PREFIX = "cond_stage_model."
VAE_PREFIX = "first_stage_model."
VISION_PREFIX = "clip_vision."
WORDS = "cond_stage_model.words"
"""Key of the token ids whose embeddings are in the file; all other tokens of CLIP's 49,408 get a zero row."""

_TABLE = "text_model.embeddings.token_embedding.weight"
_VOCABULARY = 49408


@dataclass(frozen=True)
class DemoModel:
    """The outputs of Demo Mixer Model."""

    model: comfy.model_patcher.ModelPatcher
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE
    clip_vision: comfy.clip_vision.ClipVisionModel


class _Config(comfy.supported_models_base.BASE):
    """A small SD1.x: v prediction on Stable Diffusion's usual noise levels. Latents have unit variance and need no scale."""

    unet_extra_config: ClassVar[dict[str, Any]] = {}
    latent_format = comfy.latent_formats.LatentFormat
    supported_inference_dtypes: ClassVar[list[torch.dtype]] = [torch.float16, torch.float32]
    memory_usage_factor = 1.0

    def model_type(self, state_dict: Any, prefix: str = "") -> Any:
        return comfy.model_base.ModelType.V_PREDICTION

    def inpaint_model(self) -> bool:
        """Return False: core takes more than four latent channels for an inpainting model, but all of these are the picture's."""
        return False


@functools.lru_cache(maxsize=1)
def load_demo(file: Path = FILE) -> DemoModel:
    """Return the demo model in `file`. It is read once: 12 MB, about a second."""
    weights, metadata = comfy.utils.load_torch_file(str(file), safe_load=True, return_metadata=True)
    configs = json.loads(metadata["config"])
    return DemoModel(
        model=_model(weights, configs["unet"]),
        clip=_clip(weights, configs["text"]),
        vae=_vae(_part(weights, VAE_PREFIX), configs["vae"]),
        clip_vision=_clip_vision(_part(weights, VISION_PREFIX), configs["vision"]),
    )


def load_pictures() -> tuple[Tensor, ...]:
    """Return the bundled pictures, each [1, H, W, 3], 0 to 1: combinations that the denoiser never saw in training."""
    return tuple(decode(file.read_bytes()) for file in PICTURES)


def _part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def _model(weights: dict[str, Tensor], unet_config: dict[str, Any]) -> comfy.model_patcher.ModelPatcher:
    management = comfy.model_management
    part = {key: value for key, value in weights.items() if key.startswith(UNET_PREFIX)}
    device = management.get_torch_device()
    config = _Config(unet_config)
    config.latent_format.latent_channels = unet_config["in_channels"]
    allowed = config.supported_inference_dtypes
    dtype = management.unet_dtype(
        device=device, model_params=sum(value.numel() for value in part.values()), supported_dtypes=allowed
    )
    config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device, allowed))
    model = config.get_model(part, UNET_PREFIX, device=management.unet_offload_device())
    patcher = comfy.model_patcher.CoreModelPatcher(
        model, load_device=device, offload_device=management.unet_offload_device()
    )
    model.load_model_weights(part, UNET_PREFIX)
    tag(patcher)
    return patcher


def _clip(weights: dict[str, Tensor], text_config: dict[str, Any]) -> comfy.sd.CLIP:
    part = _part(weights, TEXT_PREFIX)
    rows = part.pop(_TABLE)
    table = torch.zeros(_VOCABULARY, rows.shape[1], dtype=rows.dtype)
    table[part.pop(WORDS[len(TEXT_PREFIX) :])] = rows
    part[_TABLE] = table

    class Inner(comfy.sd1_clip.SDClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
            super().__init__(
                device=device,
                dtype=dtype,
                textmodel_json_config=dict(text_config),
                return_projected_pooled=False,
                model_options=model_options or {},
            )

    class Outer(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
            super().__init__(device=device, dtype=dtype, clip_model=Inner, model_options=model_options or {})

    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, Outer)
    parameters = sum(value.numel() for value in part.values())
    return comfy.sd.CLIP(target, parameters=parameters, state_dict=[part])


def _vae(weights: dict[str, Tensor], vae_config: dict[str, int]) -> comfy.sd.VAE:
    """Return ComfyUI's VAE around the demo's autoencoder: the smallest kind it knows, with its network replaced."""
    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
    inner = DemoAutoencoder(vae_config, comfy.ops.disable_weight_init)
    inner.load_state_dict(weights)
    vae.first_stage_model = inner.eval().requires_grad_(False).to(vae.vae_dtype)
    vae.patcher = comfy.model_patcher.ModelPatcher(
        vae.first_stage_model, load_device=vae.device, offload_device=comfy.model_management.vae_offload_device()
    )
    vae.latent_channels = vae_config["latent_channels"]
    vae.downscale_ratio = vae.upscale_ratio = 8
    pixel_bytes = 4 * 48
    vae.memory_used_encode = lambda shape, dtype: pixel_bytes * shape[-2] * shape[-1]
    vae.memory_used_decode = lambda shape, dtype: pixel_bytes * 64 * shape[-2] * shape[-1]
    vae.size = None
    vae.model_size()
    return vae


def _clip_vision(weights: dict[str, Tensor], vision_config: dict[str, Any]) -> comfy.clip_vision.ClipVisionModel:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vision.json"  # ComfyUI 0.18 does not take a dict; a file works with all versions
        file.write_text(json.dumps(vision_config), encoding="utf-8")
        tower = comfy.clip_vision.ClipVisionModel(str(file))
    tower.load_sd(weights)
    return tower
