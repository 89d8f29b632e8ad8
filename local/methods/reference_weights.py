"""Weights of reference latents: log weights that travel with the conditioning, and a model that adds them to its attention.

Log weight log(w) on the keys of a picture multiplies what attention gives to its tokens by w, before it is normalised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import comfy.conds
import torch
from comfy.patcher_extension import WrappersMP

from ...mixing.errors import InputError
from ..families import family_of

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

KEY = "image_mixer_reference"
"""Names the log weights [items, references] in a conditioning entry's model_conds, so that ComfyUI batches them."""

BIAS = "image_mixer_reference_bias"
"""Names the bias of the references' keys [items, 1, tokens] in the transformer_options of one forward."""

_RETURNS_A_MASK = frozenset({"flux", "flux2", "krea2"})
"""Families whose attn1_patch may return a mask. Qwen-Image ignores it."""


class _Rows(comfy.conds.CONDRegular):  # type: ignore[misc, unused-ignore]  # ComfyUI is untyped
    """Log weights for the items of a batch; the batch may be a multiple of them."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """See CONDRegular. Raise InputError if the rows do not fit the batch, before the model runs."""
        if batch_size % len(self.cond):
            raise InputError(
                f"The mix has {len(self.cond)} variants and the latent a batch of {batch_size}: give it one item per variant."
            )
        return super().process_cond(batch_size, **kwargs)


def with_references(
    options: dict[str, Any], latents: Sequence[torch.Tensor], logs: torch.Tensor, dimensions: int
) -> dict[str, Any]:
    """Return a conditioning entry's `options` with `latents` after its own references, and the log weights of all.

    `logs` is [1 or items, latents]. `dimensions` are those of the model's latents, 2 or 3. May change `options`.
    """
    if dimensions == 3 and "mask" in options:
        # With three dimensions core takes the mask's first one for time, unless there is another beside the batch.
        options["mask"] = options["mask"].reshape(-1, 1, *options["mask"].shape[-2:])
    if not latents:
        return options
    earlier = options.get("reference_latents", [])
    conds = dict(options.get("model_conds", {}))
    before = conds[KEY].cond if KEY in conds else torch.zeros(1, 0)
    before = torch.nn.functional.pad(before, (0, len(earlier) - before.shape[1]))
    if 1 not in (len(before), len(logs)) and len(before) != len(logs):
        raise InputError(
            f"The conditioning has weights for {len(before)} items and the mix for {len(logs)}: give both the same number."
        )
    items = max(len(before), len(logs))
    weights = torch.cat([before.expand(items, -1), logs.expand(items, -1)], dim=1)
    if bool(weights.any()) or items > 1:  # weight 1 everywhere needs no bias, and attention without a mask is faster
        conds[KEY] = _Rows(weights)
    return {**options, "reference_latents": [*earlier, *latents], "model_conds": conds}


def weighing(model: ModelPatcher) -> ModelPatcher:
    """Return a clone of `model` that uses the log weights in a conditioning; one clone works for every mix."""
    if model.get_wrappers(WrappersMP.DIFFUSION_MODEL, KEY):
        return model
    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, _handed_over)
    model.set_model_post_input_patch(_spread)
    if family_of(model) in _RETURNS_A_MASK:
        model.set_model_attn1_patch(_with_bias)
    else:
        options = model.model_options["transformer_options"]
        options["optimized_attention_override"] = _biased(options.get("optimized_attention_override"))
    return model


def _handed_over(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """Move the log weights to the transformer_options, which every family takes as its last positional argument.

    They arrive as an argument of the forward, so that a compiled one is compiled anew when they appear or vanish.
    """
    logs = kwargs.pop(KEY, None)
    if logs is not None:
        args = (*args[:-1], {**args[-1], KEY: logs})
    return executor(*args, **kwargs)


def _spread(args: dict[str, Any]) -> dict[str, Any]:
    """Make the bias [items, 1, tokens] of the references' tokens from the log weights, once per forward."""
    options = args["transformer_options"]
    counts = options.get("reference_image_num_tokens")
    if KEY in options and counts:
        logs = options[KEY]
        logs = torch.nn.functional.pad(logs, (0, len(counts) - logs.shape[1]))
        columns = [logs[:, index : index + 1].expand(-1, count) for index, count in enumerate(counts)]
        options[BIAS] = torch.cat(columns, dim=1)[:, None]
    return args


def _with_bias(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    pe: Any = None,
    attn_mask: torch.Tensor | None = None,
    extra_options: Any = None,
) -> dict[str, Any]:
    """Add the bias; an attn1_patch of ComfyUI."""
    bias = extra_options.get(BIAS)
    return {} if bias is None else {"attn_mask": _added(attn_mask, bias, k)}


def _biased(inner: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return an optimized_attention_override that adds the bias, around the one that is there already."""

    def attention(
        function: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, mask: Any = None, **kwargs: Any
    ) -> Any:
        bias = (kwargs.get("transformer_options") or {}).get(BIAS)
        mask = mask if bias is None else _added(mask, bias, k)
        if inner is not None:
            return inner(function, q, k, v, heads, mask=mask, **kwargs)
        return function(q, k, v, heads, mask=mask, **kwargs)

    return attention


def _added(mask: torch.Tensor | None, bias: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Return attention's `mask` plus `bias` [items, 1, tokens] on the last of the keys `k` [items, heads, keys, D]."""
    bias = torch.nn.functional.pad(bias.to(k.dtype), (k.shape[-2] - bias.shape[-1], 0))
    if mask is None:
        return bias
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=k.dtype).masked_fill(~mask, -math.inf)
    return mask + (bias[:, None] if mask.ndim == 4 else bias)
