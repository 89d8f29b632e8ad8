"""Encoding a mix: each ingredient goes through the encoders that are connected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from ..mixing.errors import EngineError, InputError
from ..mixing.images import Preparation, resized
from ..mixing.mix import Ingredient, Mix, Picture
from .cache import CACHE, patches_of
from .embeddings import Embeddings, Encoded
from .latents import reference_size
from .towers import encode_blank, encode_picture, encode_text, on_cpu

if TYPE_CHECKING:
    from comfy.clip_vision import ClipVisionModel
    from comfy.sd import CLIP, VAE


@dataclass(frozen=True)
class Encoders:
    """What can encode an ingredient: vision tower and VAE (pictures), text tower (texts). None if not connected."""

    clip_vision: ClipVisionModel | None = None
    clip: CLIP | None = None
    vae: VAE | None = None


def encode_both(
    mix: Mix, negative_mix: Mix | None, encoders: Encoders, preparation: Preparation, megapixels: float = 1.0
) -> Embeddings:
    """Return the embeddings of `mix`, with those of `negative_mix` as their negative. Otherwise as `encode`."""
    embeddings = encode(mix, encoders, preparation, megapixels)
    if negative_mix is None:
        return embeddings
    return replace(embeddings, negative=encode(negative_mix, encoders, preparation, megapixels))


def encode(mix: Mix, encoders: Encoders, preparation: Preparation, megapixels: float = 1.0) -> Embeddings:
    """Return the embeddings of every ingredient of `mix`, from the cache if it has them.

    `preparation` says how a vision tower gets a picture that is not square, `megapixels` at which size the VAE gets it.
    Raise EngineError ("no tower") if an encoder is missing or unfit, InputError for URL ingredients and if the vectors of
    images and texts differ in width.
    """
    for ingredient in mix.ingredients:
        check_encodable(ingredient, encoders)
    encoded = tuple(_encoded(ingredient, encoders, preparation, megapixels) for ingredient in mix.ingredients)
    widths = sorted({one.vector.shape[-1] for one in encoded if one.vector is not None})
    if len(widths) > 1:
        raise InputError(
            f"Images and texts have vectors of different widths ({widths[0]} and {widths[1]}): the clip_vision and the "
            "clip must be the two halves of one CLIP."
        )
    clip_vision = encoders.clip_vision
    is_clip = getattr(clip_vision, "model_type", "") == "clip_vision_model"
    return Embeddings(mix, encoded, blank=partial(encode_blank, clip_vision) if is_clip else None)


def check_encodable(ingredient: Ingredient, encoders: Encoders) -> None:
    """Raise the error of `encode` for an ingredient that `encoders` cannot encode, before any of them runs."""
    if ingredient.kind == "url":
        raise InputError(
            "The local engine does not fetch image URLs: load the picture with Load Image and add it with Add Image."
        )
    if ingredient.kind == "image" and encoders.clip_vision is None and encoders.vae is None:
        raise EngineError("The mix has images but no vision tower is connected: connect clip_vision.", "no tower")
    if ingredient.kind == "text" and encoders.clip is None:
        raise EngineError(
            "The mix or the prompt has text but no text tower is connected: connect clip (a CLIP-L with projection).",
            "no tower",
        )


def _encoded(ingredient: Ingredient, encoders: Encoders, preparation: Preparation, megapixels: float) -> Encoded:
    content = ingredient.content
    if not isinstance(content, Picture):
        return encode_text(content, encoders.clip)
    vision = encoders.clip_vision
    encoded = encode_picture(content, vision, preparation) if vision is not None else Encoded()
    return replace(encoded, latent=_latent(content, encoders.vae, megapixels)) if encoders.vae is not None else encoded


def _latent(picture: Picture, vae: VAE, megapixels: float) -> torch.Tensor:
    """Return the picture encoded by the VAE, at the size that `reference_size` gives."""
    width, height = reference_size(picture.pixels.shape[2], picture.pixels.shape[1], megapixels)
    key = (patches_of(vae.patcher), picture.digest, "latent", width, height)
    latent: torch.Tensor | None = CACHE.get(vae.first_stage_model, key)
    if latent is None:
        latent = on_cpu(vae.encode(resized(picture.pixels, width, height)))
        CACHE.put(vae.first_stage_model, key, latent)
    return latent
