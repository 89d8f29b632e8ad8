"""Method redux: the tokens that a Redux style model makes of each picture, behind the text of a Flux.1 model.

Sources: Black Forest Labs' FLUX.1 Redux [dev]; diffusers' FluxPriorReduxPipeline, which adds weighted token sequences up.
Concatenated sequences share one softmax, where log(w) on the keys of a picture counts it w times: weight 2 is the
picture given twice, and weight 0 is its absence. The bias is one number a key, never a dense mask, so it fits any number
of reference latents beside it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.model_base
import comfy.utils
import torch
from comfy.ldm.flux.redux import ReduxImageEncoder
from comfy.patcher_extension import WrappersMP
from torch.nn import functional

from ...mixing.embeddings import weighted_sum
from ...mixing.errors import EngineError, InputError
from ...mixing.weights import Matrix
from ..towers import CACHE, Embeddings, Encoded
from .base import Limits, Request, Tower
from .pieces import Piece, pieces_of, within, zeroed

KEY = "image_mixer_redux"
"""Log weights of an entry's tokens in its model_conds and in transformer_options, and the wrapper between the two."""

CONCATENATE, SUM = "concatenate", "weighted sum"
COMBINES: tuple[str, ...] = (CONCATENATE, SUM)
LARGEST_GRID = 27
"""SigLIP at 384 pixels sees 27 x 27 patches."""


@dataclass(frozen=True)
class Settings:
    """How tokens are put together; `grid` is how many a side of each picture are kept, averaged over equal areas."""

    combine: str = CONCATENATE
    grid: int = LARGEST_GRID


class Redux:
    """See the module's docstring. Strength multiplies the weights."""

    name = "redux"
    limits = Limits(None, -10.0, 10.0, texts=False, regions=True, spans=True)
    towers: frozenset[Tower] = frozenset({"vision"})
    prompt_is_ingredient = False

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """See Method."""
        given = Settings(**settings)
        if given.combine not in COMBINES:
            raise InputError(f"redux combines by one of {', '.join(COMBINES)}, not {given.combine!r}.")
        if not 1 <= given.grid <= LARGEST_GRID:
            raise InputError(f"redux keeps a grid of 1 to {LARGEST_GRID} tokens a side, not {given.grid}.")

    def claims(self, model: Any, adapter: Any) -> bool:
        """A Redux style model."""
        return _encoder(adapter) is not None

    def check_model(self, model: Any, adapter: Any) -> list[str]:
        """See Method."""
        encoder = _encoder(adapter)
        if encoder is None:
            raise EngineError(
                "Method redux needs a Redux style model as its adapter: load flux1-redux-dev.safetensors with Load Style "
                "Model and connect adapter.",
                "wrong model",
            )
        config = getattr(getattr(model.model, "model_config", None), "unet_config", None) or {}
        if not isinstance(model.model, comfy.model_base.Flux) or config.get("image_model") != "flux":
            raise EngineError(f"Method redux needs a Flux.1 model, not {type(model.model).__name__}.", "wrong model")
        if encoder.redux_down.out_features != config["context_in_dim"]:
            raise EngineError(
                f"The style model makes tokens of {encoder.redux_down.out_features} numbers; the model takes "
                f"{config['context_in_dim']}.",
                "wrong model",
            )
        return []

    def check_vectors(self, model: Any, embeddings: Embeddings, adapter: Any = None) -> None:
        """See Method."""
        encoder = _encoder(adapter)
        for part in (embeddings, embeddings.negative):
            for encoded in part.encoded if part is not None else ():
                _check_seen(encoder, encoded.last)

    def condition(self, request: Request) -> tuple[Any, Any, Any]:
        """See Method. Text stays, and so do the tokens of a mix applied before."""
        settings = Settings(**request.settings)
        embeddings, avoided = request.embeddings, request.embeddings.negative
        if not request.positive:
            raise InputError("Method redux needs text beside the mix: connect positive (CLIP Text Encode).")
        negative = request.negative or zeroed(request.positive)
        if any("attention_mask" in options for part in (request.positive, negative) for _, options in part):
            raise InputError(
                "The conditioning carries an attention mask, as core's Apply Style Model with attn_bias makes: set that to "
                "multiply, or give its picture to the mix."
            )
        for part in (embeddings, avoided):
            _check_signs(part, settings)
        encoder = _encoder(request.adapter)
        rows = tuple(tuple(weight * request.strength for weight in row) for row in request.rows)
        acts = any(weight for row in rows for weight in row)
        pieces = pieces_of(embeddings.mix.ingredients, rows) if acts else [Piece(rows, {})]
        positive = _conditioned(request.positive, encoder, embeddings, pieces, settings)
        if avoided is not None:
            negative = _conditioned(negative, encoder, avoided, [Piece(request.negative_rows, {})], settings)
        biased = any(KEY in options.get("model_conds", {}) for part in (positive, negative) for _, options in part)
        return _heeding_log_weights(request.model) if biased else request.model, positive, negative


