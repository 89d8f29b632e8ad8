"""Micro models: ComfyUI's own classes with few channels and random numbers. They prove wiring, never quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import comfy.clip_vision
import comfy.model_base
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.taesd.taesd import TAESD

WIDTH = 768
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": WIDTH,
    "num_heads": 8,
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "legacy": False,
}
TOWER = {
    "model_type": "clip_vision_model",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "image_size": 56,
    "patch_size": 14,
    "num_channels": 3,
    "projection_dim": WIDTH,
    "hidden_act": "quick_gelu",
}
TEXT_TOWER = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 12, "num_hidden_layers": 1}


class MicroSD15(comfy.supported_models.SD15):
    """SD1.x as ComfyUI recognises it, with 32 channels."""

    unet_config: ClassVar = {**comfy.supported_models.SD15.unet_config, "model_channels": 32}


def register() -> None:
    """Let ComfyUI's stock loaders recognise micro checkpoints in this process."""
    if MicroSD15 not in comfy.supported_models.models:
        comfy.supported_models.models.insert(0, MicroSD15)


@dataclass
class MicroModels:
    """What the loaders return, as objects of ComfyUI's classes."""

    model: Any
    clip: Any
    vae: Any
    clip_vision: Any


def random_state(module: torch.nn.Module, seed: int, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """A state dict of `module`'s shapes: matrices of random numbers that keep variance, vectors near 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            state[name] = value
            continue
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim > 1:
            state[name] = noise * scale / max(1.0, value[0].numel()) ** 0.5
        else:
            state[name] = noise * 0.1 + (1.0 if name.endswith("weight") else 0.0)
    return state


def unet_state(seed: int = 1) -> dict[str, torch.Tensor]:
    """Random weights of the micro denoiser, without a prefix; its answers are of the size of a trained one's."""
    unet = UNetModel(**UNET, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    state = random_state(unet, seed)
    state["out.2.weight"] *= 0.3
    return state


def taesd_state(seed: int = 2) -> dict[str, torch.Tensor]:
    """Random weights of a TAESD, a VAE that ComfyUI loads from 5 MB."""
    return random_state(TAESD(latent_channels=4), seed, 1.4)


def build(seed: int = 0, tagged: bool = True, prediction: str = "v") -> MicroModels:
    """The whole set. Two calls with one seed give equal models.

    `prediction` "eps" is Lambda's. Random numbers denoise nothing with it: latents stay some 100 in size, where float32
    itself is off by 1e-4. With "v" they are of the size of a trained model's, so that absolute bounds mean something.
    """
    register()
    state = {f"model.diffusion_model.{key}": value for key, value in unet_state(seed + 1).items()}
    state.update({f"first_stage_model.{key}": value for key, value in taesd_state(seed + 2).items()})
    model, _, vae, _ = comfy.sd.load_state_dict_guess_config(state, output_clip=False)
    if prediction == "v":
        kind = comfy.model_base.ModelType.V_PREDICTION
        model.model.model_sampling = comfy.model_base.model_sampling(model.model.model_config, kind)
        model.model.model_type = kind
    if tagged:
        model.set_attachments("image_mixer", True)
    return MicroModels(model, text_tower(seed + 3), vae, vision_tower(seed + 4))


def vision_tower(seed: int, **changes: Any) -> Any:
    """A CLIP_VISION of three layers."""
    tower = comfy.clip_vision.ClipVisionModel({**TOWER, **changes})
    tower.load_sd(random_state(tower.model, seed, 1.4))
    return tower


def text_tower(seed: int) -> Any:
    """A CLIP of one layer in SD1's class, with a text projection."""
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    options = {"clip_l_model_config": TEXT_TOWER}
    clip = comfy.sd.CLIP(target, model_options=options)
    clip.cond_stage_model.clip_l.transformer.load_state_dict(
        random_state(clip.cond_stage_model.clip_l.transformer, seed, 1.4)
    )
    return clip


def strided(shape: tuple[int, ...], seed: int = 5, buffer: int = 1 << 16) -> torch.Tensor:
    """A tensor of that shape whose elements all lie in a buffer of `buffer` numbers: full size loaded, small on disk.

    Every row begins at another place of the buffer.
    """
    rows, columns = shape[0], int(torch.tensor(shape[1:]).prod()) if len(shape) > 1 else 1
    store = torch.randn(buffer + rows, generator=torch.Generator().manual_seed(seed)) / max(columns, 1) ** 0.5
    if columns > buffer:
        return torch.as_strided(store, shape, (1,) + (0,) * (len(shape) - 1))
    inner = torch.empty(shape[1:], device="meta").stride() if len(shape) > 1 else ()
    return torch.as_strided(store, shape, (1, *inner))


def write_checkpoint(path: Path, visual: bool = True, seed: int = 0) -> None:
    """A .ckpt like Lambda's: micro denoiser, TAESD, and a ViT-L/14 of real shape that is small on disk."""
    state = {f"model.diffusion_model.{key}": value for key, value in unet_state(seed + 1).items()}
    state.update({f"first_stage_model.{key}": value for key, value in taesd_state(seed + 2).items()})
    if visual:
        state.update(open_clip_visual("cond_stage_model.model.visual."))
    torch.save({"state_dict": state}, path)


def open_clip_visual(prefix: str) -> dict[str, torch.Tensor]:
    """ViT-L/14 in OpenAI's key names, strided."""
    width, layers = 1024, 24
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (width,),
        "positional_embedding": (257, width),
        "conv1.weight": (width, 3, 14, 14),
        "ln_pre.weight": (width,),
        "ln_pre.bias": (width,),
        "ln_post.weight": (width,),
        "ln_post.bias": (width,),
        "proj": (width, WIDTH),
    }
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}."
        shapes.update(
            {
                f"{block}attn.in_proj_weight": (3 * width, width),
                f"{block}attn.in_proj_bias": (3 * width,),
                f"{block}attn.out_proj.weight": (width, width),
                f"{block}attn.out_proj.bias": (width,),
                f"{block}mlp.c_fc.weight": (4 * width, width),
                f"{block}mlp.c_fc.bias": (4 * width,),
                f"{block}mlp.c_proj.weight": (width, 4 * width),
                f"{block}mlp.c_proj.bias": (width,),
                f"{block}ln_1.weight": (width,),
                f"{block}ln_1.bias": (width,),
                f"{block}ln_2.weight": (width,),
                f"{block}ln_2.bias": (width,),
            }
        )
    return {f"{prefix}{name}": strided(shape, seed) for seed, (name, shape) in enumerate(shapes.items())}
