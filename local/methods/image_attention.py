"""Image tokens in a UNet's cross-attention: keys and values that travel with the conditioning, and patches that use them.

Keys and values of all layers are packed into one tensor [items, terms, numbers] in a conditioning entry's `model_conds`, so
that ComfyUI batches, repeats, masks and time-limits them like any other conditioning. A wrapper of the denoiser takes them
out of its arguments once per forward. One patch per layer, which does not hold weights, adds its attention to the text's.
Each term is a softmax of its own. An optional bias [items, 1, 1, tokens], the logarithm of weights, weighs its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.conds
import torch
from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention
from comfy.patcher_extension import WrappersMP
from torch.nn import functional

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

PREFIX = "image_mixer_tokens"
LayerId = tuple[str, int, int]
"""How ComfyUI names a cross-attention: block ("input", "middle" or "output"), its number, and the layer in it."""


@dataclass(frozen=True)
class Layer:
    """One cross-attention of a UNet. `transformer` is the index of its transformer in execution order; `context` is the
    width of the text's tokens.
    """

    id: LayerId
    transformer: int
    heads: int
    head: int
    context: int

    @property
    def width(self) -> int:
        """Return the width of one query."""
        return self.heads * self.head


def layers_of(denoiser: torch.nn.Module) -> list[Layer]:
    """Return the cross-attentions of a UNet in execution order: input, middle, output blocks. Empty for a model without any."""
    found: list[Layer] = []
    count = 0
    for block, number, module in _blocks(denoiser):
        for transformer in module.modules():
            if not isinstance(transformer, SpatialTransformer):
                continue
            for index, layer in enumerate(transformer.transformer_blocks):
                if layer.attn2 is not None:
                    found.append(
                        Layer((block, number, index), count, layer.n_heads, layer.d_head, layer.attn2.to_k.in_features)
                    )
            count += 1
    return found


def _blocks(denoiser: torch.nn.Module) -> Iterator[tuple[str, int, torch.nn.Module]]:
    for number, module in enumerate(getattr(denoiser, "input_blocks", ())):
        yield "input", number, module
    middle = getattr(denoiser, "middle_block", None)
    if middle is not None:
        yield "middle", 0, middle
    for number, module in enumerate(getattr(denoiser, "output_blocks", ())):
        yield "output", number, module


@dataclass(frozen=True)
class Group:
    """Layers of one shape. They are adjacent in the packed tensor, so that one view and one unbind separate them."""

    heads: int
    head: int
    layers: tuple[int, ...]


Term = tuple[torch.Tensor, torch.Tensor]
"""Keys and values [items, heads, tokens, numbers of a head] of one softmax."""


class Layout:
    """How keys and values of `layers` are packed into one tensor."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.width = sum(layer.width for layer in layers)
        shapes = dict.fromkeys((layer.heads, layer.head) for layer in layers)
        self.groups = tuple(
            Group(*shape, tuple(i for i, layer in enumerate(layers) if (layer.heads, layer.head) == shape))
            for shape in shapes
        )

    def packed(self, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Pack `keys` and `values` [items, terms, tokens, width], columns in the order of layers: [items, terms, numbers]."""
        items, terms, _, _ = keys.shape
        widths = [layer.width for layer in self.layers]
        columns = [part.split_with_sizes(widths, dim=-1) for part in (keys, values)]
        parts = []
        for group in self.groups:
            both = [torch.unflatten(part[i], -1, (group.heads, group.head)) for i in group.layers for part in columns]
            # [items, layer's keys or values, term, head, token, number]: contiguous per attention.
            parts.append(torch.stack(both, dim=1).transpose(3, 4).reshape(items, -1))
        return torch.cat(parts, dim=1).reshape(items, terms, -1)

    def unpacked(self, tensor: torch.Tensor) -> list[list[Term]]:
        """Return the terms of each layer, as views of a tensor from `packed`."""
        items, terms, numbers = tensor.shape
        tokens = numbers // (2 * self.width)
        sizes = [len(group.layers) * 2 * terms * tokens * group.heads * group.head for group in self.groups]
        found: list[list[Term]] = [[] for _ in self.layers]
        for group, part in zip(self.groups, tensor.view(items, -1).split_with_sizes(sizes, dim=1), strict=True):
            pieces = part.view(items, -1, group.heads, tokens, group.head).unbind(1)
            for position, index in enumerate(group.layers):
                begin = position * 2 * terms
                found[index] = [(pieces[begin + i], pieces[begin + terms + i]) for i in range(terms)]
        return found


def conds(key: str, tensor: torch.Tensor, bias: torch.Tensor | None) -> dict[str, Any]:
    """Return the entries of `model_conds` that carry a packed tensor and its bias."""
    carried = {key: comfy.conds.CONDRegular(tensor)}
    if bias is not None:
        carried[_bias_key(key)] = comfy.conds.CONDRegular(bias)
    return carried


def patched(model: ModelPatcher, layout: Layout) -> tuple[ModelPatcher, str]:
    """Return a clone of `model` that adds the image tokens in its conditioning, and the key under which it finds them.

    Earlier patches of a cross-attention, such as those of another mix, still act.
    """
    clone = model.clone()
    key = f"{PREFIX}_{sum(name.startswith(PREFIX) for name in clone.wrappers.get(WrappersMP.DIFFUSION_MODEL, ()))}"
    options = clone.model_options.get("transformer_options", {})
    before = options.get("patches_replace", {}).get("attn2", {})
    for index, layer in enumerate(layout.layers):
        patch = Attention(key, index, before.get(layer.id) or before.get(layer.id[:2]))
        clone.set_model_attn2_replace(patch, *layer.id)
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, key, Unpacking(key, layout))
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, key, OnDevice(key))
    return clone, key


class OnDevice:
    """Wrapper of a sampling run: moves the tokens to the device once instead of every step, for this run only."""

    def __init__(self, key: str) -> None:
        self.keys = (key, _bias_key(key))

    def __call__(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        guider = executor.class_obj
        device = guider.model_patcher.load_device
        for name, entries in guider.conds.items():
            guider.conds[name] = entries and [self._moved(entry, device) for entry in entries]
        return executor(*args, **kwargs)

    def _moved(self, entry: dict[str, Any], device: Any) -> dict[str, Any]:
        carried = entry.get("model_conds", {})
        moved = {key: type(carried[key])(carried[key].cond.to(device)) for key in self.keys if key in carried}
        return {**entry, "model_conds": {**carried, **moved}}


class Unpacking:
    """Wrapper of one forward: takes the tokens out of the arguments and passes them to the patches."""

    def __init__(self, key: str, layout: Layout) -> None:
        self.key = key
        self.bias_key = _bias_key(key)
        self.layout = layout

    def __call__(
        self, executor: Any, x: Any, timesteps: Any, context: Any, y: Any, control: Any, options: Any, **kwargs: Any
    ) -> Any:
        tensor, bias = kwargs.pop(self.key, None), kwargs.pop(self.bias_key, None)
        if tensor is not None:
            options = {**options, self.key: (self.layout.unpacked(tensor), bias)}
        return executor(x, timesteps, context, y, control, options, **kwargs)


class Attention:
    """Patch of one cross-attention: the text's attention, or an earlier patch, plus attention to the image tokens."""

    def __init__(self, key: str, index: int, before: Any) -> None:
        self.key = key
        self.index = index
        self.before = before

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        heads, head = options["n_heads"], options["dim_head"]
        out: torch.Tensor
        if self.before is not None:
            out = self.before(q, k, v, options)
        else:
            precision = options.get("attn_precision")
            out = optimized_attention(q, k, v, heads, attn_precision=precision, transformer_options=options)
        carried = options.get(self.key)
        if carried is None:
            return out
        layers, bias = carried
        queries = q.view(q.shape[0], -1, heads, head).transpose(1, 2)
        (keys, values), *others = layers[self.index]
        added = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        for keys, values in others:
            added = added + functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
        return out + added.transpose(1, 2).reshape(q.shape)


def _bias_key(key: str) -> str:
    return f"{key}_bias"
