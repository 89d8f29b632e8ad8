"""The local engine: a recipe and a model in, images, latents and a report out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.model_management
import comfy.utils
import latent_preview
import torch

from ..mixing.errors import EngineError, InputError
from ..mixing.mix import Ingredient, Mix, Picture
from ..mixing.recipe import Recipe, size_of
from ..mixing.report import MadeImage, Report
from ..mixing.seeds import sample_seed
from ..mixing.weights import Matrix
from . import latents, prompts, sampling, towers
from .methods import Method, Request, check_mix, choose

logger = logging.getLogger("image-mixer")

PIXELS_PER_BATCH = 8 * 512 * 512
"""What is sampled at once. Fixed, not measured from free memory, so that the same graph gives the same pixels."""


@dataclass(frozen=True)
class Models:
    """What is connected: ComfyUI's MODEL and VAE, and the towers and adapter that not every method needs."""

    model: Any
    vae: Any
    clip: Any = None
    clip_vision: Any = None
    adapter: Any = None


@dataclass(frozen=True)
class Options:
    """How the local engine uses a recipe; see the inputs of Image Mixer (Local)."""

    method: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    preparation: str = "centre crop"
    strength: float = 1.0
    sampler: str = "euler"
    scheduler: str = "normal"
    denoise: float = 1.0
    negative_mix: Mix | None = None
    latent: dict[str, Any] | None = None


@dataclass(frozen=True)
class Result:
    """`images` [V x S, H, W, 3] float 0 to 1 by variant, then sample; their latents; and who made them how."""

    images: torch.Tensor
    latents: torch.Tensor
    report: Report


@dataclass(frozen=True)
class _Item:
    variant: int
    sample: int
    seed: int


