"""A checkpoint like Lambda's Image Mixer with random weights: it shows that the wiring is right, not the quality.

The vision encoder has ViT-L/14's real shape, but its tensors are overlapping windows of small buffers, so that it is
small on disk.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

WIDTH = 768
BUFFER = 1 << 16


def random_state(module: torch.nn.Module, seed: int, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """Return a state dict of `module`'s shapes: random matrices that keep variance, vectors near 0 or 1."""
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


def unet_state(config: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Return random weights of a denoiser, without a prefix; its outputs are as large as a trained one's."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(**config, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    state = random_state(unet, seed)
    state["out.2.weight"] *= 0.3
    return state


def taesd_state(seed: int) -> dict[str, torch.Tensor]:
    """Random weights of a TAESD, a VAE that ComfyUI loads from 5 MB."""
    from comfy.taesd.taesd import TAESD

    return random_state(TAESD(latent_channels=4), seed, 1.4)


def strided(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """A tensor of that shape whose elements all lie in one small buffer: full size once loaded, small on disk.

    Every row begins at another offset in the buffer; a row longer than the buffer is one number repeated.
    """
    columns = math.prod(shape[1:])
    store = torch.randn(BUFFER + shape[0], generator=torch.Generator().manual_seed(seed)) / max(columns, 1) ** 0.5
    if columns > BUFFER:
        return torch.as_strided(store, shape, (1,) + (0,) * (len(shape) - 1))
    inner = torch.empty(shape[1:], device="meta").stride() if len(shape) > 1 else ()
    return torch.as_strided(store, shape, (1, *inner))


def open_clip_blocks(width: int, layers: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of an encoder's layers as OpenCLIP and OpenAI call them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}."
        shapes.update({
            f"{block}attn.in_proj_weight": (3 * width, width), f"{block}attn.in_proj_bias": (3 * width,),
            f"{block}attn.out_proj.weight": (width, width), f"{block}attn.out_proj.bias": (width,),
            f"{block}mlp.c_fc.weight": (4 * width, width), f"{block}mlp.c_fc.bias": (4 * width,),
            f"{block}mlp.c_proj.weight": (width, 4 * width), f"{block}mlp.c_proj.bias": (width,),
            f"{block}ln_1.weight": (width,), f"{block}ln_1.bias": (width,),
            f"{block}ln_2.weight": (width,), f"{block}ln_2.bias": (width,),
        })  # fmt: skip
    return shapes


def open_clip_visual(prefix: str) -> dict[str, torch.Tensor]:
    """ViT-L/14 under OpenAI's key names, strided."""
    width, layers = 1024, 24
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (width,), "positional_embedding": (257, width), "conv1.weight": (width, 3, 14, 14),
        "ln_pre.weight": (width,), "ln_pre.bias": (width,), "ln_post.weight": (width,), "ln_post.bias": (width,),
        "proj": (width, WIDTH),
    }  # fmt: skip
    shapes.update(open_clip_blocks(width, layers))
    return {f"{prefix}{name}": strided(shape, seed) for seed, (name, shape) in enumerate(shapes.items())}


def clip_l_shapes() -> dict[str, tuple[int, ...]]:
    """CLIP ViT-L/14's text half with its projection, in the keys and shapes of clip_l.safetensors."""
    width, tokens = WIDTH, 49408
    shapes: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (tokens, width),
        "text_model.embeddings.position_embedding.weight": (77, width),
        "text_model.final_layer_norm.weight": (width,), "text_model.final_layer_norm.bias": (width,),
        "text_projection.weight": (width, width),
    }  # fmt: skip
    for layer in range(12):
        block = f"text_model.encoder.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{block}self_attn.{part}.weight"] = (width, width)
            shapes[f"{block}self_attn.{part}.bias"] = (width,)
        shapes.update({
            f"{block}mlp.fc1.weight": (4 * width, width), f"{block}mlp.fc1.bias": (4 * width,),
            f"{block}mlp.fc2.weight": (width, 4 * width), f"{block}mlp.fc2.bias": (width,),
            f"{block}layer_norm1.weight": (width,), f"{block}layer_norm1.bias": (width,),
            f"{block}layer_norm2.weight": (width,), f"{block}layer_norm2.bias": (width,),
        })  # fmt: skip
    return shapes


def strided_state(shapes: dict[str, tuple[int, ...]], prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors of those shapes, small on disk as .ckpt, .pt and .bin."""
    return {f"{prefix}{name}": strided(shape, seed) for seed, (name, shape) in enumerate(shapes.items())}


def unet_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a denoiser's weights."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(**config, dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init)
    return {name: tuple(value.shape) for name, value in unet.state_dict().items()}


def write_checkpoint(path: Path, unet: dict[str, Any], visual: bool = True, seed: int = 0) -> None:
    """Write a .ckpt like Lambda's: a denoiser of that configuration, a TAESD, and (if `visual`) its vision encoder."""
    state = {f"model.diffusion_model.{key}": value for key, value in unet_state(unet, seed + 1).items()}
    state.update({f"first_stage_model.{key}": value for key, value in taesd_state(seed + 2).items()})
    if visual:
        state.update(open_clip_visual("cond_stage_model.model.visual."))
    torch.save({"state_dict": state}, path)
