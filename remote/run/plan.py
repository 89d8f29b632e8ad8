"""From a recipe to the paid jobs it needs: everything that can be refused is refused here, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...mixing.errors import InputError, WeightsError
from ...mixing.mix import Ingredient, Mix, Picture
from ...mixing.recipe import Recipe, size_of
from ...mixing.seeds import sample_seed
from ...mixing.urls import is_plain_url
from ...mixing.weights import Row, used_columns
from ...wire.declaration import Wire
from ...wire.fields import comma_weights
from ...wire.request import MixRequest
from ...wire.shares import Shares, shared
from ..endpoints import Endpoint
from .identity import job_identity

UNSAID = ("webhook", "track_id")
"""Fields that change nothing about the image: they are no part of a job's identity and not written down."""


@dataclass(frozen=True)
class PlannedJob:
    """One paid job. `pictures` and `request.images` go by slot; a picture's place in the latter holds its content hash
    until it has a URL. `images` are the indices of its images among all of the recipe's, variants first.

    `effective` are the weights that the ingredients really have, one each: 1 for a text that joined the prompt.
    """

    identity: str
    request: MixRequest
    pictures: tuple[Picture | None, ...]
    images: tuple[int, ...]
    variant: int
    samples: tuple[int, ...]
    effective: Row
    warnings: tuple[str, ...]

    def addressed(self, urls: tuple[str, ...]) -> MixRequest:
        """The request with the URL of each slot."""
        return replace(self.request, images=urls)


@dataclass(frozen=True)
class _Variant:
    """What all jobs of one variant share. `weighed` are the columns of the ingredients that have a slot."""

    shares: Shares
    weighed: tuple[int, ...]
    prompt: str


def different_jobs(recipe: Recipe, endpoint: Endpoint) -> int:
    """How many different jobs `recipe` needs, counted without making them. Raises InputError as `plan` does."""
    different = {
        (_slots(recipe.mix, one), comma_weights(one.shares.weights) if says_weights(endpoint) else "", one.prompt)
        for one in _variants(recipe, endpoint, endpoint.format)
    }
    return len(different) * _jobs_per_variant(recipe, endpoint)


def plan(
    recipe: Recipe, endpoint: Endpoint, take: int, track_id: str, size: Callable[[Picture], tuple[int, int]]
) -> tuple[PlannedJob, ...]:
    """The jobs of `recipe` on `endpoint`, in the order of their images. `size` gives a picture's (width, height).

    Raises InputError (WeightsError for weights) on a recipe that this service cannot make.
    """
    wire = endpoint.format
    variants = _variants(recipe, endpoint, wire)
    active = [recipe.mix.ingredients[n] for n in used_columns(recipe.mix.weights)]
    width, height = _size(recipe, active, size)
    jobs = []
    for number, variant in enumerate(variants):
        slots = [recipe.mix.ingredients[variant.weighed[i]] for i in variant.shares.order]
        common = MixRequest(
            _slots(recipe.mix, variant),
            variant.shares.weights,
            variant.prompt,
            recipe.negative_prompt,
            width,
            height,
            recipe.steps,
            float(recipe.guidance_scale),
            None,
            1,
            endpoint.webhook or None,
            track_id.strip(),
        )
        for first in range(0, recipe.samples, endpoint.images_per_job):
            samples = tuple(range(first, min(first + endpoint.images_per_job, recipe.samples)))
            seed = None if recipe.seed < 0 else sample_seed(recipe.seed, first)
            request = replace(common, seed=seed, samples=len(samples))
            wire.limits.check(request, f"{endpoint.name} ({wire.name})")
            jobs.append(
                PlannedJob(
                    _identity(endpoint, request, take, first),
                    request,
                    tuple(i.content if isinstance(i.content, Picture) else None for i in slots),
                    tuple(number * recipe.samples + sample for sample in samples),
                    number,
                    samples,
                    _effective(recipe.mix, number, variant),
                    variant.shares.warnings,
                )
            )
    return tuple(jobs)


