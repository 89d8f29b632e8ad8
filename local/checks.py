"""Checks of what can be wrong before any model runs."""

from __future__ import annotations

from typing import Any

from ..mixing.errors import EngineError, InputError
from ..mixing.mix import Mix
from .encoders import check_encodable
from .families import is_distilled
from .generation import Generation
from .methods import Method, check_mix


def check_generation(generation: Generation) -> None:
    """Raise InputError or EngineError ("no tower") for everything that is wrong with a generation and can be seen early."""
    if generation.recipe.seed < 0:
        raise InputError(
            "Seed -1 lets a remote service draw one; here choose a seed from 0, or set the seed's control to randomize."
        )
    check_not_empty(generation.recipe.mix)
    mix, negative_mix, method = generation.mix, generation.negative_mix, generation.method
    check_mix(method, mix, generation.options.strength)
    check_negative(method, negative_mix, mix)
    for ingredient in (*mix.used().ingredients, *negative_mix.used().ingredients):
        check_encodable(ingredient, generation.encoders)
    if not method.prompt_is_ingredient and generation.models.clip is None:
        raise EngineError(f"Method {method.name} needs the model's text tower: connect clip.", "no tower")
    _ = generation.size  # raises InputError if the recipe leaves it to a picture and there is none


def check_not_empty(mix: Mix) -> None:
    """Raise InputError if the mix has no ingredient."""
    if not mix.ingredients:
        raise InputError("The mix has no ingredient: connect at least one image to Image Mix.")


def check_negative(method: Method[Any], negative_mix: Mix, mix: Mix) -> None:
    """Raise InputError if the negative mix has what only a mix can have, or does not fit its variants."""
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


def unused_inputs(generation: Generation) -> list[str]:
    """Return a warning if something was given that a guidance-distilled model cannot use."""
    if generation.method.prompt_is_ingredient or not is_distilled(generation.models.model):
        return []
    avoided = generation.options.negative_mix
    if generation.recipe.negative_prompt.strip() or (avoided and avoided.used().ingredients):
        return [
            "A guidance-distilled model can only move towards a mix: the negative prompt and the negative mix are not used."
        ]
    return []
