"""Makes the pictures that are measured with the pack's own engine on ComfyUI's own objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from image_mixer.local import engine
from image_mixer.mixing import images
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe
from safetensors.torch import load_file
from torch import Tensor

from . import judge as judges
from .figures import Ask

STEPS = 20
GUIDANCE = 3.0
SAMPLER = "euler"
SCHEDULER = "normal"
PIXELS = 64


class Pack:
    """Answers Asks: each becomes a recipe, sampled by the engine behind Image Mixer (Local)."""

    def __init__(self, demo: Any, steps: int = STEPS, guidance: float = GUIDANCE) -> None:
        self._models = engine.Models(demo.model, demo.vae, demo.clip, demo.clip_vision)
        self._steps = steps
        self._guidance = guidance

    def __call__(self, asks: Sequence[Ask]) -> list[Tensor]:
        with torch.inference_mode():
            return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Tensor:
        ingredients = [Ingredient("image", images.picture(p.movedim(0, -1))) for p in ask.pictures]
        ingredients += [Ingredient("text", text) for text in ask.texts]
        recipe = Recipe(
            Mix(tuple(ingredients), ask.weights), width=PIXELS, height=PIXELS, steps=self._steps,
            guidance_scale=self._guidance, seed=ask.seed,
        )  # fmt: skip
        options = engine.Options(sampler=SAMPLER, scheduler=SCHEDULER)
        made: Tensor = engine.generate(recipe, self._models, options).images
        return made.movedim(-1, 1).float()


def load_judge(file: Path) -> judges.Judge:
    """The judge with the weights of `file`."""
    judge = judges.Judge()
    judge.load_state_dict({key: value.float() for key, value in load_file(file).items()})
    return judge.eval()
