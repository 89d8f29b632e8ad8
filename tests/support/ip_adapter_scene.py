"""What the tests of method ip-adapter share: adapters, runs and single forward passes on micro models."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import comfy.samplers
import micro
import micro_adapters
import torch
from image_mixer.local import engine, ip_adapter_file
from image_mixer.local.embeddings import Embeddings
from image_mixer.mixing.recipe import Recipe
from image_mixer.tests.support.mixes import mix_of
from image_mixer.tests.support.mixes import recipe_of as small_recipe
from safetensors.torch import save_file

NEAR = 1e-4
EXACT = 1e-6
LEFT = torch.cat([torch.ones(8, 4), torch.zeros(8, 4)], dim=1)

recipe_of = partial(small_recipe, steps=3)


def adapter_of(folder: Path, kind: str, unet: dict[str, Any]) -> ip_adapter_file.Adapter:
    path = folder / f"{kind}.safetensors"
    make = {"standard": micro_adapters.standard, "plus": micro_adapters.plus}[kind]
    save_file(micro_adapters.flat(make(unet, {"standard": micro.WIDTH, "plus": 64}[kind])), str(path))
    return ip_adapter_file.load(str(path))


def latents_of(recipe: Recipe, models: engine.Models, combine: str = "shared", **options: Any) -> torch.Tensor:
    settings = {"combine": combine, **options.pop("settings", {})}
    return engine.generate(recipe, models, engine.Options(method="ip-adapter", settings=settings, **options)).latents


def near(one: torch.Tensor, other: torch.Tensor, by: float = NEAR) -> bool:
    return float((one - other).abs().max()) <= by


def forward(
    models: engine.Models,
    embeddings: Embeddings,
    combine: str,
    items: int = 1,
    guidance: float = 3.0,
    **more: Any,
) -> torch.Tensor:
    """Return the result of one guided forward pass of ComfyUI's sampling at the largest sigma."""
    text, avoided = (models.clip.encode_from_tokens_scheduled(models.clip.tokenize(t)) for t in ("a cat", ""))
    settings = {"combine": combine, **more.pop("settings", {})}
    target = engine.Target(
        more.pop("model", models.model), more.pop("positive", text), more.pop("negative", avoided), models.adapter
    )
    model, positive, negative = engine.apply(
        target, embeddings, "ip-adapter", more.pop("strength", 1.0), settings=settings
    )
    return once(model, positive, negative, items, guidance)


def once(model: Any, positive: Any, negative: Any, items: int = 1, guidance: float = 3.0) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    x = torch.randn(items, 4, 8, 8, generator=torch.Generator().manual_seed(3))

    def capture(wrapped: Any, _x: Any, sigmas: Any, extra_args: Any = None, **_: Any) -> torch.Tensor:
        seen.append(wrapped(x, sigmas[0].expand(items), **extra_args))
        return seen[0]

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(guidance)
    sigmas = torch.tensor([5.0, 0.0])
    guider.sample(torch.zeros_like(x), torch.zeros_like(x), comfy.samplers.KSAMPLER(capture), sigmas)
    return seen[0]


def embedded(models: engine.Models, *weights: float, first: int = 0) -> Embeddings:
    return engine.embed_all(mix_of(*weights, first=first), engine.Encoders(models.clip_vision))


def texts(models: engine.Models) -> tuple[Any, Any]:
    positive, negative = (models.clip.encode_from_tokens_scheduled(models.clip.tokenize(t)) for t in ("a cat", ""))
    return positive, negative


def applied(models: engine.Models, embeddings: Any, model: Any, positive: Any, negative: Any, combine: str) -> Any:
    settings = {"combine": combine}
    return engine.apply(engine.Target(model, positive, negative, adapter=models.adapter), embeddings, settings=settings)
