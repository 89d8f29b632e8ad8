"""Towers: the encoders that make a vector of each ingredient, and the one cache that keeps those vectors."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.utils
import torch
from safetensors import safe_open

from ..mixing import images
from ..mixing.embeddings import norm_preserving_average
from ..mixing.errors import EngineError, InputError
from ..mixing.mix import Ingredient, Mix, Picture

TOWER_NAMES = {768: "CLIP ViT-L/14", 1024: "CLIP ViT-H/14", 1280: "CLIP ViT-bigG/14"}
"""The tower that people connect for a projected embedding of so many numbers."""

CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Embeddings:
    """A mix with the vector that a tower made of each ingredient.

    `vectors[i]` is [D], float32 on the CPU, the unnormalised projected embedding of `mix.ingredients[i]`.
    `negative` holds what the sampling should go away from, or None.
    """

    mix: Mix
    vectors: tuple[torch.Tensor, ...]
    negative: Embeddings | None = None

    @property
    def width(self) -> int:
        """D, the numbers of one vector; 0 for an empty mix."""
        return self.vectors[0].shape[-1] if self.vectors else 0

    def used(self) -> Embeddings:
        """Without the ingredients whose weight is 0 in every variant."""
        kept = [i for i in range(len(self.vectors)) if any(row[i] for row in self.mix.weights)]
        return Embeddings(self.mix.used(), tuple(self.vectors[i] for i in kept), self.negative)


def tower_name(width: int) -> str:
    """What to call the tower that makes vectors of `width` numbers."""
    return TOWER_NAMES.get(width, f"a tower of width {width}")


class VectorCache:
    """Vectors by (tower, its patches, content, preparation): least recently used out at `max_bytes`.

    Towers are held weakly: a tower that ComfyUI drops takes its vectors along.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._vectors: OrderedDict[tuple[Any, ...], torch.Tensor] = OrderedDict()
        self._serials: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next_serial = 0
        self._lock = threading.RLock()

    def get(self, tower: Any, key: tuple[Any, ...]) -> torch.Tensor | None:
        """The vector kept for `key` of `tower`, or None."""
        with self._lock:
            full_key = (self._serial(tower), *key)
            vector = self._vectors.get(full_key)
            if vector is not None:
                self._vectors.move_to_end(full_key)
            return vector

    def put(self, tower: Any, key: tuple[Any, ...], vector: torch.Tensor) -> None:
        """Keep `vector`, and drop the longest unused ones where it makes too many bytes."""
        with self._lock:
            full_key = (self._serial(tower), *key)
            self._drop(full_key)
            self._vectors[full_key] = vector
            self._bytes += vector.nbytes
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._vectors)))

    def _serial(self, tower: Any) -> int:
        serial = self._serials.get(tower)
        if serial is None:
            serial = self._serials[tower] = self._next_serial
            self._next_serial += 1
            weakref.finalize(tower, self._forget, serial)
        return serial

    def _forget(self, serial: int) -> None:
        with self._lock:
            for key in [key for key in self._vectors if key[0] == serial]:
                self._drop(key)

    def _drop(self, key: tuple[Any, ...]) -> None:
        vector = self._vectors.pop(key, None)
        if vector is not None:
            self._bytes -= vector.nbytes


CACHE = VectorCache()
"""Shared by Encode Mix and Image Mixer (Local): the one cache of the local engine that has state."""


def encode(mix: Mix, clip_vision: Any, clip: Any, preparation: str, negative: Embeddings | None = None) -> Embeddings:
    """The embeddings of every ingredient of `mix`, from the cache where it has them.

    `clip_vision` is ComfyUI's CLIP_VISION (for images), `clip` its CLIP (for texts); either may be None where the mix
    does not need it. Raises EngineError ("no tower") where a tower is missing or unfit, InputError for URL ingredients
    and where the vectors of images and texts differ in width.
    """
    for ingredient in mix.ingredients:
        check_encodable(ingredient, clip_vision, clip)
    vectors = tuple(
        _image_vector(ingredient.content, clip_vision, preparation)
        if isinstance(ingredient.content, Picture)
        else _text_vector(ingredient.content, clip)
        for ingredient in mix.ingredients
    )
    widths = sorted({vector.shape[-1] for vector in vectors})
    if len(widths) > 1:
        raise InputError(
            f"Images and texts have vectors of different widths ({widths[0]} and {widths[1]}): the clip_vision and the "
            "clip must be the two halves of one CLIP."
        )
    return Embeddings(mix, vectors, negative)


