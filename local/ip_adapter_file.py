"""IP-Adapter files: networks that turn a vision tower's output into keys and values for a denoiser's cross-attention.

Source: Ye et al., IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models, 2023; the networks
and the names of their weights are those of tencent-ailab/IP-Adapter. Standard files project one vector to a few tokens;
plus files resample a sequence of hidden states with a few learned queries (Alayrac et al., Flamingo, 2022).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch
from torch.nn import functional

from ..mixing.errors import InputError
from .cache import CACHE
from .embeddings import Encoded

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

SUFFIXES = (".safetensors", ".bin")
HEAD = 64
"""Width of one attention head in every published resampler."""

VECTOR_TOWERS = {768: "CLIP ViT-L/14", 1024: "CLIP ViT-H/14", 1280: "CLIP ViT-bigG/14"}
STATES_TOWERS = {1024: "CLIP ViT-L/14", 1280: "CLIP ViT-H/14", 1664: "CLIP ViT-bigG/14"}
"""The tower, by the width of its projected vector, or of its hidden states."""

Kind = Literal["standard", "plus"]
_OPERATIONS = comfy.ops.manual_cast


@dataclass(frozen=True)
class Adapter:
    """A loaded IP-Adapter; graph type MIX_ADAPTER. `file` is its file name.

    `input_width` is the width of the vector (standard) or hidden states (plus) that it takes, `context` that of its
    `tokens` per picture. `widths` are those of the cross-attention layers that it is made for: input blocks, then output
    blocks, then the middle.
    """

    file: str
    kind: Kind
    input_width: int
    context: int
    tokens: int
    widths: tuple[int, ...]
    patcher: ModelPatcher

    @property
    def tower(self) -> str:
        """Return the name of the vision tower that the file was trained with."""
        names = VECTOR_TOWERS if self.kind == "standard" else STATES_TOWERS
        return names.get(self.input_width, f"a tower of width {self.input_width}")

    def seen(self, encoded: Encoded) -> torch.Tensor | None:
        """Return the adapter's input: [1, D] (standard) or [crops, tokens, D] (plus), or None if it was not encoded."""
        if self.kind == "plus":
            return encoded.penultimate
        return None if encoded.vector is None else encoded.vector[None]

    def keys_and_values(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values [tokens, sum of widths] of all layers in the file's order, float32 on the CPU.

        The tokens of several crops of one picture are averaged: a learned query means the same in every crop.
        They are kept in the cache, so that changed weights run nothing.
        """
        content = hashlib.sha256(seen.contiguous().numpy().tobytes()).hexdigest()
        kept: torch.Tensor | None = CACHE.get(self.patcher.model, (content,))
        if kept is None:
            comfy.model_management.load_model_gpu(self.patcher)
            with torch.no_grad():
                kept = self.patcher.model(seen.to(self.patcher.load_device)).to(device="cpu", copy=True)
            CACHE.put(self.patcher.model, (content,), kept)
        return kept[0], kept[1]


class Projection(torch.nn.Module):
    """The network of a standard file: one vector [n, D] to tokens [n, tokens, context]."""

    def __init__(self, width: int, context: int, tokens: int, **options: Any) -> None:
        super().__init__()
        self.shape = (tokens, context)
        self.proj = _OPERATIONS.Linear(width, tokens * context, **options)
        self.norm = _OPERATIONS.LayerNorm(context, **options)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.norm(self.proj(vectors).unflatten(-1, self.shape))
        return tokens


class PerceiverAttention(torch.nn.Module):
    """Attention of learned queries [n, tokens, D] to a picture's hidden states and to themselves."""

    def __init__(self, width: int, inner: int, **options: Any) -> None:
        super().__init__()
        self.norm1 = _OPERATIONS.LayerNorm(width, **options)
        self.norm2 = _OPERATIONS.LayerNorm(width, **options)
        self.to_q = _OPERATIONS.Linear(width, inner, bias=False, **options)
        self.to_kv = _OPERATIONS.Linear(width, 2 * inner, bias=False, **options)
        self.to_out = _OPERATIONS.Linear(inner, width, bias=False, **options)

    def forward(self, states: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        states, queries = self.norm1(states), self.norm2(queries)
        key, value = self.to_kv(torch.cat((states, queries), dim=-2)).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (-1, HEAD)).transpose(1, 2) for part in (self.to_q(queries), key, value))
        out: torch.Tensor = self.to_out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class Resampler(torch.nn.Module):
    """The network of a plus file: hidden states [n, m, D] to tokens [n, tokens, context]."""

    def __init__(self, sizes: dict[str, int], **options: Any) -> None:
        super().__init__()
        width, inner, hidden = sizes["width"], sizes["inner"], sizes["hidden"]
        self.latents = torch.nn.Parameter(torch.empty(1, sizes["tokens"], width, **options))
        self.proj_in = _OPERATIONS.Linear(sizes["input"], width, **options)
        self.layers = torch.nn.ModuleList(
            torch.nn.ModuleList(
                (
                    PerceiverAttention(width, inner, **options),
                    torch.nn.Sequential(
                        _OPERATIONS.LayerNorm(width, **options),
                        _OPERATIONS.Linear(width, hidden, bias=False, **options),
                        torch.nn.GELU(),
                        _OPERATIONS.Linear(hidden, width, bias=False, **options),
                    ),
                )
            )
            for _ in range(sizes["depth"])
        )
        self.proj_out = _OPERATIONS.Linear(width, sizes["context"], **options)
        self.norm_out = _OPERATIONS.LayerNorm(sizes["context"], **options)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = comfy.ops.cast_to_input(self.latents, states).expand(states.shape[0], -1, -1)
        states = self.proj_in(states)
        for layer in self.layers:
            attention, feed_forward = cast("torch.nn.ModuleList", layer)
            latents = attention(states, latents) + latents
            latents = feed_forward(latents) + latents
        tokens: torch.Tensor = self.norm_out(self.proj_out(latents))
        return tokens


