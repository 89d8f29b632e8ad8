"""The local engine: a recipe and a model in, images, latents and a report out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import comfy.model_management

from ..mixing.errors import EngineError
from ..mixing.images import Preparation
from ..mixing.mix import Mix
from ..mixing.recipe import Recipe
from ..mixing.report import MadeImage, Report
from ..mixing.weights import Matrix
from .batches import Sampled, sample_all
from .checks import check_generation, check_negative, check_not_empty, unused_inputs
from .conditioning import Conditioned, Target
from .embeddings import Embeddings
from .encoders import Encoders, encode_both
from .families import class_name
from .generation import Generation, Models, Options, Result
from .items import Item, items_of
from .methods import Request, check_mix, choose

__all__ = [
    "Conditioned",
    "Embeddings",
    "Encoders",
    "Models",
    "Options",
    "Result",
    "Target",
    "apply",
    "embed_all",
    "generate",
]

logger = logging.getLogger("image-mixer")


def generate(recipe: Recipe, models: Models, options: Options) -> Result:
    """Make the images of `recipe`.

    Raise InputError for what no engine could do, and EngineError with its cause ("wrong model", "no tower", "out of memory")
    for what another engine might do; all but "out of memory" before anything is sampled.
    """
    try:
        return _generate(recipe, models, options)
    except Exception as error:
        if not comfy.model_management.is_oom(error):
            raise
        comfy.model_management.soft_empty_cache()
        raise EngineError(
            "The GPU ran out of memory: make the images smaller, or connect a fallback.", "out of memory"
        ) from error


def _generate(recipe: Recipe, models: Models, options: Options) -> Result:
    started = time.monotonic()
    method = choose(options.method, models.model, models.adapter)
    model_warnings = method.check_model(models.model, models.adapter)
    generation = Generation(recipe, models, options, method, method.settings.parse(options.settings))
    warnings = (*model_warnings, *unused_inputs(generation))
    _log(warnings)
    check_generation(generation)

    embeddings = _embedded(generation)
    method.check_embeddings(embeddings, models.model, models.adapter)
    encoded = time.monotonic()

    items = items_of(recipe)
    sampled = sample_all(generation, embeddings, items)
    seconds = {
        "encode": round(encoded - started, 3),
        "sample": round(time.monotonic() - encoded - sampled.decode_seconds, 3),
        "decode": round(sampled.decode_seconds, 3),
    }
    report = replace(_report(generation, items, sampled), warnings=warnings, seconds=seconds)
    return Result(sampled.images, sampled.latents, report)


def _embedded(generation: Generation) -> Embeddings:
    """Return the embeddings of the ingredients that any variant uses, with the negative mix as their negative."""
    avoided = generation.negative_mix.used()
    return encode_both(
        generation.mix.used(),
        avoided if avoided.ingredients else None,
        generation.encoders,
        generation.options.preparation,
        generation.needs.megapixels,
    )


def _report(generation: Generation, items: Sequence[Item], sampled: Sampled) -> Report:
    recipe, options = generation.recipe, generation.options
    return Report(
        engine="local",
        recipe=recipe.digest,
        images=tuple(MadeImage(i.variant, i.sample, i.seed, recipe.mix.weights[i.variant]) for i in items),
        details={
            "method": generation.method.name,
            "model": class_name(generation.models.model),
            "strength": options.strength,
            "sampler": options.sampler,
            "scheduler": options.scheduler,
            "steps": recipe.steps,
            "guidance_scale": recipe.guidance_scale,
            "denoise": options.denoise,
            "settings": dict(options.settings),
            "size": [sampled.images.shape[2], sampled.images.shape[1]],
        },
    )


def embed_all(
    mix: Mix,
    encoders: Encoders,
    preparation: Preparation = "centre crop",
    negative_mix: Mix | None = None,
    megapixels: float = 1.0,
) -> Embeddings:
    """Return the embeddings of every ingredient, also of those whose weight is 0: weights may change later."""
    check_not_empty(mix)
    return encode_both(mix, negative_mix, encoders, preparation, megapixels)


def apply(
    target: Target,
    embeddings: Embeddings,
    method: str = "auto",
    strength: float = 1.0,
    settings: Mapping[str, Any] | None = None,
    weights: Matrix | None = None,
) -> Conditioned:
    """Return the target conditioned on `embeddings`, for any sampler; item i of a batch gets row i of the weights.

    `settings` are the method's own options by name. `weights` [variants, ingredients] replaces the mix's own.
    Raises as `generate`.
    """
    chosen = choose(method, target.model, target.adapter)
    _log(chosen.check_model(target.model, target.adapter))
    if weights is not None:
        embeddings = replace(embeddings, mix=embeddings.mix.reweighted(weights))
    check_not_empty(embeddings.mix)
    parsed = chosen.settings.parse(settings or {})
    check_mix(chosen, embeddings.mix, strength)
    if embeddings.negative is not None:
        check_negative(chosen, embeddings.negative.mix, embeddings.mix)
    chosen.check_embeddings(embeddings, target.model, target.adapter)
    used = embeddings.used()
    negative_rows: Matrix = used.negative.mix.weights if used.negative else ((),)
    return chosen.condition(Request(target, used, used.mix.weights, parsed, negative_rows, strength))


def _log(warnings: Sequence[str]) -> None:
    for warning in warnings:
        logger.warning("%s", warning)
