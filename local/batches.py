"""Sampling and decoding the items of a generation, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import comfy.utils
import latent_preview
import torch

from . import sampling
from .conditioning import Target
from .embeddings import Embeddings
from .families import is_distilled
from .generation import Generation
from .items import Gathered, Item, rows_of, zeros_of
from .latents import DEFAULT_RATIO, decoded, empty_latent, given_latent, pixels_of
from .methods import Request, Settings
from .prompts import prompts_of

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

PIXELS_PER_BATCH = 8 * 512 * 512
"""Pixels that are sampled at once. Fixed, not measured from free memory, so that the same graph gives the same pixels."""


@dataclass(frozen=True)
class Sampled:
    """Latents and images [items, ...], and the seconds spent decoding."""

    latents: torch.Tensor
    images: torch.Tensor
    decode_seconds: float


@dataclass(frozen=True)
class _Batch:
    """Items that are sampled together, the first of which is item `begin`, and the batch's text conditioning."""

    begin: int
    items: Sequence[Item]
    target: Target

    @property
    def span(self) -> slice:
        """Return where the batch lies among all items."""
        return slice(self.begin, self.begin + len(self.items))


def sample_all(generation: Generation, embeddings: Embeddings, items: list[Item]) -> Sampled:
    """Return the latents and images of all items."""
    start, settings = _start(generation, items), _settings(generation)
    batches = _batches(generation, embeddings, items, start)
    progress = _progress(generation.models.model, len(batches))

    samples, images, decode_seconds = Gathered(len(items)), Gathered(len(items)), 0.0
    for number, batch in enumerate(batches):
        conditioned = generation.method.condition(_request(generation, embeddings, batch))
        done = sampling.sample(conditioned, _part(start, batch.span), settings, partial(progress, number))
        samples.put(batch.begin, done)
        decoding = time.monotonic()
        images.put(batch.begin, decoded(generation.models.vae, done))
        decode_seconds += time.monotonic() - decoding
    return Sampled(samples.whole, images.whole, decode_seconds)


def _start(generation: Generation, items: list[Item]) -> sampling.Start:
    """Return what all items start from; a connected latent replaces the recipe's size."""
    seeds, given = [item.seed for item in items], generation.options.latent
    if given is None:
        return sampling.Start(empty_latent(generation.models.model, *generation.size, len(items)), seeds)
    latent, mask = given_latent(given, len(items))
    return sampling.Start(latent, seeds, mask)


def _part(start: sampling.Start, part: slice) -> sampling.Start:
    mask = start.noise_mask
    return sampling.Start(start.latent[part], start.seeds[part], mask[part] if mask is not None else None)


def _settings(generation: Generation) -> sampling.Settings:
    recipe, options = generation.recipe, generation.options
    cfg = 1.0 if is_distilled(generation.models.model) else recipe.guidance_scale
    return sampling.Settings(options.sampler, options.scheduler, recipe.steps, cfg, options.denoise)


def _batches(generation: Generation, embeddings: Embeddings, items: list[Item], start: sampling.Start) -> list[_Batch]:
    together = _together(generation, embeddings, start)
    keys = [zeros_of(embeddings, item) if generation.method.limits.zeros_apart else () for item in items]
    spans = sampling.batches_of(keys, together)
    # All prompts are encoded before the first batch is sampled, so that text tower and denoiser are not loaded in turns.
    return [_Batch(begin, items[begin:end], prompts_of(generation, embeddings, items[begin])) for begin, end in spans]


def _together(generation: Generation, embeddings: Embeddings, start: sampling.Start) -> int:
    """Return how many items are sampled at once, at most."""
    if not sampling.batches_together(generation.options.sampler, start.noise_mask is not None):
        return 1
    model, width, height = generation.models.model, *generation.size
    if generation.options.latent is not None:
        height, width = (side * DEFAULT_RATIO for side in start.latent.shape[-2:])
    seen = sum(pixels_of(model, one.latent) for one in embeddings.encoded if one.latent is not None)
    return max(1, PIXELS_PER_BATCH // (width * height + seen))


def _request(generation: Generation, embeddings: Embeddings, batch: _Batch) -> Request[Settings]:
    negative = embeddings.negative
    return Request(
        batch.target,
        embeddings,
        rows_of(embeddings.mix.weights, batch.items),
        generation.settings,
        rows_of(negative.mix.weights, batch.items) if negative else ((),),
        generation.options.strength,
    )


def _progress(model: ModelPatcher, batches: int) -> Callable[[int, int, torch.Tensor, torch.Tensor, int], None]:
    """Return a function of (batch, step, x0, x, steps per batch) that shows progress over all batches, with a preview."""
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    bar = comfy.utils.ProgressBar(batches)

    def progress(batch: int, step: int, x0: torch.Tensor, _x: torch.Tensor, steps: int) -> None:
        preview = previewer.decode_latent_to_preview_image("JPEG", x0) if previewer else None
        bar.update_absolute(batch * steps + step + 1, batches * steps, preview)

    return progress