class Layers(torch.nn.Module):
    """The whole file: the adapter's input to keys and values [2, tokens, sum of widths]."""

    def __init__(self, image_proj: torch.nn.Module, context: int, widths: tuple[int, ...], **options: Any) -> None:
        super().__init__()
        self.image_proj = image_proj
        self.to_k = torch.nn.ModuleList(_OPERATIONS.Linear(context, width, bias=False, **options) for width in widths)
        self.to_v = torch.nn.ModuleList(_OPERATIONS.Linear(context, width, bias=False, **options) for width in widths)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        tokens = self.image_proj(seen).mean(dim=0)
        return torch.stack([torch.cat([to(tokens) for to in part], dim=-1) for part in (self.to_k, self.to_v)])


def load(path: str) -> Adapter:
    """Return the adapter in the file at `path`, its weights in the file's own precision until ComfyUI loads it.

    Raise InputError if the file is not an IP-Adapter, or of a kind that this pack does not support.
    """
    name = Path(path).name
    if not name.lower().endswith(SUFFIXES):
        raise InputError(f"{name} is neither .safetensors nor .bin: only those files can be loaded.")
    try:
        raw = comfy.utils.load_torch_file(path, safe_load=True)
    except Exception as error:
        raise InputError(f"{name} cannot be read as an adapter ({type(error).__name__}): download it again.") from error
    image_proj, attention = _halves(raw, name)
    try:
        return _built(image_proj, attention, name)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{name} is a broken IP-Adapter file, or of a kind that this pack does not support ({type(error).__name__})."
        ) from error


def _halves(raw: Any, name: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the file's two groups of tensors, from nested dicts (.bin) or prefixed keys (.safetensors)."""
    if not isinstance(raw, dict):
        raise InputError(f"{name} is not an IP-Adapter file.")
    halves: list[dict[str, torch.Tensor]] = []
    for group in ("image_proj", "ip_adapter"):
        nested = raw.get(group)
        if not isinstance(nested, dict):
            nested = {key[len(group) + 1 :]: value for key, value in raw.items() if str(key).startswith(f"{group}.")}
        if not nested or not all(isinstance(value, torch.Tensor) for value in nested.values()):
            raise InputError(f"{name} is not an IP-Adapter file: it does not contain {group}.")
        halves.append(nested)
    if any("lora" in key for key in halves[1]) or any(key.startswith("perceiver_resampler") for key in halves[0]):
        raise InputError(
            f"{name} is a FaceID adapter, which needs a face detector that this pack does not include: choose another file."
        )
    return halves[0], halves[1]


def _built(image_proj: dict[str, torch.Tensor], attention: dict[str, torch.Tensor], name: str) -> Adapter:
    order = sorted({int(key.split(".")[0]) for key in attention})
    state = {f"image_proj.{key}": value for key, value in image_proj.items()}
    for index, number in enumerate(order):
        for part in ("k", "v"):
            state[f"to_{part}.{index}.weight"] = attention[f"{number}.to_{part}_ip.weight"]
    widths = tuple(state[f"to_k.{index}.weight"].shape[0] for index in range(len(order)))
    context = state["to_k.0.weight"].shape[1]
    if len(attention) != 2 * len(order) or not state["to_k.0.weight"].is_floating_point():
        raise ValueError("tensors that no IP-Adapter has")
    load_device, offload_device = _devices()
    options = {"dtype": state["to_k.0.weight"].dtype, "device": offload_device}
    network: torch.nn.Module
    kind: Kind
    if "proj.weight" in image_proj:
        rows, width = image_proj["proj.weight"].shape
        kind, tokens = "standard", rows // context
        network = Projection(width, context, tokens, **options)
    elif "latents" in image_proj:
        sizes = _resampler_sizes(image_proj)
        kind, tokens, width = "plus", sizes["tokens"], sizes["input"]
        network = Resampler(sizes, **options)
    else:
        raise InputError(
            f"{name} is of a kind that this pack does not support: choose a standard or plus IP-Adapter of SD1.5 or SDXL."
        )
    module = Layers(network, context, widths, **options).eval().requires_grad_(False)
    patcher = comfy.model_patcher.CoreModelPatcher(module, load_device=load_device, offload_device=offload_device)
    module.load_state_dict(state, strict=True, assign=patcher.is_dynamic())
    return Adapter(name, kind, width, context, tokens, widths, patcher)


def _resampler_sizes(image_proj: dict[str, torch.Tensor]) -> dict[str, int]:
    _, tokens, width = image_proj["latents"].shape
    inner = image_proj["layers.0.0.to_q.weight"].shape[0]
    if inner % HEAD:
        raise ValueError("attention heads that no IP-Adapter has")
    return {
        "tokens": tokens,
        "width": width,
        "inner": inner,
        "hidden": image_proj["layers.0.1.1.weight"].shape[0],
        "depth": 1 + max(int(key.split(".")[1]) for key in image_proj if key.startswith("layers.")),
        "input": image_proj["proj_in.weight"].shape[1],
        "context": image_proj["proj_out.weight"].shape[0],
    }


def _devices() -> tuple[torch.device, torch.device]:
    """Return the device on which the adapter computes, and the one on which it waits."""
    return comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
