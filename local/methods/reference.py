"""Method reference: the pictures themselves as latents beside the output's, each with a weight of its own.

For models that were trained to look at pictures so: Flux Kontext, Flux2, Qwen-Image-Edit and Krea2. Their attention runs
over the tokens of text, output and references alike. Weight w multiplies what attention gives to a picture's tokens before
it is normalised, which is log w added to the logits of their keys: 1 is core's Set Reference Latent, and what remains as
w goes to 0 is the picture's absence but for the places of later ones. Weight 0 itself is absence, places included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import comfy.conds
import torch
from comfy.patcher_extension import WrappersMP

from ...mixing.errors import EngineError, InputError
from ...mixing.weights import Matrix
from ..towers import Embeddings
from .base import Limits, Request, Tower
from .pieces import pieces_of, within, zeroed

KEY = "image_mixer_reference"
"""Under this name the log-weights [items, references] travel with the conditioning, so that ComfyUI batches them."""

BIAS = "image_mixer_reference_bias"
"""Under this name the bias of every key [items, 1, keys] lies in the transformer_options of one forward."""

AS_THE_MODEL = "as the model"
PLACEMENTS = (AS_THE_MODEL, "offset", "index", "uxo/uno", "index_timestep_zero")
"""Where references lie among the positions: core's names, in the node Edit Model Reference Method."""

LEAST_MEGAPIXELS, MOST_MEGAPIXELS = 0.05, 4.0

_RETURNS_A_MASK = frozenset({"flux", "flux2", "krea2"})
"""Families (ComfyUI's image_model) whose attn1_patch may return a mask. Qwen-Image ignores it."""

_FAMILIES = _RETURNS_A_MASK | {"qwen_image"}


