"""Parity with Lambda's Image Mixer: its algorithm written out here from the recipe, on a micro model in float32."""

from __future__ import annotations

import math

import micro
import pytest
import torch
from image_mixer.local import engine, sampling
from image_mixer.local.encoders import Encoders, encode
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe
from image_mixer.tests.support.pictures import picture

SCALE = 0.18215


@pytest.fixture(scope="module")
def lambda_like() -> micro.MicroModels:
    """Micro models that predict noise, as Lambda's does."""
    return micro.build(prediction="eps")


def original_alphas() -> torch.Tensor:
    """Return alphas_cumprod of Stable Diffusion 1: betas linear in their square root from 0.00085 to 0.012."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0)


def original_ddim(predict, noise: torch.Tensor, steps: int, guidance: float) -> torch.Tensor:
    """Run CompVis' DDIM with eta 0: timesteps 1, 1 + 1000 // S, …, without the noisiest, as in Lambda's code."""
    alphas = original_alphas()
    timesteps = [t + 1 for t in range(0, 1000, 1000 // steps)]
    previous = [alphas[0], *(alphas[t] for t in timesteps[:-1])]
    x = noise
    for index in reversed(range(len(timesteps) - 1)):
        a_t, a_prev = alphas[timesteps[index]], previous[index]
        unconditional, conditional = predict(x, timesteps[index])
        eps = unconditional + guidance * (conditional - unconditional)
        x0 = (x - math.sqrt(1.0 - a_t) * eps) / math.sqrt(a_t)
        x = math.sqrt(a_prev) * x0 + math.sqrt(1.0 - a_prev) * eps
    return x


@pytest.mark.parametrize("steps", [30, 50])
def test_thirty_steps_as_the_original(lambda_like, steps: int) -> None:
    pictures = [picture(i).content for i in range(3)]
    weights = (0.7, 1.0, 2.5)
    mix = Mix(tuple(Ingredient("image", picture) for picture in pictures), (weights,))
    unet = lambda_like.model.model.diffusion_model

    tokens = [
        w * v
        for w, v in zip(weights, encode(mix, Encoders(lambda_like.clip_vision), "centre crop").vectors, strict=True)
    ]
    context = torch.stack([*tokens, torch.zeros(768), torch.zeros(768)])[None]

    def predict(x: torch.Tensor, timestep: int) -> tuple[torch.Tensor, torch.Tensor]:
        t = torch.tensor([float(timestep)])
        with torch.no_grad():
            return unet(x, t, context=torch.zeros_like(context)), unet(x, t, context=context)

    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(11))
    expected = original_ddim(predict, noise, steps, 3.0) / SCALE

    recipe = Recipe(mix, width=64, height=64, steps=steps, guidance_scale=3.0, seed=11)
    made = engine.generate(
        recipe,
        engine.Models(lambda_like.model, lambda_like.vae, None, lambda_like.clip_vision),
        engine.Options(sampler=sampling.ORIGINAL_DDIM),
    )
    error = (made.latents - expected).norm() / expected.norm()
    assert error <= 1e-5, f"relative error {error:.2e}"


def test_the_schedule_matters(lambda_like) -> None:
    """Core's own ddim differs a lot from the original at 30 steps, so the separate sampler is needed."""
    mix = Mix(
        (picture(1),),
        ((1.0,),),
    )
    models = engine.Models(lambda_like.model, lambda_like.vae, None, lambda_like.clip_vision)
    recipe = Recipe(mix, width=64, height=64, steps=30, seed=11)
    stock = engine.generate(recipe, models, engine.Options(sampler="ddim", scheduler="ddim_uniform")).latents
    original = engine.generate(recipe, models, engine.Options(sampler=sampling.ORIGINAL_DDIM)).latents
    assert (stock - original).norm() / original.norm() > 0.01
