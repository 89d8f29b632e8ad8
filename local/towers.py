"""Towers: the encoders that make a vector of each ingredient, and the one cache that keeps those vectors."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import comfy.model_management
import comfy.utils
import torch
from safetensors import safe_open

from ..mixing import images
from ..mixing.embeddings import norm_preserving_average
from ..mixing.errors import EngineError, InputError
from ..mixing.mix import Ingredient, Mix, Picture
from ..mixing.weights import used_columns
from . import latents

TOWER_NAMES = {768: "CLIP ViT-L/14", 1024: "CLIP ViT-H/14", 1280: "CLIP ViT-bigG/14"}
"""The tower that people connect for a projected embedding of so many numbers."""

CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Encoded:
    """What the towers made of one ingredient: float32 on the CPU, None where the tower for it was not there.

    `vector` [D] is the unnormalised projected embedding. `penultimate` and `last` [crops, tokens, width] are the hidden
    states of a vision tower before and after its last layer, one sequence a square that it looked at.
    `latent` [1, C, H, W] (or [1, C, 1, H, W]) is the picture through the VAE.
    """

    vector: torch.Tensor | None = None
    penultimate: torch.Tensor | None = None
    last: torch.Tensor | None = None
    latent: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return sum(part.nbytes for part in (self.vector, self.penultimate, self.last, self.latent) if part is not None)


@dataclass(frozen=True)
class Embeddings:
    """A mix with what the towers made of each ingredient: `encoded[i]` is that of `mix.ingredients[i]`.

    `negative` holds what the sampling should go away from, or None.
    `blank` gives what a CLIP vision tower makes of no picture (only `penultimate`), or is None where there was none. It is
    a function, since few methods ask for it and the tower runs for it.
    """

    mix: Mix
    encoded: tuple[Encoded, ...]
    negative: Embeddings | None = None
    blank: Callable[[], Encoded] | None = None

    @property
    def vectors(self) -> tuple[torch.Tensor, ...]:
        """The projected embeddings [D], one an ingredient. Raises EngineError ("no tower") where one has none."""
        vectors = tuple(one.vector for one in self.encoded if one.vector is not None)
        if len(vectors) < len(self.encoded):
            raise EngineError("The connected clip_vision makes no projected embedding of a picture.", "no tower")
        return vectors

    @property
    def width(self) -> int:
        """D, the numbers of one vector; 0 for an empty mix. Raises as `vectors`."""
        return self.vectors[0].shape[-1] if self.encoded else 0

    def check_width(self, needed: int) -> None:
        """Raises EngineError ("no tower") where vectors, here or in the negative, have not the `needed` numbers."""
        for part in (self, self.negative):
            if part is not None and part.encoded and part.width != needed:
                raise EngineError(
                    f"This model needs the vectors of {tower_name(needed)} ({needed} numbers); the connected tower makes "
                    f"{part.width}, as {tower_name(part.width)} does.",
                    "no tower",
                )

    def used(self) -> Embeddings:
        """Without the ingredients whose weight is 0 in every variant."""
        kept = used_columns(self.mix.weights)
        return replace(self, mix=self.mix.used(), encoded=tuple(self.encoded[i] for i in kept))


def tower_name(width: int) -> str:
    """What to call the tower that makes vectors of `width` numbers."""
    return TOWER_NAMES.get(width, f"a tower of width {width}")


class Kept(Protocol):
    """What a cache keeps: anything that knows its size."""

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""


class Cache:
    """What towers made by (tower, its patches, content, preparation): least recently used out at `max_bytes`.

    Towers are held weakly: a tower that ComfyUI drops takes its own along. What an adapter makes of a tower's answer may
    be kept here too, as a tensor, by (adapter, content).
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()
        self._serials: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next_serial = 0
        self._lock = threading.RLock()

    def get(self, tower: Any, key: tuple[Any, ...]) -> Any:
        """What is kept for `key` of `tower`, or None."""
        with self._lock:
            full_key = (self._serial(tower), *key)
            encoded = self._kept.get(full_key)
            if encoded is not None:
                self._kept.move_to_end(full_key)
            return encoded

    def put(self, tower: Any, key: tuple[Any, ...], encoded: Kept) -> None:
        """Keep `encoded`, and drop the longest unused ones where it makes too many bytes."""
        with self._lock:
            full_key = (self._serial(tower), *key)
            self._drop(full_key)
            self._kept[full_key] = encoded
            self._bytes += encoded.nbytes
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    def _serial(self, tower: Any) -> int:
        serial = self._serials.get(tower)
        if serial is None:
            serial = self._serials[tower] = self._next_serial
            self._next_serial += 1
            weakref.finalize(tower, self._forget, serial)
        return serial

    def _forget(self, serial: int) -> None:
        with self._lock:
            for key in [key for key in self._kept if key[0] == serial]:
                self._drop(key)

    def _drop(self, key: tuple[Any, ...]) -> None:
        encoded = self._kept.pop(key, None)
        if encoded is not None:
            self._bytes -= encoded.nbytes


CACHE = Cache()
"""Shared by Encode Mix and Image Mixer (Local): the one cache of the local engine that has state."""


def encode_both(
    mix: Mix,
    negative_mix: Mix | None,
    clip_vision: Any,
    clip: Any,
    preparation: str,
    vae: Any = None,
    megapixels: float = 1.0,
) -> Embeddings:
    """The embeddings of `mix`, with those of `negative_mix` as their negative. The rest as `encode`."""
    embeddings = encode(mix, clip_vision, clip, preparation, vae, megapixels)
    if negative_mix is None:
        return embeddings
    return replace(embeddings, negative=encode(negative_mix, clip_vision, clip, preparation, vae, megapixels))