class _Rows(comfy.conds.CONDRegular):  # type: ignore[misc]
    """Log-weights of as many items as the batch has, or of a part that it is a multiple of."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """See CONDRegular. Raises InputError for a batch that the rows do not fit, before the model is run."""
        if batch_size % len(self.cond):
            raise InputError(
                f"The mix has {len(self.cond)} variants and the latent a batch of {batch_size}: give it one item a variant."
            )
        return super().process_cond(batch_size, **kwargs)


class Reference:
    """See the module's docstring. Ordered: the first picture is the model's first reference."""

    name = "reference"
    limits = Limits(None, 0.0, 10.0, texts=False, regions=True, spans=True, zeros_apart=True)
    towers: frozenset[Tower] = frozenset({"latent"})
    prompt_is_ingredient = False

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """See Method."""
        placement = settings.get("placement", AS_THE_MODEL)
        if placement not in PLACEMENTS:
            raise InputError(f"There is no placement {placement!r}: choose one of {', '.join(PLACEMENTS)}.")
        megapixels = settings.get("megapixels", 1.0)
        if not LEAST_MEGAPIXELS <= megapixels <= MOST_MEGAPIXELS:
            raise InputError(
                f"References of {megapixels:g} megapixels: give {LEAST_MEGAPIXELS:g} to {MOST_MEGAPIXELS:g}."
            )

    def claims(self, model: Any, adapter: Any) -> bool:
        """A model of a family that takes references, without an adapter."""
        return adapter is None and _family(model) in _FAMILIES

    def check_model(self, model: Any, adapter: Any) -> list[str]:
        """See Method. Kontext and Qwen-Image-Edit cannot be told from Flux and Qwen-Image, so neither is refused."""
        if adapter is not None:
            raise EngineError(
                "Method reference takes no adapter: disconnect it, or choose its own method.", "wrong model"
            )
        if _family(model) not in _FAMILIES:
            raise EngineError(
                "Method reference needs a model that takes reference images (Flux Kontext, Flux2, Qwen-Image-Edit, Krea2), "
                f"not {type(model.model).__name__}.",
                "wrong model",
            )
        return []

    def check_vectors(self, model: Any, embeddings: Embeddings, adapter: Any = None) -> None:
        """See Method. Here the vectors are latents, and the tower is the VAE."""
        latent_format = model.get_model_object("latent_format")
        channels, dimensions = latent_format.latent_channels, _dimensions(model)
        for part in (embeddings, embeddings.negative):
            for encoded in part.used().encoded if part is not None else ():
                if encoded.latent is None:
                    raise EngineError(
                        "Method reference looks at the pictures through the VAE: connect vae to Encode Mix.", "no tower"
                    )
                if encoded.latent.shape[1] != channels or encoded.latent.ndim != dimensions + 2:
                    raise EngineError(
                        f"The VAE makes latents of {encoded.latent.shape[1]} channels in {encoded.latent.ndim - 2} "
                        f"dimensions; this model needs {channels} in {dimensions}: connect the VAE that belongs to it.",
                        "no tower",
                    )

    def condition(self, request: Request) -> tuple[Any, Any, Any]:
        """See Method. The negative sees the same references, as in the models' own pipelines: guidance is by text alone.

        References of a negative mix take their place there. References that the conditioning already has come first, with
        weight 1. Items that leave out different pictures are entries of their own, each masked to its items.
        """
        if not request.positive:
            raise InputError("Method reference needs a prompt: connect positive.")
        negative = request.negative or zeroed(request.positive)
        if not request.strength or not any(weight for row in request.rows for weight in row):
            return request.model, request.positive, negative
        method = request.settings.get("placement", AS_THE_MODEL)
        if method == "index_timestep_zero" and _takes_a_vector(request.model):
            # Core doubles the timesteps for it, but neither the guidance nor the pooled text that are added to them.
            raise InputError(
                "This model takes no placement index_timestep_zero, which Qwen-Image-Edit 2511 was trained with."
            )
        if _family(request.model) == "krea2" and method == AS_THE_MODEL and not _method_of(request.positive):
            raise InputError("Krea2 takes references only where their placement is chosen: index, say.")
        dimensions = _dimensions(request.model)
        referring = _referring(request.positive, request.embeddings, request.rows, request.strength, dimensions)
        avoided, rows, strength = request.embeddings.negative, request.negative_rows, 1.0
        if avoided is None:
            avoided, rows, strength = request.embeddings, request.rows, request.strength
        referring_negative = _referring(negative, avoided, rows, strength, dimensions)
        if method != AS_THE_MODEL:
            for _, options in (*referring, *referring_negative):
                options["reference_latents_method"] = "uxo" if method == "uxo/uno" else method
        return _weighing(request.model), referring, referring_negative


def _family(model: Any) -> str | None:
    config = getattr(model.model, "model_config", None)
    return (getattr(config, "unet_config", None) or {}).get("image_model")


def _takes_a_vector(model: Any) -> bool:
    config = model.model.model_config.unet_config
    return _family(model) in ("flux", "flux2") and bool(config.get("guidance_embed") or config.get("vec_in_dim"))


def _dimensions(model: Any) -> int:
    """2 for latents [B, C, H, W], 3 for [B, C, T, H, W]."""
    return getattr(model.get_model_object("latent_format"), "latent_dimensions", 2)


def _method_of(conditioning: Any) -> Any:
    return any(options.get("reference_latents_method") for _, options in conditioning)


def _referring(conditioning: Any, embeddings: Embeddings, rows: Matrix, strength: float, dimensions: int) -> Any:
    """Each entry of `conditioning` with the references of every part of space, time and batch in which it acts."""
    entries = []
    for piece in pieces_of(embeddings.mix.ingredients, rows):
        groups = _by_zeros(piece.rows)
        for kept, items in groups.items():
            options = dict(piece.options)
            if len(groups) > 1:
                own = torch.zeros(len(rows), 1, 1)
                own[items] = 1.0
                options.update(mask=options.get("mask", 1.0) * own)
            latents = [embeddings.encoded[index].latent for index in kept]
            logs = torch.zeros(len(rows), len(kept))
            for item in items:
                logs[item] = torch.tensor([math.log(piece.rows[item][index] * strength) for index in kept])
            if len(groups) == 1 and bool((logs == logs[0]).all()):
                logs = logs[:1]  # then any batch will do
            for tokens, given in conditioning:
                held = within(given, options)
                if held is not None:
                    entries.append([tokens, _with_references(held, latents, logs, dimensions)])
    return entries


def _by_zeros(rows: Matrix) -> dict[tuple[int, ...], list[int]]:
    """Which items have exactly these columns other than 0."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for item, row in enumerate(rows):
        groups.setdefault(tuple(index for index, weight in enumerate(row) if weight), []).append(item)
    return groups


