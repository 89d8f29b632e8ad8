"""The recipe: a mix, and the other settings of a generation. Frozen and hashable. Imports neither torch nor Pillow."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from .errors import InputError
from .mix import Ingredient, Mix, Picture, check_length
from .seeds import LARGEST_SEED

FORMAT = "image-mixer-recipe/1"
SIZE_STEP = 8
MIN_SIDE, MAX_SIDE = 256, 1024
LARGEST_SIDE, MAX_STEPS, MAX_SAMPLES = 8192, 1000, 64
"""Upper limits. Widgets enforce them for typed values; values from links are only checked here."""


@dataclass(frozen=True)
class Recipe:
    """What to make. Engines turn a recipe into len(mix.weights) x samples images, ordered by variant, then sample.

    `width` and `height` are pixels, multiples of 8; 0 takes the first image's size (see `size_of`). `guidance_scale`
    is the scale of classifier-free guidance; 1 switches it off. A `seed` of -1 lets a remote service draw one.
    Raises InputError on a value outside its range.
    """

    mix: Mix
    prompt: str = ""
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    steps: int = 30
    guidance_scale: float = 3.0
    seed: int = 0
    samples: int = 1

    def __post_init__(self) -> None:
        check_length(self.prompt, "The prompt")
        check_length(self.negative_prompt, "The negative prompt")
        for name, side in (("width", self.width), ("height", self.height)):
            if not 0 <= side <= LARGEST_SIDE or side % SIZE_STEP:
                raise InputError(
                    f"The {name} must be 0 (the first image's) or a multiple of {SIZE_STEP} up to {LARGEST_SIDE}, not {side}."
                )
        if bool(self.width) != bool(self.height):
            raise InputError(f"Width and height must both be 0 or both be given, not {self.width} x {self.height}.")
        for name, number, most in (("Steps", self.steps, MAX_STEPS), ("Samples", self.samples, MAX_SAMPLES)):
            if not 1 <= number <= most:
                raise InputError(f"{name} must be from 1 to {most}, not {number}.")
        if not (math.isfinite(self.guidance_scale) and self.guidance_scale >= 0):
            raise InputError(f"The guidance scale must be a number from 0, not {self.guidance_scale}.")
        if not -1 <= self.seed <= LARGEST_SEED:
            raise InputError(f"The seed must be from -1 to {LARGEST_SEED}, not {self.seed}.")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything in the recipe, images by their content."""
        return hashlib.sha256(to_json(self).encode("utf-8", "surrogatepass")).hexdigest()


def size_of(recipe: Recipe, first: tuple[int, int] | None) -> tuple[int, int]:
    """Return the (width, height) in pixels to generate. `first` is (width, height) of the first image, or None.

    A recipe of size 0 takes the first image's shape, scaled so that both sides lie in 256 to 1024 if its shape allows
    that, in multiples of 8. Raises InputError if the size is 0 and there is no image.
    """
    if recipe.width:
        return recipe.width, recipe.height
    if first is None:
        raise InputError("Width and height are 0, which takes the first image's size, but the mix has no image.")
    width, height = first
    scale = min(MAX_SIDE / max(width, height), max(1.0, MIN_SIDE / min(width, height)))
    return _side(width * scale), _side(height * scale)


def _side(length: float) -> int:
    return min(MAX_SIDE, max(MIN_SIDE, round(length / SIZE_STEP) * SIZE_STEP))


def to_json(recipe: Recipe) -> str:
    """Write the recipe as canonical JSON (sorted keys, no spaces), with content hashes in place of images and regions.

    Equal recipes have the same text: 1 and 1.0 are both written 1.0, and 0 has no sign.
    """
    return json.dumps(
        {
            "format": FORMAT,
            "ingredients": [_ingredient_fields(i) for i in recipe.mix.ingredients],
            "weights": [[_real(weight) for weight in row] for row in recipe.mix.weights],
            **{name: kind(getattr(recipe, name)) for name, kind in _SCALARS.items()},
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def _real(value: float) -> float:
    return float(value) + 0.0


_SCALARS: dict[str, Any] = {
    "prompt": str,
    "negative_prompt": str,
    "width": int,
    "height": int,
    "steps": int,
    "guidance_scale": _real,
    "seed": int,
    "samples": int,
}


def _ingredient_fields(ingredient: Ingredient) -> dict[str, Any]:
    return {
        "kind": ingredient.kind,
        "content": ingredient.content.digest if isinstance(ingredient.content, Picture) else ingredient.content,
        "region": ingredient.region.digest if ingredient.region else None,
        "start": _real(ingredient.start),
        "end": _real(ingredient.end),
    }