def encode(
    mix: Mix, clip_vision: Any, clip: Any, preparation: str, vae: Any = None, megapixels: float = 1.0
) -> Embeddings:
    """The embeddings of every ingredient of `mix`, from the cache where it has them.

    `clip_vision` is ComfyUI's CLIP_VISION and `vae` its VAE (for images), `clip` its CLIP (for texts); each may be None
    where the mix does not need it. `megapixels` is the size at which the VAE sees the images. Raises EngineError ("no
    tower") where a tower is missing or unfit, InputError for URL ingredients and where the vectors of images and texts
    differ in width.
    """
    for ingredient in mix.ingredients:
        check_encodable(ingredient, clip_vision, clip, vae)
    encoded = tuple(
        _image(ingredient.content, clip_vision, vae, preparation, megapixels)
        if isinstance(ingredient.content, Picture)
        else _text(ingredient.content, clip)
        for ingredient in mix.ingredients
    )
    widths = sorted({one.vector.shape[-1] for one in encoded if one.vector is not None})
    if len(widths) > 1:
        raise InputError(
            f"Images and texts have vectors of different widths ({widths[0]} and {widths[1]}): the clip_vision and the "
            "clip must be the two halves of one CLIP."
        )
    is_clip = getattr(clip_vision, "model_type", "") == "clip_vision_model"
    return Embeddings(mix, encoded, blank=partial(_blank, clip_vision) if is_clip else None)


def check_encodable(ingredient: Ingredient, clip_vision: Any, clip: Any, vae: Any = None) -> None:
    """Raises the error of `encode` for an ingredient that these towers cannot take, before anything is run."""
    if ingredient.kind == "url":
        raise InputError(
            "The local engine does not fetch image URLs: load the picture with Load Image and add it with Add Image."
        )
    if ingredient.kind == "image" and clip_vision is None and vae is None:
        raise EngineError("The mix has images but no vision tower is connected: connect clip_vision.", "no tower")
    if ingredient.kind == "text" and clip is None:
        raise EngineError(
            "The mix or the prompt has text but no text tower is connected: connect clip (a CLIP-L with projection).",
            "no tower",
        )


def _image(picture: Picture, clip_vision: Any, vae: Any, preparation: str, megapixels: float) -> Encoded:
    seen = _seen(picture, clip_vision, preparation) if clip_vision is not None else Encoded()
    return replace(seen, latent=_latent(picture, vae, megapixels)) if vae is not None else seen


def _seen(picture: Picture, clip_vision: Any, preparation: str) -> Encoded:
    """What the vision tower makes of a picture; of several squares, the vector is the norm-preserving average."""
    module = clip_vision.model
    key = (patches_of(clip_vision.patcher), picture.digest, "image", preparation)
    encoded = CACHE.get(module, key)
    if encoded is None:
        squares = images.prepared(picture.pixels, clip_vision.image_size, preparation)
        out = clip_vision.encode_image(squares)
        embeds = out["image_embeds"]
        vector = None
        if embeds is not None and embeds.ndim == 2:
            embeds = _kept(embeds)
            vector = embeds[0] if len(embeds) == 1 else norm_preserving_average(embeds, ((1.0,) * len(embeds),))[0]
            vector = vector.clone()
        encoded = Encoded(vector, _kept(out["penultimate_hidden_states"]), _kept(out["last_hidden_state"]))
        CACHE.put(module, key, encoded)
    return encoded


def _blank(clip_vision: Any) -> Encoded:
    """What the tower makes of pixel values of 0 behind its own normalisation: the mean colour of its training."""
    key = (patches_of(clip_vision.patcher), "blank")
    encoded = CACHE.get(clip_vision.model, key)
    if encoded is None:
        comfy.model_management.load_model_gpu(clip_vision.patcher)
        pixels = torch.zeros(1, 3, clip_vision.image_size, clip_vision.image_size, device=clip_vision.load_device)
        out = clip_vision.model(pixel_values=pixels, intermediate_output=-2)
        encoded = Encoded(penultimate=_kept(out[1]))
        CACHE.put(clip_vision.model, key, encoded)
    return encoded


def _latent(picture: Picture, vae: Any, megapixels: float) -> torch.Tensor:
    """The picture through the VAE, at the size that `latents.reference_size` gives."""
    module = vae.first_stage_model
    width, height = latents.reference_size(picture.pixels.shape[2], picture.pixels.shape[1], megapixels)
    key = (patches_of(vae.patcher), picture.digest, "latent", width, height)
    encoded = CACHE.get(module, key)
    if encoded is None or encoded.latent is None:
        encoded = Encoded(latent=_kept(vae.encode(images.resized(picture.pixels, width, height))))
        CACHE.put(module, key, encoded)
    latent = encoded.latent
    assert latent is not None
    return latent


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(device="cpu", dtype=torch.float32, copy=True).contiguous()


def _text(text: str, clip: Any) -> Encoded:
    inner = getattr(clip.cond_stage_model, "clip_l", None)
    if inner is None:
        raise EngineError("Text as an ingredient needs a CLIP-L text tower; the connected clip has none.", "no tower")
    key = (patches_of(clip.patcher), text, "text")
    encoded = CACHE.get(inner, key)
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
        encoded = Encoded(_kept(pooled[0]))
        CACHE.put(inner, key, encoded)
    return encoded


def patches_of(patcher: Any) -> Any:
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
