"""Running towers: the vision tower on a picture, the text tower on a text. Results come from the cache if it has them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management
import comfy.utils
import torch
from safetensors import safe_open

from ..mixing.embeddings import norm_preserving_average
from ..mixing.errors import EngineError
from ..mixing.images import Preparation, prepared
from ..mixing.mix import Picture
from .cache import CACHE, patches_of
from .embeddings import Encoded

if TYPE_CHECKING:
    from comfy.clip_vision import ClipVisionModel
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP
    from comfy.sd1_clip import SDClipModel


def encode_picture(picture: Picture, clip_vision: ClipVisionModel, preparation: Preparation) -> Encoded:
    """Run the vision tower on a picture. If it is tiled, the vector is the norm-preserving average over the tiles."""
    key = (patches_of(clip_vision.patcher), picture.digest, "image", preparation)
    encoded: Encoded | None = CACHE.get(clip_vision.model, key)
    if encoded is None:
        squares = prepared(picture.pixels, clip_vision.image_size, preparation)
        out = clip_vision.encode_image(squares)
        embeds = out["image_embeds"]
        vector = None
        if embeds is not None and embeds.ndim == 2:
            embeds = on_cpu(embeds)
            vector = embeds[0] if len(embeds) == 1 else norm_preserving_average(embeds, ((1.0,) * len(embeds),))[0]
            vector = vector.clone()
        encoded = Encoded(vector, on_cpu(out["penultimate_hidden_states"]), on_cpu(out["last_hidden_state"]))
        CACHE.put(clip_vision.model, key, encoded)
    return encoded


def encode_blank(clip_vision: ClipVisionModel) -> Encoded:
    """Run the vision tower on pixel values of 0 after normalisation, which is the mean colour of its training pictures."""
    key = (patches_of(clip_vision.patcher), "blank")
    encoded: Encoded | None = CACHE.get(clip_vision.model, key)
    if encoded is None:
        comfy.model_management.load_model_gpu(clip_vision.patcher)
        pixels = torch.zeros(1, 3, clip_vision.image_size, clip_vision.image_size, device=clip_vision.load_device)
        out = clip_vision.model(pixel_values=pixels, intermediate_output=-2)
        encoded = Encoded(penultimate=on_cpu(out[1]))
        CACHE.put(clip_vision.model, key, encoded)
    return encoded


def encode_text(text: str, clip: CLIP) -> Encoded:
    """Run the text tower and return its projected embedding.

    Raise EngineError ("no tower") if `clip` does not have a CLIP-L, or has one without its text projection.
    """
    inner = getattr(clip.cond_stage_model, "clip_l", None)
    if inner is None:
        raise EngineError(
            "A text ingredient needs a CLIP-L text tower; the connected clip does not have one.", "no tower"
        )
    key = (patches_of(clip.patcher), text, "text")
    encoded: Encoded | None = CACHE.get(inner, key)
    if encoded is None:
        _check_projection(clip, inner)
        tokens = clip.tokenize(text)
        clip.cond_stage_model.reset_clip_options()
        inner.set_clip_options({"projected_pooled": True})
        try:
            clip.load_model(tokens)
            inner.set_clip_options({"execution_device": clip.patcher.load_device})
            pooled = inner.encode_token_weights(tokens["l"])[1]
        finally:
            clip.cond_stage_model.reset_clip_options()
        encoded = Encoded(on_cpu(pooled[0]))
        CACHE.put(inner, key, encoded)
    return encoded


def on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """Return a float32 copy on the CPU, contiguous."""
    return tensor.to(device="cpu", dtype=torch.float32, copy=True).contiguous()


_NO_PROJECTION = (
    "A text ingredient needs a CLIP-L with its text projection, and {} does not have one (SD1.x checkpoints never do): "
    "load clip_l.safetensors of SDXL, SD3 or Flux with Load CLIP."
)


def _check_projection(clip: CLIP, inner: SDClipModel) -> None:
    """Raise EngineError if the file that `clip` was loaded from does not contain a text projection.

    ComfyUI then leaves that matrix uninitialised without a warning. ComfyUI's loaders keep the file's path on the patcher;
    if there is no path, the check looks at the numbers themselves.
    """
    weight = inner.transformer.text_projection.weight
    paths = _paths_of(clip.patcher)
    if paths and not any(_has_projection(path, weight.shape[0]) for path in paths):
        raise EngineError(_NO_PROJECTION.format(Path(paths[0]).name), "no tower")
    values = weight.detach().float()
    if not paths and not (bool(torch.isfinite(values).all()) and 1e-4 < float(values.std()) < 10.0):
        raise EngineError(_NO_PROJECTION.format("the connected clip"), "no tower")


def _paths_of(patcher: ModelPatcher) -> list[str]:
    origin = getattr(patcher, "cached_patcher_init", None)
    if not origin or not origin[1]:
        return []
    first = origin[1][0]
    return [first] if isinstance(first, str) else [path for path in first if isinstance(path, str)]


def _has_projection(path: str, width: int) -> bool:
    def is_it(key: str, shape: Iterable[int]) -> bool:
        return key.endswith(("text_projection", "text_projection.weight")) and list(shape) == [width, width]

    if path.lower().endswith((".safetensors", ".sft")):
        with safe_open(path, framework="pt") as file:
            return any(is_it(key, file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    tensors = comfy.utils.load_torch_file(path, safe_load=True)
    return any(is_it(key, getattr(value, "shape", ())) for key, value in tensors.items())