def alone(job: PlannedJob, position: int, endpoint: Endpoint, take: int) -> PlannedJob:
    """The job that makes image `position` of a job of several alone: a job of its own, with that sample's own seed."""
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


def says_weights(endpoint: Endpoint) -> bool:
    """Whether the weights themselves are sent."""
    return endpoint.weights == "send"


def _jobs_per_variant(recipe: Recipe, endpoint: Endpoint) -> int:
    return math.ceil(int(recipe.samples) / endpoint.images_per_job)


def _identity(endpoint: Endpoint, request: MixRequest, take: int, sample: int) -> str:
    return job_identity(endpoint.base_url, endpoint.wire, request, says_weights(endpoint), take, sample)


def _variants(recipe: Recipe, endpoint: Endpoint, wire: Wire) -> list[_Variant]:
    """The variants of `recipe` as this service takes them. Raises InputError if it cannot."""
    mix = recipe.mix
    for n in used_columns(mix.weights):
        _check_ingredient(mix.ingredients[n])
    made = []
    for number, row in enumerate(mix.weights):
        shares, weighed = _row(mix, row, number, endpoint, wire)
        texts = [i.content for i, w in zip(mix.ingredients, row, strict=True) if i.kind == "text" and w]
        prompt = ", ".join(str(text).strip() for text in (recipe.prompt, *texts) if str(text).strip())
        made.append(_Variant(shares, weighed, prompt))
    return made


def _slots(mix: Mix, variant: _Variant) -> tuple[str, ...]:
    return tuple(_placeholder(mix.ingredients[variant.weighed[i]]) for i in variant.shares.order)


def _effective(mix: Mix, number: int, variant: _Variant) -> Row:
    weights = {variant.weighed[i]: weight for i, weight in enumerate(variant.shares.effective)}
    row = zip(mix.ingredients, mix.weights[number], strict=True)
    return tuple(weights.get(n, float(i.kind == "text" and w != 0)) for n, (i, w) in enumerate(row))


def _row(
    mix: Mix, row: tuple[float, ...], variant: int, endpoint: Endpoint, wire: Wire
) -> tuple[Shares, tuple[int, ...]]:
    if any(w < 0 for w in row):
        raise WeightsError(
            f"The remote service takes no negative weights, and variant {variant + 1} has {min(row):g}: use 0 or more."
        )
    weighed = tuple(n for n, (i, w) in enumerate(zip(mix.ingredients, row, strict=True)) if i.kind != "text" and w)
    if not weighed:
        raise WeightsError(
            f"The remote service needs an image, and in variant {variant + 1} no image has a weight above 0."
        )
    if len(weighed) > wire.limits.images:
        raise InputError(
            f"{endpoint.name} mixes at most {wire.limits.images} images, and variant {variant + 1} has {len(weighed)} "
            "with a weight: set some to 0."
        )
    return shared(tuple(row[n] for n in weighed), endpoint.weights, wire.limits.images), weighed


def _check_ingredient(ingredient: Ingredient) -> None:
    if ingredient.region is not None:
        raise InputError("The remote service knows no regions: disconnect the region, or use Image Mixer (Local).")
    if (ingredient.start, ingredient.end) != (0.0, 1.0):
        raise InputError("The remote service knows no spans: set start to 0 and end to 1, or use Image Mixer (Local).")
    if ingredient.kind == "url" and not is_plain_url(str(ingredient.content).strip()):
        raise InputError(f"This is not a plain http or https address of an image: {str(ingredient.content)[:80]!r}.")


def _placeholder(ingredient: Ingredient) -> str:
    content = ingredient.content
    return f"sha256:{content.digest}" if isinstance(content, Picture) else content.strip()


def _size(
    recipe: Recipe, active: list[Ingredient], size: Callable[[Picture], tuple[int, int]]
) -> tuple[int | None, int | None]:
    first = next((i.content for i in active if i.kind != "text"), None)
    if recipe.width == 0 and not isinstance(first, Picture):
        return None, None
    width, height = size_of(recipe, size(first) if isinstance(first, Picture) else None)
    return width, height
