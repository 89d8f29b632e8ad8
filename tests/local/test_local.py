"""Invariants 3 to 6 of the local engine, on micro models."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from image_mixer.local import batches, engine, sampling
from image_mixer.mixing.errors import EngineError
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe
from image_mixer.tests.support.mixes import mix_of
from image_mixer.tests.support.mixes import recipe_of as small_recipe
from image_mixer.tests.support.pictures import picture

NEAR = 1e-4

recipe_of = partial(small_recipe, prompt="", steps=4)


@pytest.fixture
def models(micro_models: Any) -> engine.Models:
    return engine.Models(micro_models.model, micro_models.vae, micro_models.clip, micro_models.clip_vision)


def latents_of(recipe: Recipe, models: engine.Models, **options: Any) -> torch.Tensor:
    return engine.generate(recipe, models, engine.Options(**options)).latents


def test_one_image_is_encode_apply_ksampler_bit_for_bit(models: engine.Models) -> None:
    import nodes

    mix, recipe = mix_of(1.0), recipe_of(mix_of(1.0))
    embeddings = engine.embed_all(mix, engine.Encoders(models.clip_vision))
    model, positive, negative = engine.apply(engine.Target(models.model), embeddings)
    for sampler in ("euler", "euler_ancestral", "dpmpp_2m_sde", "uni_pc", "ddim"):
        (latent,) = nodes.common_ksampler(
            model, 7, 4, 3.0, sampler, "karras", positive, negative, {"samples": torch.zeros(1, 4, 8, 8)}
        )
        made = engine.generate(recipe, models, engine.Options(sampler=sampler, scheduler="karras"))
        assert torch.equal(made.latents, latent["samples"]), sampler
        assert torch.equal(made.images, models.vae.decode(latent["samples"])), sampler


def test_denoise_and_latent_as_in_ksampler(models: engine.Models) -> None:
    import nodes

    latent = {
        "samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)),
        "noise_mask": torch.ones(1, 1, 64, 64).tril(),
    }
    embeddings = engine.embed_all(mix_of(1.0), engine.Encoders(models.clip_vision))
    model, positive, negative = engine.apply(engine.Target(models.model), embeddings)
    for sampler in ("euler", "ddim"):
        (expected,) = nodes.common_ksampler(
            model, 7, 4, 3.0, sampler, "normal", positive, negative, latent, denoise=0.5
        )
        made = latents_of(recipe_of(mix_of(1.0)), models, sampler=sampler, latent=latent, denoise=0.5)
        assert torch.equal(made, expected["samples"])


def test_the_same_pixels_twice_and_global_generators_untouched(models: engine.Models) -> None:
    recipe = recipe_of(mix_of(0.5, 0.7), samples=2)
    for sampler in ("ddim", "euler_ancestral", "dpmpp_sde"):
        torch.manual_seed(1), random.seed(2), numpy.random.seed(3)
        states = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
        first = engine.generate(recipe, models, engine.Options(sampler=sampler)).images
        assert torch.equal(torch.get_rng_state(), states[0])
        assert random.getstate() == states[1]
        assert (numpy.random.get_state()[1] == states[2]).all()
        torch.manual_seed(99)
        assert torch.equal(first, engine.generate(recipe, models, engine.Options(sampler=sampler)).images)


SECOND_PROCESS = """
import sys
sys.path[:0] = [{comfyui!r}, {probe!r}]
import comfy.cli_args
comfy.cli_args.args.cpu = True
import types
alias = types.ModuleType("image_mixer")
alias.__path__ = [{root!r}]
sys.modules["image_mixer"] = alias
import hashlib, micro, torch
torch.set_num_threads(1)
from image_mixer.local import engine
from image_mixer.mixing import images
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe
made = micro.build()
pixels = torch.rand(1, 56, 56, 3, generator=torch.Generator().manual_seed(0))
recipe = Recipe(Mix((Ingredient("image", images.picture(pixels)),), ((1.0,),)), width=64, height=64, steps=4, seed=7)
with torch.inference_mode():
    models = engine.Models(made.model, made.vae, None, made.clip_vision)
    out = engine.generate(recipe, models, engine.Options(sampler="dpmpp_sde"))
