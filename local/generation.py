"""One generation of the local engine: what is asked, with which models, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from ..mixing.images import Preparation
from ..mixing.mix import Ingredient, Mix, Picture
from ..mixing.recipe import Recipe, size_of
from ..mixing.report import Report
from .encoders import Encoders
from .methods import Method, Needs, Settings

if TYPE_CHECKING:
    from comfy.clip_vision import ClipVisionModel
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP, VAE


@dataclass(frozen=True)
class Models:
    """What is connected: ComfyUI's MODEL and VAE, and the towers and adapter that not every method needs."""

    model: ModelPatcher
    vae: VAE
    clip: CLIP | None = None
    clip_vision: ClipVisionModel | None = None
    adapter: object = None

    def encoders(self, needs: Needs) -> Encoders:
        """Return the encoders that a method with these needs uses; the text tower may encode a text ingredient."""
        return Encoders(self.clip_vision if needs.vision else None, self.clip, self.vae if needs.vae else None)


@dataclass(frozen=True)
class Options:
    """How the local engine uses a recipe; see the inputs of Image Mixer (Local).

    `settings` are the method's own options by name, as the node gives them; the method parses them.
    """

    method: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    preparation: Preparation = "centre crop"
    strength: float = 1.0
    sampler: str = "euler"
    scheduler: str = "normal"
    denoise: float = 1.0
    negative_mix: Mix | None = None
    latent: dict[str, Any] | None = None


@dataclass(frozen=True)
class Result:
    """`images` [V x S, H, W, 3] float 0 to 1 by variant, then sample; their latents; and the report."""

    images: torch.Tensor
    latents: torch.Tensor
    report: Report


@dataclass(frozen=True)
class Generation:
    """A recipe with the models and options for it, the method that was chosen, and the method's parsed settings."""

    recipe: Recipe
    models: Models
    options: Options
    method: Method[Any]
    settings: Settings

    @property
    def needs(self) -> Needs:
        """Return what the method needs to see of the pictures."""
        return self.method.needs(self.settings)

    @property
    def encoders(self) -> Encoders:
        """Return the encoders that the method uses."""
        return self.models.encoders(self.needs)

    @cached_property
    def mix(self) -> Mix:
        """Return the recipe's mix, with the prompt as an ingredient if the method takes it as one."""
        return self._with_prompt(self.recipe.mix, self.recipe.prompt)

    @cached_property
    def negative_mix(self) -> Mix:
        """Return the negative mix, empty if there is none, with the negative prompt as an ingredient likewise."""
        return self._with_prompt(self.options.negative_mix or Mix(), self.recipe.negative_prompt)

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) in pixels; a recipe may leave it to its first picture."""
        return size_of(self.recipe, _first_size(self.recipe.mix))

    def _with_prompt(self, mix: Mix, prompt: str) -> Mix:
        if not self.method.prompt_is_ingredient or not prompt.strip():
            return mix
        return mix.appended((Ingredient("text", prompt),), ((1.0,),))


def _first_size(mix: Mix) -> tuple[int, int] | None:
    """Return (width, height) of the first image of a mix, or None if it has no image."""
    for ingredient in mix.ingredients:
        if isinstance(ingredient.content, Picture):
            pixels = ingredient.content.pixels
            return pixels.shape[2], pixels.shape[1]
    return None
