"""The local engine as its nodes call it.

The tests that hold for every method reach the engine through this module only: if the engine's functions change their
shape, this module follows, and those tests stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from image_mixer.local import engine
from image_mixer.local.methods import METHODS, Limits
from image_mixer.mixing.mix import Mix
from image_mixer.mixing.recipe import Recipe
from image_mixer.nodes.methods import method_input

Models, Embeddings, Conditioned = engine.Models, engine.Embeddings, engine.Conditioned


def method_names() -> list[str]:
    """Return the names of the methods in the order in which `auto` asks them."""
    return [method.name for method in METHODS]


def limits_of(method: str) -> Limits:
    """Return the limits of the method with this name."""
    (limits,) = (one.limits for one in METHODS if one.name == method)
    return limits


def inputs_of(method: str, engine: bool = True) -> list[Any]:
    """Return the inputs that Image Mixer (Local) shows for a method, as ComfyUI's input objects; else those of Apply Mix."""
    (inputs,) = (option.inputs for option in method_input(engine=engine).options if option.key == method)
    return list(inputs)


def generated(recipe: Recipe, models: Models, method: str, settings: Mapping[str, Any], **options: Any) -> torch.Tensor:
    """Return the latents [variants x samples, ...] that Image Mixer (Local) makes; `options` are its other inputs."""
    return engine.generate(recipe, models, engine.Options(method=method, settings=settings, **options)).latents


def encoded(mix: Mix, models: Models, settings: Mapping[str, Any]) -> Embeddings:
    """Return what Encode Mix makes of `mix`, with the VAE connected if there is no vision encoder."""
    vae = models.vae if models.clip_vision is None else None
    encoders = engine.Encoders(models.clip_vision, models.clip, vae)
    return engine.embed_all(mix, encoders, megapixels=settings.get("megapixels", 1.0))


def applied(
    embeddings: Embeddings,
    text: Conditioned,
    method: str,
    strength: float = 1.0,
    settings: Mapping[str, Any] | None = None,
    adapter: Any = None,
) -> Conditioned:
    """Return what Apply Mix makes of `text` with those of `settings` that it has."""
    names = {one.id for one in inputs_of(method, engine=False)}
    chosen = {name: value for name, value in (settings or {}).items() if name in names}
    return engine.apply(engine.Target(*text, adapter=adapter), embeddings, method, strength, chosen)
