"""Redux tokens with log weights: putting them after the text of a conditioning, and making Flux's attention use them.

log(w) on the keys of a picture makes the softmax count it w times: weight 2 equals the picture given twice, and weight 0 its
absence. The bias is one number per key, never a dense mask, so it works with any number of reference latents beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import comfy.conds
import comfy.utils
import torch
from comfy.patcher_extension import WrappersMP
from torch.nn import functional

from ..conditioning import Entry

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

KEY = "image_mixer_redux"
"""Names the log weights of an entry's tokens, in its model_conds and in transformer_options, and the wrapper between."""


def appended(
    context: torch.Tensor, options: dict[str, Any], tokens: torch.Tensor | None, logs: torch.Tensor | None
) -> Entry:
    """Return a conditioning entry with `tokens` [1 or items, n, D] after `context`.

    `logs` [items, n] are their log weights, None if all are 0. The entry carries log weights only if any is not 0.
    """
    if tokens is None:
        return [context, options]
    tokens = tokens.to(context)
    items = max(context.shape[0], tokens.shape[0])
    longer = torch.cat([comfy.utils.repeat_to_batch_size(part, items) for part in (context, tokens)], dim=1)
    carried = options.get("model_conds", {})
    if logs is not None or KEY in carried:
        before = carried[KEY].cond if KEY in carried else torch.zeros(1, context.shape[1])
        after = torch.zeros(1, tokens.shape[1]) if logs is None else logs
        items = max(before.shape[0], after.shape[0])
        whole = torch.cat([comfy.utils.repeat_to_batch_size(part, items) for part in (before, after)], dim=1)
        options = {**options, "model_conds": {**carried, KEY: comfy.conds.CONDRegular(whole)}}
    return [longer, options]


def using_log_weights(model: ModelPatcher) -> ModelPatcher:
    """Return a clone of `model` whose attention adds the log weights that an entry carries to its keys."""
    model = model.clone()
    if not model.get_wrappers(WrappersMP.APPLY_MODEL, KEY):
        model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, _with_log_weights)
        model.set_model_attn1_patch(_biased_keys)
    return model


def _with_log_weights(
    executor: Any,
    x: torch.Tensor,
    t: torch.Tensor,
    c_concat: Any = None,
    c_crossattn: Any = None,
    control: Any = None,
    transformer_options: Mapping[str, Any] | None = None,
    **conditions: Any,
) -> Any:
    """Move the log weights [B, L] of the context from the conditions to the options that the blocks see.

    The signature is that of ComfyUI's `BaseModel.apply_model`.
    """
    options = dict(transformer_options or {})
    logs = conditions.pop(KEY, None)
    if logs is not None:
        options[KEY] = logs.to(device=x.device, dtype=executor.class_obj.get_dtype_inference())
    return executor(x, t, c_concat, c_crossattn, control, options, **conditions)


def _biased_keys(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pe: Any = None, attn_mask: Any = None, extra_options: Any = None
) -> dict[str, Any]:
    """Add a bias [B, 1, keys] to a block's attention. The keys of the output come after the context and get 0.

    The signature is that of ComfyUI's attn1_patch.
    """
    logs = (extra_options or {}).get(KEY)
    if logs is None:
        return {}
    bias = functional.pad(logs, (0, k.shape[2] - logs.shape[1]))[:, None]
    return {"attn_mask": bias if attn_mask is None else attn_mask + bias}