def generate(recipe: Recipe, models: Models, options: Options) -> Result:
    """Make the images of `recipe`.

    Raises InputError for what no engine could do, EngineError with the cause ("wrong model", "no tower", "out of memory")
    for what another engine might; all but the last before anything is sampled.
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
    warnings = (*method.check_model(models.model, models.adapter), *_unused(method, recipe, models, options))
    for warning in warnings:
        logger.warning("%s", warning)
    mix = _with_prompt(method, recipe.mix, recipe.prompt)
    negative_mix = _with_prompt(method, options.negative_mix or Mix(), recipe.negative_prompt)
    _check(method, recipe, mix, negative_mix, models, options)

    embeddings = _embedded(method, mix, negative_mix, models, options)
    method.check_vectors(models.model, embeddings, models.adapter)
    encoded = time.monotonic()

    items = [
        _Item(variant, sample, sample_seed(recipe.seed, sample))
        for variant in range(recipe.mix.variants)
        for sample in range(recipe.samples)
    ]
    samples, images, decode_seconds = _sampled(recipe, method, embeddings, models, options, items)
    finished = time.monotonic()
    report = Report(
        engine="local",
        recipe=recipe.digest,
        warnings=warnings,
        images=tuple(MadeImage(i.variant, i.sample, i.seed, recipe.mix.weights[i.variant]) for i in items),
        seconds={
            "encode": round(encoded - started, 3),
            "sample": round(finished - encoded - decode_seconds, 3),
            "decode": round(decode_seconds, 3),
        },
        details={
            "method": method.name,
            "model": type(models.model.model).__name__,
            "strength": options.strength,
            "sampler": options.sampler,
            "scheduler": options.scheduler,
            "steps": recipe.steps,
            "guidance_scale": recipe.guidance_scale,
            "denoise": options.denoise,
            "settings": dict(options.settings),
            "size": [images.shape[2], images.shape[1]],
        },
    )
    return Result(images, samples, report)


def _embedded(method: Method, mix: Mix, negative_mix: Mix, models: Models, options: Options) -> towers.Embeddings:
    """Embeddings of the ingredients that any variant uses, with those of `negative_mix` as their negative."""
    clip_vision, vae = _eyes(method, models)
    used, megapixels = negative_mix.used(), options.settings.get("megapixels", 1.0)
    avoided = used if used.ingredients else None
    return towers.encode_both(mix.used(), avoided, clip_vision, models.clip, options.preparation, vae, megapixels)


def _eyes(method: Method, models: Models) -> tuple[Any, Any]:
    """(clip_vision, vae) as far as the method looks through them."""
    return (
        models.clip_vision if "vision" in method.towers else None,
        models.vae if "latent" in method.towers else None,
    )


def _prompted(
    method: Method, recipe: Recipe, models: Models, options: Options, embeddings: towers.Embeddings, item: _Item
) -> tuple[Any, Any]:
    """(positive, negative) conditioning of the prompts, for methods where they are ordinary text; else (None, None).

    A guidance-distilled model finds the guidance scale in it. A text tower that sees is shown what the item has of the mix,
    in the negative that of the negative mix if there is one.
    """
    if method.prompt_is_ingredient:
        return None, None
    pictures: list[Any] = [(), ()]
    if "latent" in method.towers and options.settings.get("pictures_in_prompt", True) and options.strength:
        parts = (embeddings, embeddings.negative or embeddings)
        pictures = [part.mix.pictures(_rows(part.mix.weights, [item])[0]) for part in parts]
    guidance = {"guidance": recipe.guidance_scale} if prompts.is_distilled(models.model) else {}
    positive, negative = (
        prompts.conditioning_of(models.clip, text, shown, guidance)
        for text, shown in zip((recipe.prompt, recipe.negative_prompt), pictures, strict=True)
    )
    return positive, negative


def _unused(method: Method, recipe: Recipe, models: Models, options: Options) -> list[str]:
    """A warning where something is given that a guidance-distilled model has no use for."""
    if method.prompt_is_ingredient or not prompts.is_distilled(models.model):
        return []
    if recipe.negative_prompt.strip() or (options.negative_mix and options.negative_mix.used().ingredients):
        return [
            "A guidance-distilled model goes towards a mix only: the negative prompt and the negative mix are not used."
        ]
    return []


def embed_all(
    mix: Mix,
    negative_mix: Mix | None,
    clip_vision: Any,
    clip: Any,
    preparation: str,
    vae: Any = None,
    megapixels: float = 1.0,
) -> towers.Embeddings:
    """Embeddings of every ingredient, also of those that weigh nothing now: later weights may ask for them."""
    _check_not_empty(mix)
    return towers.encode_both(mix, negative_mix, clip_vision, clip, preparation, vae, megapixels)


def apply(
    model: Any,
    positive: Any,
    negative: Any,
    embeddings: towers.Embeddings,
    weights: Matrix | None,
    adapter: Any,
    method_name: str,
    strength: float,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Any, Any, Any]:
    """(model, positive, negative) conditioned on `embeddings`, for any sampler; item i of a batch gets row i of the weights.

    `weights` [variants, ingredients] replaces the mix's own. Raises as `generate`.
    """
    method = choose(method_name, model, adapter)
    for warning in method.check_model(model, adapter):
        logger.warning("%s", warning)
    if weights is not None:
        embeddings = replace(embeddings, mix=embeddings.mix.reweighted(weights))
    _check_not_empty(embeddings.mix)
    method.check_settings(settings or {})
    check_mix(method, embeddings.mix, strength)
    if embeddings.negative is not None:
        _check_negative(method, embeddings.negative.mix, embeddings.mix)
    method.check_vectors(model, embeddings, adapter)
    used = embeddings.used()
    return method.condition(
        Request(
            model,
            used,
            used.mix.weights,
            strength=strength,
            negative_rows=used.negative.mix.weights if used.negative else ((),),
            positive=positive,
            negative=negative,
            adapter=adapter,
            settings=settings or {},
        )
    )


def _with_prompt(method: Method, mix: Mix, prompt: str) -> Mix:
    """The mix with the prompt as a text ingredient of weight 1, for methods where it takes such a place."""
    if not method.prompt_is_ingredient or not prompt.strip():
        return mix
    return mix.appended((Ingredient("text", prompt),), ((1.0,),))


def _check(method: Method, recipe: Recipe, mix: Mix, negative_mix: Mix, models: Models, options: Options) -> None:
    """Everything that can be wrong and be seen before a tower runs."""
    if recipe.seed < 0:
        raise InputError(
            "Seed -1 lets a remote service draw one; here choose a seed from 0, or set the seed's control to randomize."
        )
    _check_not_empty(recipe.mix)
    method.check_settings(options.settings)
    check_mix(method, mix, options.strength)
    _check_negative(method, negative_mix, mix)
    clip_vision, vae = _eyes(method, models)
    for ingredient in (*mix.used().ingredients, *negative_mix.used().ingredients):
        towers.check_encodable(ingredient, clip_vision, models.clip, vae)
    if not method.prompt_is_ingredient and models.clip is None:
        raise EngineError(f"Method {method.name} needs the model's text tower: connect clip.", "no tower")
    size_of(recipe, first_size(recipe.mix))


def _check_not_empty(mix: Mix) -> None:
    if not mix.ingredients:
        raise InputError("The mix has no ingredient: connect at least one image to Image Mix.")


def _check_negative(method: Method, negative_mix: Mix, mix: Mix) -> None:
    check_mix(method, negative_mix, 1.0)
    for number, ingredient in enumerate(negative_mix.ingredients, 1):
        if ingredient.region is not None or (ingredient.start, ingredient.end) != (0.0, 1.0):
            raise InputError(
                f"Ingredient {number} of the negative mix has a region or a span: only the mix itself can."
            )
    if negative_mix.variants not in (1, mix.variants):
        raise InputError(
            f"The negative mix has {negative_mix.variants} variants and the mix {mix.variants}: give it one, or as many."
        )


def first_size(mix: Mix) -> tuple[int, int] | None:
    """(width, height) of the first image of a mix, or None where it has none."""
    for ingredient in mix.ingredients:
        if isinstance(ingredient.content, Picture):
            pixels = ingredient.content.pixels
            return pixels.shape[2], pixels.shape[1]
    return None


def _sampled(
    recipe: Recipe,
    method: Method,
    embeddings: towers.Embeddings,
    models: Models,
    options: Options,
    items: list[_Item],
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(latents, images, seconds spent decoding) of all items, batch by batch."""
    width, height = size_of(recipe, first_size(recipe.mix))
    mask = None
    if options.latent is None:
        latent = latents.empty_latent(models.model, width, height, len(items))
    else:
        latent, mask = latents.given_latent(options.latent, len(items))
        width, height = latent.shape[-1] * latents.DEFAULT_RATIO, latent.shape[-2] * latents.DEFAULT_RATIO
    cfg = 1.0 if prompts.is_distilled(models.model) else recipe.guidance_scale
    settings = sampling.Settings(options.sampler, options.scheduler, recipe.steps, cfg, options.denoise)
    seen = sum(latents.pixels_of(models.model, one.latent) for one in embeddings.encoded if one.latent is not None)
    together = max(1, PIXELS_PER_BATCH // (width * height + seen))
    if not sampling.batches_together(options.sampler, mask is not None):
        together = 1
    apart = [_zeros(embeddings, item) if method.limits.zeros_apart else () for item in items]
    batches = sampling.batches_of(apart, together)
    callback = _callback(models.model, len(batches))
    # All before the first is sampled, so that the text tower and the denoiser are not loaded in turns.
    texts = [_prompted(method, recipe, models, options, embeddings, items[begin]) for begin, _ in batches]

    samples, images, decode_seconds = _Gathered(len(items)), _Gathered(len(items)), 0.0
    for number, (begin, end) in enumerate(batches):
        batch = items[begin:end]
        model, conditioned, avoided = method.condition(
            Request(
                models.model,
                embeddings,
                _rows(embeddings.mix.weights, batch),
                strength=options.strength,
                negative_rows=_rows(embeddings.negative.mix.weights, batch) if embeddings.negative else ((),),
                positive=texts[number][0],
                negative=texts[number][1],
                adapter=models.adapter,
                settings=options.settings,
            )
        )
        done = sampling.sample(
            model,
            conditioned,
            avoided,
            latent[begin:end],
            [item.seed for item in batch],
            settings,
            mask[begin:end] if mask is not None else None,
            lambda step, x0, x, total, number=number: callback(number, step, x0, total),
        )
        samples.put(begin, done)
        decoding = time.monotonic()
        images.put(begin, decoded(models.vae, done))
        decode_seconds += time.monotonic() - decoding
    return samples.whole, images.whole, decode_seconds


def _zeros(embeddings: towers.Embeddings, item: _Item) -> tuple[bool, ...]:
    """Which ingredients the item leaves out, of the mix and of the negative mix."""
    parts = (embeddings, *([embeddings.negative] if embeddings.negative else []))
    return tuple(not weight for part in parts for weight in _rows(part.mix.weights, [item])[0])


class _Gathered:
    """Batches put into one tensor as they come, so that a long sweep never holds its images twice."""

    def __init__(self, items: int) -> None:
        self._items = items
        self.whole = torch.empty(0)

    def put(self, begin: int, batch: torch.Tensor) -> None:
        if batch.shape[0] == self._items:
            self.whole = batch
            return
        if not self.whole.numel():
            self.whole = batch.new_empty((self._items, *batch.shape[1:]))
        self.whole[begin : begin + batch.shape[0]] = batch


def _rows(weights: Matrix, batch: list[_Item]) -> Matrix:
    return tuple(weights[item.variant if len(weights) > 1 else 0] for item in batch)


def decoded(vae: Any, samples: torch.Tensor) -> torch.Tensor:
    """Images [B, H, W, 3] of latents, as core's VAE Decode gives them."""
    images: torch.Tensor = vae.decode(samples)
    return images.reshape(-1, *images.shape[-3:])


def _callback(model: Any, batches: int) -> Callable[[int, int, torch.Tensor, int], None]:
    """Progress over all batches, with core's preview: called with the batch's number, step, x0 and steps of a batch."""
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    bar = comfy.utils.ProgressBar(batches)

    def callback(batch: int, step: int, x0: torch.Tensor, steps: int) -> None:
        preview = previewer.decode_latent_to_preview_image("JPEG", x0) if previewer else None
        bar.update_absolute(batch * steps + step + 1, batches * steps, preview)

    return callback
