"""Make the pictures to be measured with the pack's own nodes, on ComfyUI's own objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from image_mixer.nodes.local import ImageMixerLocal
from image_mixer.nodes.mix import ImageMixerAddText, ImageMixerMix
from image_mixer.nodes.recipe import ImageMixerRecipe
from safetensors.torch import load_file
from torch import Tensor

from .figures import Ask
from .judge import Judge

STEPS = 20
GUIDANCE = 3.0
SAMPLER = "euler"
SCHEDULER = "normal"
PIXELS = 64


class Pack:
    """Make the pictures of Asks as a graph does: Demo Mixer Model, Image Mix, Add Text, Mix Recipe, Image Mixer (Local)."""

    def __init__(self, demo: Any, steps: int = STEPS, guidance: float = GUIDANCE) -> None:
        self._connected = {
            "model": demo.model, "vae": demo.vae, "clip": demo.clip, "clip_vision": demo.clip_vision
        }  # fmt: skip
        self._steps = steps
        self._guidance = guidance

    def __call__(self, asks: Sequence[Ask]) -> list[Tensor]:
        with torch.inference_mode():
            return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Tensor:
        count = len(ask.pictures)
        sockets = {f"image{i}": picture[None].movedim(1, -1) for i, picture in enumerate(ask.pictures)}
        weights = tuple(row[:count] for row in ask.weights)
        mix = ImageMixerMix.execute(images=sockets, weights=weights)[0] if count else None
        for column, text in enumerate(ask.texts, count):
            # Add Text has one weight for all variants.
            (weight,) = {row[column] for row in ask.weights}
            mix = ImageMixerAddText.execute(text=text, weight=weight, start=0.0, end=1.0, mix=mix)[0]
        recipe = ImageMixerRecipe.execute(
            mix=mix, prompt="", negative_prompt="", width=PIXELS, height=PIXELS, steps=self._steps,
            guidance_scale=self._guidance, seed=ask.seed, samples=1,
        )[0]  # fmt: skip
        made: Tensor = ImageMixerLocal.execute(
            recipe=recipe, method={"method": "auto"}, preparation="centre crop", strength=1.0, sampler=SAMPLER,
            scheduler=SCHEDULER, denoise=1.0, **self._connected,
        )[0]  # fmt: skip
        return made.movedim(-1, 1).float()


def load_judge(file: Path) -> Judge:
    """Return the judge with the weights in `file`."""
    judge = Judge()
    judge.load_state_dict({key: value.float() for key, value in load_file(file).items()})
    return judge.eval()
