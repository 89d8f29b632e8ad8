"""Guidance-distilled models (Flux dev, for example): the recipe's guidance scale is their input, and cfg is 1."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import edit_models
import micro_flux
import pytest
import torch
from image_mixer.local import engine, sampling
from image_mixer.local.conditioning import Conditioned
from image_mixer.local.methods import Limits, Needs, Request, Settings
from image_mixer.mixing import images
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe


class AsText:
    """A method that changes nothing."""

    name = "as text"
    limits = Limits(None, 0.0, 5.0, texts=False, regions=False, spans=False)
    settings = Settings
    prompt_is_ingredient = False

    def needs(self, settings: Settings) -> Needs:
        return Needs(vae=True, pictures_in_prompt=True)

    def check_model(self, model: Any, adapter: Any) -> list[str]:
        return []

    def check_embeddings(self, embeddings: Any, model: Any, adapter: Any) -> None: ...

    def condition(self, request: Request[Settings]) -> Conditioned:
        return Conditioned(request.target.model, request.target.positive, request.target.negative)


class Clip(edit_models.MicroCLIP):
    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, tokens: str) -> Any:
        return micro_flux.text(seed=len(tokens) + 1)


class Vae:
    """A VAE with the model's 16 channels; no test looks at its output."""

    first_stage_model = torch.nn.Identity()
    patcher = SimpleNamespace(patches={})

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1, 16, pixels.shape[1] // 8, pixels.shape[2] // 8)

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        return torch.zeros(samples.shape[0], 8, 8, 3)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(engine, "choose", lambda *_: AsText())
    cfgs: list[float] = []
    sample = sampling.sample
    monkeypatch.setattr(sampling, "sample", lambda *a, **k: (cfgs.append(a[2].guidance_scale), sample(*a, **k))[1])

    def run(model: Any, **changes: Any) -> tuple[engine.Result, float]:
        mix = Mix((Ingredient("image", images.picture(torch.zeros(1, 16, 16, 3))),), ((1.0,),))
        recipe = Recipe(mix, **{"prompt": "a cat", "width": 64, "height": 64, "steps": 2, **changes})
        return engine.generate(recipe, engine.Models(model, Vae(), Clip()), engine.Options()), cfgs[-1]

    return run


def test_a_distilled_model_gets_the_guidance_scale_as_its_input(run: Any) -> None:
    model = micro_flux.build()
    made, cfg = run(model, guidance_scale=2.5)
    assert cfg == 1.0 and made.report.details["guidance_scale"] == 2.5
    text = [
        [context, {**options, "guidance": 2.5}] for context, options in Clip().encode_from_tokens_scheduled("a cat")
    ]
    settings = sampling.Settings("euler", "normal", 2, 1.0)
    alone = sampling.sample(
        sampling.Conditioned(model, text, text),
        sampling.Start(torch.zeros(1, 16, 8, 8), [made.report.images[0].seed]),
        settings,
    )
    assert torch.equal(made.latents, alone)
    assert not torch.allclose(made.latents, run(model, guidance_scale=6.0)[0].latents, atol=1e-3)


def test_a_model_that_is_not_distilled_is_sampled_at_that_cfg(run: Any) -> None:
    made, cfg = run(micro_flux.build(guidance_embed=False), guidance_scale=2.5, negative_prompt="fog")
    assert cfg == 2.5 and made.report.warnings == ()


def test_a_negative_prompt_that_is_not_used_is_said(run: Any) -> None:
    model = micro_flux.build()
    (warning,) = run(model, negative_prompt="fog")[0].report.warnings
    assert "negative prompt" in warning
    assert torch.equal(run(model, negative_prompt="fog")[0].latents, run(model)[0].latents)