def _with_references(options: dict[str, Any], latents: Sequence[Any], logs: torch.Tensor, dimensions: int) -> Any:
    """`options` of a conditioning entry with more reference latents, and the log-weights of all that it has then."""
    if dimensions == 3 and "mask" in options:
        # Of three dimensions core takes the first for time, unless a mask has it beside the batch.
        options["mask"] = options["mask"].reshape(-1, 1, *options["mask"].shape[-2:])
    if not latents:
        return options
    earlier = options.get("reference_latents", [])
    conds = dict(options.get("model_conds", {}))
    before = conds[KEY].cond if KEY in conds else torch.zeros(1, 0)
    before = torch.nn.functional.pad(before, (0, len(earlier) - before.shape[1]))
    if 1 not in (len(before), len(logs)) and len(before) != len(logs):
        raise InputError(
            f"The conditioning has weights for {len(before)} items and the mix for {len(logs)}: give both as many."
        )
    items = max(len(before), len(logs))
    weights = torch.cat([before.expand(items, -1), logs.expand(items, -1)], dim=1)
    if bool(weights.any()) or items > 1:  # weight 1 everywhere needs no bias, and attention without a mask is faster
        conds[KEY] = _Rows(weights)
    return {**options, "reference_latents": [*earlier, *latents], "model_conds": conds}


def _weighing(model: Any) -> Any:
    """A clone of `model` that obeys the log-weights in a conditioning. It holds no weights, so one serves every mix."""
    if model.get_wrappers(WrappersMP.DIFFUSION_MODEL, KEY):
        return model
    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, _handed_over)
    model.set_model_post_input_patch(_spread)
    if _family(model) in _RETURNS_A_MASK:
        model.set_model_attn1_patch(_with_bias)
    else:
        options = model.model_options["transformer_options"]
        options["optimized_attention_override"] = _biased(options.get("optimized_attention_override"))
    return model


def _handed_over(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """Put the log-weights among the transformer_options, which every family takes as its last positional argument.

    They come as an argument of the forward, so that a compiled one is compiled anew where they appear or vanish.
    """
    logs = kwargs.pop(KEY, None)
    if logs is not None:
        args = (*args[:-1], {**args[-1], KEY: logs})
    return executor(*args, **kwargs)


def _spread(args: dict[str, Any]) -> dict[str, Any]:
    """The bias [items, 1, tokens] of the references' tokens from the log-weights, once a forward."""
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
    """An attn1_patch."""
    bias = extra_options.get(BIAS)
    return {} if bias is None else {"attn_mask": _added(attn_mask, bias, k)}


def _biased(inner: Callable[..., Any] | None) -> Callable[..., Any]:
    """An optimized_attention_override around the one that is there already."""

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
    """`mask` (of attention, or None) plus `bias` [items, 1, tokens] on the last of the keys `k` [items, heads, keys, D]."""
    bias = torch.nn.functional.pad(bias.to(k.dtype), (k.shape[-2] - bias.shape[-1], 0))
    if mask is None:
        return bias
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=k.dtype).masked_fill(~mask, -math.inf)
    return mask + (bias[:, None] if mask.ndim == 4 else bias)


REFERENCE = Reference()
