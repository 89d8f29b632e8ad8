"""Micro models that take reference images, references of several sizes, and Euler sampling from one noise."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import comfy.sample
import comfy.samplers
import edit_models
import torch
from image_mixer.local import engine
from image_mixer.local.embeddings import Embeddings, Encoded
from image_mixer.mixing.mix import Ingredient, Mix, Picture

NEAR = 1e-4
"""Latents here are of the size of 10, so this is 1e-5 of them."""

FAMILIES = ("flux", "flux2", "qwen_image") + (("krea2",) if importlib.util.find_spec("comfy.ldm.krea2") else ())
"""Older versions of ComfyUI have no Krea2."""

HEIGHT, WIDTH = 8, 12
SIZES = ((8, 8), (4, 12), (8, 4), (4, 4))


def family_of(model: Any) -> str:
    return model.model.model_config.unet_config["image_model"]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shaped(model: Any, latent: torch.Tensor) -> torch.Tensor:
    """Return [B, C, H, W], or [B, C, 1, H, W] if the model needs that."""
    return latent if family_of(model).startswith("flux") else latent[:, :, None]


def channels_of(model: Any) -> int:
    return model.get_model_object("latent_format").latent_channels


def text(model: Any, seed: int = 3) -> Any:
    tokens = drawn(seed, 1, 6, 2 * 40 if family_of(model) == "krea2" else edit_models.TEXT)
    options = {"pooled_output": drawn(seed + 1, 1, edit_models.POOLED)}
    if family_of(model) == "krea2":
        options["reference_latents_method"] = "index"
    return [[tokens, options]]


def embeddings_of(model: Any, rows: Any, pictures: Any = None, negative: Any = None) -> Embeddings:
    """Return references of different sizes, weighted by `rows`; `pictures` are their numbers."""
    pictures = range(len(rows[0])) if pictures is None else pictures
    ingredients = tuple(Ingredient("image", Picture(f"{index:064x}", None)) for index in pictures)
    return replace(embeddings_for(model, Mix(ingredients, tuple(map(tuple, rows)))), negative=negative)


def embeddings_for(model: Any, mix: Mix) -> Embeddings:
    """Return latents for the pictures of `mix`. The digest of a picture is its number; other ingredients get no latent."""
    return Embeddings(mix, tuple(_encoded(model, one) for one in mix.ingredients))


def _encoded(model: Any, ingredient: Ingredient) -> Encoded:
    if not isinstance(ingredient.content, Picture):
        return Encoded()
    index = int(ingredient.content.digest, 16)
    return Encoded(latent=shaped(model, drawn(20 + index, 1, channels_of(model), *SIZES[index % 4])))


def applied(
    model: Any, embeddings: Embeddings, strength: float = 1.0, positive: Any = None, negative: Any = None
) -> Any:
    return engine.apply(
        engine.Target(model, positive or text(model), negative or text(model, 8)), embeddings, strength=strength
    )


def sampled(conditioned: Any, items: int = 1, steps: int = 2, cfg: float = 2.0, sigmas: Any = None) -> torch.Tensor:
    """Sample with Euler, all items from the same noise."""
    model, positive, negative = conditioned
    noise = shaped(model, drawn(1, 1, channels_of(model), HEIGHT, WIDTH))
    noise = noise.expand(items, *noise.shape[1:]).clone()
    return comfy.sample.sample_custom(
        model,
        noise,
        cfg,
        comfy.samplers.sampler_object("euler"),
        torch.linspace(1.0, 0.0, steps + 1) if sigmas is None else torch.tensor(sigmas),
        positive,
        negative,
        torch.zeros_like(noise),
        disable_pbar=True,
    )


def made(model: Any, rows: Any, pictures: Any = None, **how: Any) -> torch.Tensor:
    return sampled(applied(model, embeddings_of(model, rows, pictures)), items=len(rows), **how)


def near(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=NEAR, rtol=0)
