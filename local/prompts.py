"""Prompts as ordinary text conditioning, with the pictures that a vision-language text encoder receives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.utils
import torch
from comfy.text_encoders.qwen_image import QwenImageTokenizer

from ..mixing.mix import Picture
from .cache import CACHE, patches_of
from .conditioning import Conditioning, Target
from .embeddings import Embeddings
from .families import is_distilled
from .generation import Generation
from .items import Item, rows_of

if TYPE_CHECKING:
    from comfy.sd import CLIP

SEEN_PIXELS = 384 * 384
"""Size of the pictures that Qwen-Image-Edit's text encoder receives (core's TextEncodeQwenImageEditPlus)."""

_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


def prompts_of(generation: Generation, embeddings: Embeddings, item: Item) -> Target:
    """Return the model with the prompts as its conditioning; without any if the method takes the prompt as an ingredient.

    A guidance-distilled model finds the guidance scale in the conditioning. A vision-language text encoder also receives
    this item's pictures; with the negative prompt, those of the negative mix if there is one.
    """
    recipe, models = generation.recipe, generation.models
    if generation.method.prompt_is_ingredient or models.clip is None:
        return Target(models.model, adapter=models.adapter)
    pictures: list[Sequence[Picture]] = [(), ()]
    if generation.needs.pictures_in_prompt and generation.options.strength:
        parts = (embeddings, embeddings.negative or embeddings)
        pictures = [part.mix.pictures(rows_of(part.mix.weights, [item])[0]) for part in parts]
    guidance = {"guidance": recipe.guidance_scale} if is_distilled(models.model) else {}
    positive = conditioning_of(models.clip, recipe.prompt, pictures[0], guidance)
    negative = conditioning_of(models.clip, recipe.negative_prompt, pictures[1], guidance)
    return Target(models.model, positive, negative, models.adapter)


@dataclass(frozen=True)
class _Prompt:
    conditioning: Conditioning

    @property
    def nbytes(self) -> int:
        """Return the size of all tensors in bytes."""
        parts = [part for tokens, options in self.conditioning for part in (tokens, *options.values())]
        return sum(part.nbytes for part in parts if torch.is_tensor(part))


def conditioning_of(
    clip: CLIP, text: str, pictures: Sequence[Picture] = (), more: Mapping[str, Any] | None = None
) -> Conditioning:
    """Return ComfyUI's CONDITIONING of a prompt with `more` among its options, from the cache if it has it.

    A vision-language text encoder (Qwen-Image-Edit's) receives `pictures` as Picture 1, 2 and so on, as in core's node for
    up to three; any other receives only the text.
    """
    shown = pictures if _takes_pictures(clip) else ()
    key = (patches_of(clip.patcher), clip.layer_idx, repr(clip.tokenizer_options), text, *(p.digest for p in shown))
    scheduled = clip.use_clip_schedule or clip.apply_hooks_to_conds
    prompt: _Prompt | None = None if scheduled else CACHE.get(clip.cond_stage_model, key)
    if prompt is None:
        prompt = _Prompt(clip.encode_from_tokens_scheduled(_tokens(clip, text, shown)))
        if not scheduled:
            CACHE.put(clip.cond_stage_model, key, prompt)
    return [[tokens, {**options, **(more or {})}] for tokens, options in prompt.conditioning]


def _takes_pictures(clip: CLIP) -> bool:
    return isinstance(clip.tokenizer, QwenImageTokenizer) and _PICTURE in clip.tokenizer.llama_template_images


def _tokens(clip: CLIP, text: str, pictures: Sequence[Picture]) -> Any:
    if not pictures:
        return clip.tokenize(text)
    named = "".join(f"Picture {number}: {_PICTURE}" for number in range(1, len(pictures) + 1))
    template = clip.tokenizer.llama_template_images.replace(_PICTURE, "")
    return clip.tokenize(named + text, images=[_small(picture) for picture in pictures], llama_template=template)


def _small(picture: Picture) -> torch.Tensor:
    """Return the picture [1, H, W, 3] resized to SEEN_PIXELS as core does."""
    planes = picture.pixels.movedim(-1, 1)
    scale = math.sqrt(SEEN_PIXELS / (planes.shape[2] * planes.shape[3]))
    width, height = round(planes.shape[3] * scale), round(planes.shape[2] * scale)
    resized: torch.Tensor = comfy.utils.common_upscale(planes, width, height, "area", "disabled")
    return resized.movedim(1, -1)
