"""Prompts as ordinary text conditioning, with the pictures that a text tower can see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.utils
import torch
from comfy.text_encoders.qwen_image import QwenImageTokenizer

from ..mixing.mix import Picture
from .towers import CACHE, patches_of

SEEN_PIXELS = 384 * 384
"""Size at which Qwen-Image-Edit's text tower is shown a picture (core's TextEncodeQwenImageEditPlus)."""

_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


@dataclass(frozen=True)
class _Prompt:
    conditioning: Any

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        parts = [part for tokens, options in self.conditioning for part in (tokens, *options.values())]
        return sum(part.nbytes for part in parts if torch.is_tensor(part))


def conditioning_of(
    clip: Any, text: str, pictures: Sequence[Picture] = (), more: Mapping[str, Any] | None = None
) -> Any:
    """ComfyUI's CONDITIONING of a prompt with `more` among its options, from the cache where it has it.

    A text tower that sees (Qwen-Image-Edit's) is shown `pictures` as Picture 1, 2 and so on, as core's node does for up to
    three; any other gets the text alone.
    """
    shown = pictures if _sees(clip) else ()
    key = (patches_of(clip.patcher), clip.layer_idx, repr(clip.tokenizer_options), text, *(p.digest for p in shown))
    scheduled = clip.use_clip_schedule or clip.apply_hooks_to_conds
    prompt = None if scheduled else CACHE.get(clip.cond_stage_model, key)
    if prompt is None:
        prompt = _Prompt(clip.encode_from_tokens_scheduled(_tokens(clip, text, shown)))
        if not scheduled:
            CACHE.put(clip.cond_stage_model, key, prompt)
    return [[tokens, {**options, **(more or {})}] for tokens, options in prompt.conditioning]


def is_distilled(model: Any) -> bool:
    """Whether the model takes the guidance scale as an input (Flux dev and its like) and is sampled at cfg 1."""
    config = getattr(model.model, "model_config", None)
    return bool((getattr(config, "unet_config", None) or {}).get("guidance_embed"))


def _sees(clip: Any) -> bool:
    return isinstance(clip.tokenizer, QwenImageTokenizer) and _PICTURE in clip.tokenizer.llama_template_images


def _tokens(clip: Any, text: str, pictures: Sequence[Picture]) -> Any:
    if not pictures:
        return clip.tokenize(text)
    named = "".join(f"Picture {number}: {_PICTURE}" for number in range(1, len(pictures) + 1))
    template = clip.tokenizer.llama_template_images.replace(_PICTURE, "")
    return clip.tokenize(named + text, images=[_small(picture) for picture in pictures], llama_template=template)


def _small(picture: Picture) -> torch.Tensor:
    """The picture [1, H, W, 3] in SEEN_PIXELS, resized as core does."""
    planes = picture.pixels.movedim(-1, 1)
    scale = math.sqrt(SEEN_PIXELS / (planes.shape[2] * planes.shape[3]))
    width, height = round(planes.shape[3] * scale), round(planes.shape[2] * scale)
    resized: torch.Tensor = comfy.utils.common_upscale(planes, width, height, "area", "disabled")
    return resized.movedim(1, -1)
