"""From a recipe to the paid jobs that it needs. Whatever can be refused is refused here, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...mixing.errors import InputError, WeightsError
from ...mixing.mix import Ingredient, Mix, Picture
from ...mixing.recipe import Recipe, size_of
from ...mixing.seeds import sample_seed
from ...mixing.weights import Row, used_columns
from ...network.addresses import is_plain_url
from ...wire.formats import Wire, wire_of
from ...wire.request import MixRequest
from ...wire.shares import Shares, shared
from ...wire.v5 import comma_weights
from ..endpoints import Endpoint
from .identity import job_identity

NOT_RECORDED = ("webhook", "track_id")
"""Fields that change nothing about the image: they are not part of a job's identity and not written to the journal."""

PictureSize = Callable[[Picture], tuple[int, int]]
"""Returns (width, height) in pixels."""


@dataclass(frozen=True)
class PlannedJob:
    """One paid job.

    `request.images` and `pictures` have one entry per image of the request. Until a picture has a URL, its entry in
    `request.images` is its content hash; an entry of `pictures` is None for an image given by URL. `images` are the
    indices of the job's images among all of the recipe's, by variant, then sample; `samples` are their samples.
    `effective` are the weights that act, one per ingredient: 1 for a text that joined the prompt.
    """

    identity: str
    request: MixRequest
    pictures: tuple[Picture | None, ...]
    images: tuple[int, ...]
    variant: int
    samples: tuple[int, ...]
    effective: Row
    warnings: tuple[str, ...]

    def with_urls(self, urls: tuple[str, ...]) -> MixRequest:
        """Return the request with the URL of each image."""
        return replace(self.request, images=urls)


@dataclass(frozen=True)
class _Variant:
    """What all jobs of one variant share. `columns` are those of the ingredients that are sent as images."""

    shares: Shares
    columns: tuple[int, ...]
    prompt: str


def count_different_jobs(recipe: Recipe, endpoint: Endpoint) -> int:
    """Return how many different jobs `recipe` needs, without planning them. Raise InputError as `plan` does."""
    different = {
        (
            _placeholders(recipe.mix, one),
            comma_weights(one.shares.weights) if sends_weights(endpoint) else "",
            one.prompt,
        )
        for one in _variants(recipe, endpoint, wire_of(endpoint.wire))
    }
    return len(different) * math.ceil(int(recipe.samples) / endpoint.images_per_job)


def plan(recipe: Recipe, endpoint: Endpoint, take: int, track_id: str, size: PictureSize) -> tuple[PlannedJob, ...]:
    """Return the jobs of `recipe` on `endpoint`, in the order of their images.

    Raise InputError (WeightsError for weights) if this service cannot make the recipe.
    """
    wire = wire_of(endpoint.wire)
    variants = _variants(recipe, endpoint, wire)
    width, height = _size(recipe, size)
    jobs = []
    for number, variant in enumerate(variants):
        request = MixRequest(
            images=_placeholders(recipe.mix, variant),
            weights=variant.shares.weights,
            prompt=variant.prompt,
            negative_prompt=recipe.negative_prompt,
            width=width,
            height=height,
            steps=recipe.steps,
            guidance_scale=float(recipe.guidance_scale),
            webhook=endpoint.webhook or None,
            track_id=track_id.strip(),
        )
        for first in range(0, recipe.samples, endpoint.images_per_job):
            samples = tuple(range(first, min(first + endpoint.images_per_job, recipe.samples)))
            seed = None if recipe.seed < 0 else sample_seed(recipe.seed, first)
            one = replace(request, seed=seed, samples=len(samples))
            wire.limits.check(one, f"{endpoint.name} ({wire.name})")
            jobs.append(
                PlannedJob(
                    identity=_identity(endpoint, one, take, first),
                    request=one,
                    pictures=_pictures(recipe.mix, variant),
                    images=tuple(number * recipe.samples + sample for sample in samples),
                    variant=number,
                    samples=samples,
                    effective=_effective(recipe.mix, number, variant),
                    warnings=variant.shares.warnings,
                )
            )
    return tuple(jobs)


def single_job(job: PlannedJob, position: int, endpoint: Endpoint, take: int) -> PlannedJob:
    """Return the job that makes only image `position` of a job of several, with that sample's own seed."""
    sample = job.samples[position]
    seed = None if job.request.seed is None else sample_seed(job.request.seed, position)
    request = replace(job.request, seed=seed, samples=1)
    return replace(
        job,
        identity=_identity(endpoint, request, take, sample),
        request=request,
        images=(job.images[position],),
        samples=(sample,),
    )