def _encoder(adapter: Any) -> Any:
    """The Redux encoder inside core's STYLE_MODEL, or None for anything else."""
    encoder = getattr(adapter, "model", None)
    return encoder if isinstance(encoder, ReduxImageEncoder) else None


def _check_seen(encoder: Any, seen: torch.Tensor | None) -> None:
    """Raises EngineError where the hidden states of a picture [crops, tokens, width] are not those of the encoder's tower."""
    found = "no hidden states" if seen is None else f"{seen.shape[1]} tokens of {seen.shape[2]} numbers"
    if seen is None or seen.shape[2] != encoder.redux_dim or math.isqrt(seen.shape[1]) ** 2 != seen.shape[1]:
        raise EngineError(
            f"Redux needs the SigLIP tower sigclip_vision_patch14_384, a square of tokens of {encoder.redux_dim} numbers; the "
            f"connected tower makes {found}.",
            "no tower",
        )


def _check_signs(embeddings: Embeddings | None, settings: Settings) -> None:
    if embeddings is None or settings.combine == SUM:
        return
    smallest = min((weight for row in embeddings.mix.weights for weight in row), default=0.0)
    if smallest < 0:
        raise InputError(f"redux concatenates with weights from 0, not {smallest:g}: choose {SUM}.")


def _conditioned(
    conditioning: Any, encoder: Any, embeddings: Embeddings, pieces: list[Piece], settings: Settings
) -> list[list[Any]]:
    """`conditioning` once a piece, with the tokens of that piece behind its text."""
    made = []
    for piece in pieces:
        tokens, logs = _tokens(encoder, embeddings, piece.rows, settings)
        for context, entry in conditioning:
            options = within(entry, piece.options)
            if options is not None:
                made.append(_behind(context, options, tokens, logs))
    return made


def _tokens(
    encoder: Any, embeddings: Embeddings, rows: Matrix, settings: Settings
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """(tokens [1 or rows, n, D], their log weights [rows, n] or None where all are 0); (None, None) for rows of zeros."""
    used = [index for index in range(len(embeddings.encoded)) if any(row[index] for row in rows)]
    if not used:
        return None, None
    pictures = torch.stack([_of_picture(encoder, embeddings.encoded[index], settings.grid) for index in used])
    weights = tuple(tuple(row[index] for index in used) for row in rows)
    length = pictures.shape[1]
    if settings.combine == SUM:
        tokens = weighted_sum(pictures, weights)
        logs = torch.tensor([[0.0 if any(row) else -math.inf] * length for row in weights])
    else:
        tokens = pictures.flatten(0, 1)[None]
        shares = [[math.log(weight) if weight else -math.inf for weight in row] for row in weights]
        logs = torch.tensor(shares).repeat_interleave(length, dim=1)
    return tokens, logs if bool(logs.any()) else None


def _of_picture(encoder: Any, encoded: Encoded, grid: int) -> torch.Tensor:
    """Tokens [n, D] of one picture, kept in the cache of the towers; several squares of it are averaged."""
    seen = encoded.last
    assert seen is not None
    side = math.isqrt(seen.shape[1])
    key = (hashlib.sha256(seen.contiguous().numpy().tobytes()).hexdigest(), tuple(seen.shape), grid)
    tokens: torch.Tensor | None = CACHE.get(encoder, key)
    if tokens is None:
        tokens = encoder(seen).float().mean(dim=0)
        if grid < side:
            planes = tokens.reshape(1, side, side, -1).movedim(-1, 1)
            tokens = functional.adaptive_avg_pool2d(planes, grid).flatten(2)[0].T.contiguous()
        tokens = tokens.cpu()
        CACHE.put(encoder, key, tokens)
    return tokens


def _behind(
    context: torch.Tensor, options: dict[str, Any], tokens: torch.Tensor | None, logs: torch.Tensor | None
) -> list[Any]:
    """A conditioning entry with `tokens` behind `context`, and the log weights of all of them where any is not 0."""
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


def _heeding_log_weights(model: Any) -> Any:
    """A clone of `model` whose attention adds the log weights that an entry carries to its keys."""
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
    """Moves the log weights [B, L] of the context from the conditions to where the blocks see them."""
    options = dict(transformer_options or {})
    logs = conditions.pop(KEY, None)
    if logs is not None:
        options[KEY] = logs.to(device=x.device, dtype=executor.class_obj.get_dtype_inference())
    return executor(x, t, c_concat, c_crossattn, control, options, **conditions)


def _biased_keys(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pe: Any = None, attn_mask: Any = None, extra_options: Any = None
) -> dict[str, Any]:
    """Adds a bias [B, 1, keys] to a block's attention; pictures come behind the context and have none."""
    logs = (extra_options or {}).get(KEY)
    if logs is None:
        return {}
    bias = functional.pad(logs, (0, k.shape[2] - logs.shape[1]))[:, None]
    return {"attn_mask": bias if attn_mask is None else attn_mask + bias}


REDUX = Redux()