print("digest", hashlib.sha256(out.images.numpy().tobytes()).hexdigest())
"""


def test_the_same_pixels_in_a_second_process(models: engine.Models) -> None:
    import hashlib

    import comfy.samplers

    root = Path(__file__).resolve().parents[2]
    code = SECOND_PROCESS.format(
        comfyui=str(Path(comfy.samplers.__file__).parents[1]),
        probe=str(root / "tests" / "support" / "probe"),
        root=str(root),
    )
    recipe = replace(recipe_of(mix_of(1.0)), guidance_scale=3.0)
    here = engine.generate(recipe, models, engine.Options(sampler="dpmpp_sde")).images
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"digest {hashlib.sha256(here.numpy().tobytes()).hexdigest()}" in done.stdout


def test_a_zero_weight_needs_no_tower(models: engine.Models) -> None:
    mix = Mix(
        (picture(0), Ingredient("text", "a cat"), Ingredient("url", "https://example.com/a.png")), ((1.0, 0.0, 0.0),)
    )
    assert torch.equal(
        latents_of(recipe_of(mix), replace(models, clip=None)), latents_of(recipe_of(mix_of(1.0)), models)
    )


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral", "dpmpp_sde"])
def test_variants_and_samples_of_a_batch_of_8_equal_their_run_alone(models: engine.Models, sampler: str) -> None:
    rows = ((1.0, 0.0), (0.7, 0.3), (0.3, 0.7), (0.0, 1.0))
    batch = engine.generate(recipe_of(mix_of(rows=rows), samples=2), models, engine.Options(sampler=sampler))
    assert batch.latents.shape[0] == 8
    for index, made in enumerate(batch.report.images):
        assert (made.variant, made.sample, made.seed) == (index // 2, index % 2, 7 + index % 2)
        alone = latents_of(recipe_of(mix_of(rows=(rows[made.variant],)), seed=made.seed), models, sampler=sampler)
        assert torch.allclose(batch.latents[index : index + 1], alone, atol=NEAR, rtol=0), (sampler, index)


def test_batches_are_cut_by_the_pixel_budget(models: engine.Models, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple((1.0, i / 5) for i in range(5))
    whole = engine.generate(recipe_of(mix_of(rows=rows)), models, engine.Options())
    sizes: list[int] = []
    sample = sampling.sample
    monkeypatch.setattr(batches, "PIXELS_PER_BATCH", 2 * 64 * 64)
    monkeypatch.setattr(
        sampling, "sample", lambda *args, **kw: (sizes.append(args[1].latent.shape[0]), sample(*args, **kw))[1]
    )
    cut = engine.generate(recipe_of(mix_of(rows=rows)), models, engine.Options())
    assert sizes == [2, 2, 1]
    assert torch.allclose(whole.latents, cut.latents, atol=NEAR, rtol=0)


def test_strength_multiplies_weights(models: engine.Models) -> None:
    assert torch.allclose(
        latents_of(recipe_of(mix_of(0.5, 1.0)), models, strength=2.0),
        latents_of(recipe_of(mix_of(1.0, 2.0)), models),
        atol=NEAR,
        rtol=0,
    )


def test_the_prompt_is_a_text_ingredient_and_the_negative_prompt_a_negative_token(models: engine.Models) -> None:
    spelled_out = Mix((picture(0), Ingredient("text", "a red cat")), ((1.0, 1.0),))
    assert torch.equal(
        latents_of(recipe_of(mix_of(1.0), prompt="a red cat"), models), latents_of(recipe_of(spelled_out), models)
    )
    negative = Mix((Ingredient("text", "fog"),), ((1.0,),))
    with_prompt = latents_of(recipe_of(mix_of(1.0), negative_prompt="fog"), models)
    assert torch.equal(with_prompt, latents_of(recipe_of(mix_of(1.0)), models, negative_mix=negative))
    assert not torch.allclose(with_prompt, latents_of(recipe_of(mix_of(1.0)), models))


def test_the_model_is_left_unchanged(models: engine.Models) -> None:
    options, patches = repr(sorted(models.model.model_options)), dict(models.model.object_patches)
    latents_of(recipe_of(mix_of(1.0, 0.5), prompt="x"), models)
    assert repr(sorted(models.model.model_options)) == options
    assert models.model.object_patches == patches


def test_out_of_memory_is_an_engine_error(models: engine.Models, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_kwargs: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sampling, "sample", full)
    with pytest.raises(EngineError) as caught:
        latents_of(recipe_of(mix_of(1.0)), models)
    assert caught.value.cause == "out of memory"


def test_size_0_takes_the_first_images_shape(models: engine.Models) -> None:
    wide = Mix((picture(0, 100, 300),), ((1.0,),))
    made = engine.generate(recipe_of(wide, width=0, height=0, steps=1, guidance_scale=1.0), models, engine.Options())
    assert tuple(made.images.shape) == (1, 256, 768, 3)