def check_encodable(ingredient: Ingredient, clip_vision: Any, clip: Any) -> None:
    """Raises the error of `encode` for an ingredient that these towers cannot take, before anything is run."""
    if ingredient.kind == "url":
        raise InputError(
            "The local engine does not fetch image URLs: load the picture with Load Image and add it with Add Image."
        )
    if ingredient.kind == "image" and clip_vision is None:
        raise EngineError("The mix has images but no vision tower is connected: connect clip_vision.", "no tower")
    if ingredient.kind == "text" and clip is None:
        raise EngineError(
            "The mix or the prompt has text but no text tower is connected: connect clip (a CLIP-L with projection).",
            "no tower",
        )


def _image_vector(picture: Picture, clip_vision: Any, preparation: str) -> torch.Tensor:
    module = clip_vision.model
    key = (_patches(clip_vision.patcher), picture.digest, "image", preparation)
    vector = CACHE.get(module, key)
    if vector is None:
        squares = images.prepared(picture.pixels, clip_vision.image_size, preparation)
        embeds = clip_vision.encode_image(squares)["image_embeds"]
        if embeds is None or embeds.ndim != 2:
            raise EngineError("The connected clip_vision makes no projected embedding of a picture.", "no tower")
        embeds = embeds.to(device="cpu", dtype=torch.float32)
        vector = embeds[0] if len(embeds) == 1 else norm_preserving_average(embeds, ((1.0,) * len(embeds),))[0]
        vector = vector.clone()
        CACHE.put(module, key, vector)
    return vector


def _text_vector(text: str, clip: Any) -> torch.Tensor:
    inner = getattr(clip.cond_stage_model, "clip_l", None)
    if inner is None:
        raise EngineError("Text as an ingredient needs a CLIP-L text tower; the connected clip has none.", "no tower")
    key = (_patches(clip.patcher), text, "text")
    vector = CACHE.get(inner, key)
    if vector is None:
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
        vector = pooled[0].to(device="cpu", dtype=torch.float32).clone()
        CACHE.put(inner, key, vector)
    return vector


def _patches(patcher: Any) -> Any:
    """What tells a patched tower (a LoRA, say) from the same tower without."""
    return getattr(patcher, "patches_uuid", None) if patcher.patches else None


_NO_PROJECTION = (
    "Text as an ingredient needs a CLIP-L with its text projection, and {} has none (SD1.x checkpoints never do): load "
    "clip_l.safetensors of SDXL, SD3 or Flux with Load CLIP."
)


def _check_projection(clip: Any, inner: Any) -> None:
    """Raises EngineError where the file behind `clip` brought no text projection.

    ComfyUI then leaves that matrix uninitialised and says nothing. The loaders of core leave the file's path on the
    patcher; where there is none, the numbers themselves are judged.
    """
    weight = inner.transformer.text_projection.weight
    paths = _paths_of(clip.patcher)
    if paths and not any(_has_projection(path, weight.shape[0]) for path in paths):
        raise EngineError(_NO_PROJECTION.format(Path(paths[0]).name), "no tower")
    values = weight.detach().float()
    if not paths and not (bool(torch.isfinite(values).all()) and 1e-4 < float(values.std()) < 10.0):
        raise EngineError(_NO_PROJECTION.format("the connected clip"), "no tower")


def _paths_of(patcher: Any) -> list[str]:
    origin = getattr(patcher, "cached_patcher_init", None)
    if not origin or not origin[1]:
        return []
    first = origin[1][0]
    return [first] if isinstance(first, str) else [path for path in first if isinstance(path, str)]


def _has_projection(path: str, width: int) -> bool:
    def is_it(key: str, shape: Any) -> bool:
        return key.endswith(("text_projection", "text_projection.weight")) and list(shape) == [width, width]

    if path.lower().endswith((".safetensors", ".sft")):
        with safe_open(path, framework="pt") as file:
            return any(is_it(key, file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    tensors = comfy.utils.load_torch_file(path, safe_load=True)
    return any(is_it(key, getattr(value, "shape", ())) for key, value in tensors.items())
