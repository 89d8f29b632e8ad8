"""What every method is: its limits, whether it fits a model, and how it conditions one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ...mixing.errors import InputError
from ...mixing.mix import Mix
from ...mixing.weights import Matrix
from ..towers import Embeddings


@dataclass(frozen=True)
class Limits:
    """What a method takes. `ingredients` counts those of one variant whose weight is not 0; None is no limit.

    `zeros_apart`: items that leave out different ingredients cost less in batches of their own, so the engine cuts there.
    """

    ingredients: int | None
    smallest_weight: float
    largest_weight: float
    texts: bool
    regions: bool
    spans: bool
    zeros_apart: bool = False


Tower = Literal["vision", "latent"]
"""What a method looks at pictures through: a CLIP_VISION, or the VAE."""


@dataclass(frozen=True)
class Request:
    """What a method conditions: a model, what is connected, and one row of weights for each item of the batch.

    `rows` is [items, ingredients of embeddings], `negative_rows` [1 or items, ingredients of embeddings.negative].
    `positive` and `negative` are ComfyUI's CONDITIONING or None.
    `settings` are the method's own inputs by name; one that is missing (method auto has none) is at its default.
    `strength` says how much the mix acts at all, `rows` how the ingredients share it.
    """

    model: Any
    embeddings: Embeddings
    rows: Matrix
    negative_rows: Matrix = ((),)
    strength: float = 1.0
    positive: Any = None
    negative: Any = None
    adapter: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """A way to condition a diffusion model on a mix. `name` is what the widget shows."""

    name: str
    limits: Limits
    towers: frozenset[Tower]
    prompt_is_ingredient: bool
    """Whether the prompt takes the place of an ingredient, not of ordinary text conditioning."""

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises InputError where one of the method's own inputs is out of range."""

    def claims(self, model: Any, adapter: Any) -> bool:
        """Whether `auto` picks this method for that model and adapter."""

    def check_model(self, model: Any, adapter: Any) -> list[str]:
        """Warnings, one line each. Raises EngineError ("wrong model") where the method cannot work with that model."""

    def check_vectors(self, model: Any, embeddings: Embeddings, adapter: Any = None) -> None:
        """Raises EngineError ("no tower") where the vectors come from another tower than is needed.

        What needs them is the model, or its adapter where the method has one.
        """

    def condition(self, request: Request) -> tuple[Any, Any, Any]:
        """(model, positive, negative) for any sampler of ComfyUI; the model given is left unchanged."""


def check_mix(method: Method, mix: Mix, strength: float) -> None:
    """Raises InputError, one line, where the mix asks for what the method cannot do; nothing is run before that."""
    limits = method.limits
    for number, ingredient in enumerate(mix.ingredients, 1):
        if not any(row[number - 1] for row in mix.weights):
            continue
        if ingredient.kind == "text" and not limits.texts:
            raise InputError(
                f"Ingredient {number} is a text, which {method.name} does not take: use the prompt for it."
            )
        if ingredient.region is not None and not limits.regions:
            raise InputError(f"Ingredient {number} has a region, which {method.name} does not know.")
        if (ingredient.start, ingredient.end) != (0.0, 1.0) and not limits.spans:
            raise InputError(f"Ingredient {number} has a span, which {method.name} does not know.")
    for number, row in enumerate(mix.weights, 1):
        where = f" in variant {number}" if len(mix.weights) > 1 else ""
        count = sum(1 for weight in row if weight)
        if limits.ingredients is not None and count > limits.ingredients:
            prompt = ", the prompt counted" if method.prompt_is_ingredient else ""
            raise InputError(
                f"{method.name} takes at most {limits.ingredients} ingredients{prompt}; the mix has {count}{where}."
            )
        for ingredient, weight in enumerate(row, 1):
            if not limits.smallest_weight <= weight * strength <= limits.largest_weight:
                raise InputError(
                    f"Ingredient {ingredient} has weight x strength {weight * strength:g}{where}; {method.name} takes "
                    f"{limits.smallest_weight:g} to {limits.largest_weight:g}."
                )
