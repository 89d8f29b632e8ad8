"""What a method is: limits, settings, the models it fits, and how it conditions one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol

from ...mixing.errors import InputError
from ...mixing.mix import Mix
from ...mixing.weights import Matrix
from ..conditioning import Conditioned, Target
from ..embeddings import Embeddings
from .options import SettingsT

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


@dataclass(frozen=True)
class Limits:
    """What a mix may contain. `ingredients` counts those of one variant whose weight is not 0; None means no limit.

    The weights limit weight x strength. `zeros_apart`: items that leave out different ingredients are cheaper in batches of
    their own, so the engine splits batches there.
    """

    ingredients: int | None
    smallest_weight: float
    largest_weight: float
    texts: bool
    regions: bool
    spans: bool
    zeros_apart: bool = False


@dataclass(frozen=True)
class Needs:
    """What a method needs to see of the pictures, with given settings.

    `vision`: a CLIP vision tower. `vae`: the VAE, with pictures of `megapixels`.
    `pictures_in_prompt`: a vision-language text encoder also receives the pictures with the prompt.
    """

    vision: bool = False
    vae: bool = False
    megapixels: float = 1.0
    pictures_in_prompt: bool = False


@dataclass(frozen=True)
class Request(Generic[SettingsT]):
    """What a method is asked to do: apply a mix to `target`, with one row of weights per item of the batch.

    `rows` is [items, ingredients of embeddings], `negative_rows` [1 or items, ingredients of embeddings.negative].
    `strength` says how much the mix acts at all, `rows` how the ingredients share it.
    """

    target: Target
    embeddings: Embeddings
    rows: Matrix
    settings: SettingsT
    negative_rows: Matrix = ((),)
    strength: float = 1.0

    @property
    def acts(self) -> bool:
        """Return whether any ingredient acts in any item: the strength and some weight are not 0."""
        return bool(self.strength) and any(weight for row in self.rows for weight in row)


class Method(Protocol[SettingsT]):
    """A way to condition a diffusion model on a mix. `name` is what the widget shows."""

    name: str
    limits: Limits
    settings: type[SettingsT]
    prompt_is_ingredient: bool
    """Whether the prompt is a text ingredient of the mix instead of ordinary text conditioning."""

    def needs(self, settings: SettingsT) -> Needs:
        """Return what the method needs to see of the pictures."""

    def applies_to(self, model: ModelPatcher, adapter: object) -> bool:
        """Return whether `auto` chooses this method for that model and adapter."""

    def check_model(self, model: ModelPatcher, adapter: object) -> list[str]:
        """Return warnings, one line each. Raise EngineError ("wrong model") if the method cannot work with the model."""

    def check_embeddings(self, embeddings: Embeddings, model: ModelPatcher, adapter: object) -> None:
        """Raise EngineError ("no tower") if the embeddings come from another encoder than the model or adapter needs."""

    def condition(self, request: Request[SettingsT]) -> Conditioned:
        """Return the model and its conditioning for any sampler of ComfyUI; the model given is left unchanged."""


def check_mix(method: Method[Any], mix: Mix, strength: float) -> None:
    """Raise InputError, one line, if the mix asks for what the method cannot do. Runs no model."""
    _check_ingredients(method, mix)
    for number, row in enumerate(mix.weights, 1):
        where = f" in variant {number}" if len(mix.weights) > 1 else ""
        _check_count(method, row, where)
        _check_weights(method, row, strength, where)


def _check_ingredients(method: Method[Any], mix: Mix) -> None:
    limits = method.limits
    for index, ingredient in enumerate(mix.ingredients):
        if not any(row[index] for row in mix.weights):
            continue
        name = f"Ingredient {index + 1}"
        if ingredient.kind == "text" and not limits.texts:
            raise InputError(f"{name} is a text, which {method.name} does not take: use the prompt for it.")
        if ingredient.region is not None and not limits.regions:
            raise InputError(f"{name} has a region, which {method.name} does not support.")
        if (ingredient.start, ingredient.end) != (0.0, 1.0) and not limits.spans:
            raise InputError(f"{name} has a span, which {method.name} does not support.")


def _check_count(method: Method[Any], row: Sequence[float], where: str) -> None:
    limit, count = method.limits.ingredients, sum(1 for weight in row if weight)
    if limit is not None and count > limit:
        prompt = ", the prompt counted" if method.prompt_is_ingredient else ""
        raise InputError(f"{method.name} takes at most {limit} ingredients{prompt}; the mix has {count}{where}.")


def _check_weights(method: Method[Any], row: Sequence[float], strength: float, where: str) -> None:
    limits = method.limits
    for number, weight in enumerate(row, 1):
        if not limits.smallest_weight <= weight * strength <= limits.largest_weight:
            raise InputError(
                f"Ingredient {number} has weight x strength {weight * strength:g}{where}; {method.name} takes "
                f"{limits.smallest_weight:g} to {limits.largest_weight:g}."
            )