def sends_weights(endpoint: Endpoint) -> bool:
    """Return whether the weights themselves are sent."""
    return endpoint.weights == "send"


def _identity(endpoint: Endpoint, request: MixRequest, take: int, sample: int) -> str:
    return job_identity(endpoint.base_url, endpoint.wire, request, sends_weights(endpoint), take, sample)


def _variants(recipe: Recipe, endpoint: Endpoint, wire: Wire) -> list[_Variant]:
    """Return the variants of `recipe` as this service takes them. Raise InputError if it cannot."""
    mix = recipe.mix
    for n in used_columns(mix.weights):
        _check_ingredient(mix.ingredients[n])
    made = []
    for number, row in enumerate(mix.weights):
        columns = _image_columns(mix, number, endpoint, wire)
        shares = shared(tuple(row[n] for n in columns), endpoint.weights, wire.limits.images)
        texts = [i.content for i, w in zip(mix.ingredients, row, strict=True) if i.kind == "text" and w]
        prompt = ", ".join(str(text).strip() for text in (recipe.prompt, *texts) if str(text).strip())
        made.append(_Variant(shares, columns, prompt))
    return made


def _image_columns(mix: Mix, variant: int, endpoint: Endpoint, wire: Wire) -> tuple[int, ...]:
    """Return the columns of the ingredients that a variant sends as images. Raise InputError if it cannot be sent."""
    row = mix.weights[variant]
    if any(w < 0 for w in row):
        raise WeightsError(
            f"The remote service does not accept negative weights, and variant {variant + 1} has {min(row):g}: use 0 or "
            "more."
        )
    columns = tuple(n for n, (i, w) in enumerate(zip(mix.ingredients, row, strict=True)) if i.kind != "text" and w)
    if not columns:
        raise WeightsError(
            f"The remote service needs an image, but no image has a weight above 0 in variant {variant + 1}."
        )
    if len(columns) > wire.limits.images:
        raise InputError(
            f"{endpoint.name} mixes at most {wire.limits.images} images, and variant {variant + 1} has {len(columns)} "
            "with a weight: set some to 0."
        )
    return columns


def _sent(mix: Mix, variant: _Variant) -> list[Ingredient]:
    """Return the ingredient of each image that a variant sends."""
    return [mix.ingredients[variant.columns[i]] for i in variant.shares.order]


def _placeholders(mix: Mix, variant: _Variant) -> tuple[str, ...]:
    """Return the content hash or the URL of each image that a variant sends."""
    contents = [ingredient.content for ingredient in _sent(mix, variant)]
    return tuple(f"sha256:{one.digest}" if isinstance(one, Picture) else one.strip() for one in contents)


def _pictures(mix: Mix, variant: _Variant) -> tuple[Picture | None, ...]:
    contents = [ingredient.content for ingredient in _sent(mix, variant)]
    return tuple(one if isinstance(one, Picture) else None for one in contents)


def _effective(mix: Mix, number: int, variant: _Variant) -> Row:
    weights = {variant.columns[i]: weight for i, weight in enumerate(variant.shares.effective)}
    row = zip(mix.ingredients, mix.weights[number], strict=True)
    return tuple(weights.get(n, float(i.kind == "text" and w != 0)) for n, (i, w) in enumerate(row))


def _check_ingredient(ingredient: Ingredient) -> None:
    if ingredient.region is not None:
        raise InputError("The remote service has no regions: disconnect the region, or use Image Mixer (Local).")
    if (ingredient.start, ingredient.end) != (0.0, 1.0):
        raise InputError("The remote service has no spans: set start to 0 and end to 1, or use Image Mixer (Local).")
    if ingredient.kind == "url" and not is_plain_url(str(ingredient.content).strip()):
        raise InputError(f"This is not a plain http or https URL of an image: {str(ingredient.content)[:80]!r}.")


def _size(recipe: Recipe, size: PictureSize) -> tuple[int | None, int | None]:
    """Return the size of the images in pixels; (None, None) leaves it to the service."""
    used = [recipe.mix.ingredients[n] for n in used_columns(recipe.mix.weights)]
    first = next((i.content for i in used if i.kind != "text"), None)
    if recipe.width == 0 and not isinstance(first, Picture):
        return None, None
    width, height = size_of(recipe, size(first) if isinstance(first, Picture) else None)
    return width, height
