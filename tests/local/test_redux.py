"""Method redux on a micro Flux: diffusers' numbers, exact weights, and what it refuses.

test_methods.py tries what every method promises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.sd
import micro
import micro_flux
import pytest
import torch
from image_mixer.local import batches, engine, sampling
from image_mixer.local.methods import choose
from image_mixer.local.methods.redux import COMBINES, CONCATENATE, KEY, REDUX, SUM
from image_mixer.local.randomness import starting_noise
from image_mixer.mixing.errors import EngineError, InputError, MixError
from image_mixer.mixing.mix import Mix
from image_mixer.tests.parity import diffusers_redux as parity_redux
from image_mixer.tests.support.methods import SEEN, redux_models, style_model
from image_mixer.tests.support.mixes import mix_of, recipe_of
from image_mixer.tests.support.pictures import picture

NEAR = 1e-4
FORWARD = 1e-5
LATENT = (1, 16, 8, 8)


@pytest.fixture(scope="module")
def models() -> engine.Models:
    return redux_models()


def latents_of(mix: Mix, models: engine.Models, changes: Any = None, **options: Any) -> torch.Tensor:
    recipe = recipe_of(mix, **{"guidance_scale": 3.5, **(changes or {})})
    return engine.generate(recipe, models, engine.Options(**options)).latents


def applied(models: engine.Models, mix: Mix, text: Any = None, strength: float = 1.0, **settings: Any) -> Any:
    embeddings = engine.embed_all(mix, engine.Encoders(models.clip_vision))
    text = text or micro_flux.text()
    return engine.apply(
        engine.Target(models.model, text, text, adapter=models.adapter),
        embeddings,
        "redux",
        strength,
        settings=settings,
    )


def sampled(conditioned: Any, steps: int = 2) -> torch.Tensor:
    settings = sampling.Settings("euler", "normal", steps, 1.0)
    return sampling.sample(sampling.Conditioned(*conditioned), sampling.Start(torch.zeros(LATENT), [7]), settings)


def with_references(text: Any) -> Any:
    generator = torch.Generator().manual_seed(6)
    latents = [torch.randn(1, 16, 8, 8, generator=generator), torch.randn(1, 16, 4, 8, generator=generator)]
    return [[context, {**options, "reference_latents": latents}] for context, options in text]


each_combine = pytest.mark.parametrize("combine", COMBINES)


# Equal to other implementations


def test_the_encoder_equals_diffusers(models: engine.Models) -> None:
    seen = torch.randn(2, 16, SEEN, generator=torch.Generator().manual_seed(1))
    ours = models.adapter.model(seen)
    assert torch.equal(ours, parity_redux.encoder(models.adapter.model)(seen).image_embeds)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.7, -0.2, 1.3)])
def test_a_forward_and_ten_steps_equal_diffusers(models: engine.Models, weights: tuple[float, ...]) -> None:
    """Equal weights concatenated, and others summed, after the text; with diffusers' encoder and transformer."""
    text, mix = micro_flux.text(), mix_of(*weights)
    combine = CONCATENATE if len(set(weights)) == 1 else SUM
    model, positive, negative = applied(models, mix, text, combine=combine)
    encoder = parity_redux.encoder(models.adapter.model)
    embeddings = engine.embed_all(mix, engine.Encoders(models.clip_vision))
    sequences = [encoder(one.last).image_embeds for one in embeddings.encoded]
    if combine == SUM:
        sequences = [sum(w * sequence for w, sequence in zip(weights, sequences, strict=True))]
    context = torch.cat([text[0][0], *sequences], dim=1)
    other, x = parity_redux.transformer(), starting_noise(torch.zeros(LATENT), [7])
    for steps, bound in ((1, FORWARD), (10, NEAR)):
        sigmas = sampling._sigmas(model, sampling.Settings("euler", "simple", steps, 1.0))
        ours = comfy.sample.sample_custom(
            model,
            x,
            1.0,
            comfy.samplers.sampler_object("euler"),
            sigmas,
            positive,
            negative,
            torch.zeros(LATENT),
            seed=7,
        )
        theirs = parity_redux.euler(other, context, text[0][1]["pooled_output"], 3.5, x, sigmas)
        theirs = model.model.latent_format.process_out(theirs)
        assert float((ours - theirs).abs().max()) <= bound, (steps, float((ours - theirs).abs().max()))


def test_default_weights_are_cores_own_style_model_bit_for_bit(models: engine.Models) -> None:
    import nodes

    seen = [models.clip_vision.encode_image(i.content.pixels) for i in mix_of(1.0, 1.0).ingredients]
    text = micro_flux.text()
    for one in seen:
        (text,) = nodes.StyleModelApply().apply_stylemodel(text, models.adapter, one, 1.0, "multiply")
    model, positive, _ = applied(models, mix_of(1.0, 1.0))
    assert torch.equal(positive[0][0], text[0][0])
    assert model is models.model


# Weights


def test_weight_2_is_the_picture_given_twice(models: engine.Models) -> None:
    twice = Mix((picture(0), picture(0), picture(1)), ((1.0, 1.0, 1.0),))
    doubled = Mix((picture(0), picture(1)), ((2.0, 1.0),))
    for text in (micro_flux.text(), with_references(micro_flux.text())):
        one, other = sampled(applied(models, doubled, text)), sampled(applied(models, twice, text))
        assert torch.allclose(one, other, atol=NEAR, rtol=0)
        assert not torch.allclose(one, sampled(applied(models, mix_of(1.0, 1.0), text)), atol=1e-3)


def test_strength_multiplies_weights(models: engine.Models) -> None:
    for combine in COMBINES:
        by = {"method": "redux", "settings": {"combine": combine}}
        half = latents_of(mix_of(1.0, 0.5), models, strength=0.5, **by)
        assert torch.allclose(half, latents_of(mix_of(0.5, 0.25), models, **by), atol=NEAR, rtol=0)


def test_a_sum_costs_one_picture(models: engine.Models) -> None:
    _, one, _ = applied(models, mix_of(0.5), combine=SUM)
    _, four, _ = applied(models, mix_of(0.5, 0.5, 0.5, 0.5), combine=SUM)
    _, all_of_four, _ = applied(models, mix_of(0.5, 0.5, 0.5, 0.5), combine=CONCATENATE)
    assert one[0][0].shape == four[0][0].shape
    assert all_of_four[0][0].shape[1] - 8 == 4 * (one[0][0].shape[1] - 8)


def test_a_smaller_grid_keeps_the_means_of_equal_areas(models: engine.Models) -> None:
    _, whole, _ = applied(models, mix_of(1.0))
    _, half, _ = applied(models, mix_of(1.0), grid=2)
    _, point, _ = applied(models, mix_of(1.0), grid=1)
    tokens = whole[0][0][:, 8:].reshape(2, 2, 2, 2, -1)
    assert torch.allclose(half[0][0][:, 8:].reshape(2, 2, -1), tokens.mean(dim=(1, 3)), atol=1e-6)
    assert torch.allclose(point[0][0][:, 8], whole[0][0][:, 8:].mean(dim=1), atol=1e-6)


# With other features


@each_combine
def test_with_reference_latents(models: engine.Models, combine: str) -> None:
    text = with_references(micro_flux.text())
    mixed = sampled(applied(models, mix_of(1.0, 0.5), text, combine=combine))
    assert not torch.allclose(mixed, sampled(applied(models, mix_of(1.0, 0.5), combine=combine)), atol=1e-3)
    assert not torch.allclose(mixed, sampled((models.model, text, text)), atol=1e-3)
    absent = Mix((picture(0), picture(1)), ((1.0, 0.0), (1.0, 1.0)))
    model, positive, negative = applied(models, absent, text, combine=combine)
    settings = sampling.Settings("euler", "normal", 2, 1.0)
    pair = sampling.sample(
        sampling.Conditioned(model, positive, negative), sampling.Start(torch.zeros(2, *LATENT[1:]), [7, 7]), settings
    )
    assert torch.allclose(pair[:1], sampled(applied(models, mix_of(1.0), text, combine=combine)), atol=NEAR, rtol=0)


def test_two_mixes_on_one_model(models: engine.Models) -> None:
    first, second = Mix((picture(0),), ((0.5,),)), Mix((picture(1),), ((2.0,),))
    model, positive, negative = applied(models, first)
    embeddings = engine.embed_all(second, engine.Encoders(models.clip_vision))
    both = engine.apply(engine.Target(model, positive, negative, adapter=models.adapter), embeddings, "redux")
    assert torch.allclose(sampled(both), sampled(applied(models, mix_of(0.5, 2.0))), atol=NEAR, rtol=0)


def test_a_negative_mix_where_there_is_cfg(models: engine.Models) -> None:
    schnell = replace(models, model=micro_flux.build(guidance_embed=False))
    avoided = Mix((picture(2),), ((1.0,),))
    away = latents_of(mix_of(1.0, 0.5), schnell, negative_mix=avoided)
    assert not torch.allclose(away, latents_of(mix_of(1.0, 0.5), schnell), atol=1e-3)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.soak)])
def test_a_compiled_model_makes_the_same_without_graph_breaks(
    models: engine.Models, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    import comfy.ldm.flux.math as flux_math
    from comfy.ldm.modules.attention import attention_pytorch
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    from torch._dynamo.utils import counters

    # On a CPU core's attention asks the system for free memory, which breaks graphs even without a mix.
    monkeypatch.setattr(flux_math, "optimized_attention", attention_pytorch)

    def run(model: Any, weights: tuple[float, ...]) -> torch.Tensor:
        return latents_of(mix_of(*weights), replace(models, model=model))

    torch._dynamo.reset()
    counters.clear()
    compiled = models.model.clone()
    set_torch_compile_wrapper(compiled, backend=backend)
    run(compiled, (0.0, 0.0))
    without = set(counters["graph_break"])
    for weights in ((1.0, 0.5), (0.2, 1.0)):
        assert torch.allclose(run(compiled, weights), run(models.model, weights), atol=NEAR, rtol=0)
    assert counters["stats"]["unique_graphs"] and set(counters["graph_break"]) <= without


# What it refuses


def test_auto_takes_it_by_its_adapter(models: engine.Models) -> None:
    assert choose("auto", models.model, models.adapter) is REDUX
    assert choose("auto", models.model, None).name == "reference"


BAD: list[tuple[str, Mix, dict[str, Any], str]] = [
    ("a combine", mix_of(1.0), {"settings": {"combine": "max"}}, "Unknown value 'max' for combine: choose one of concatenate"),
    ("a grid", mix_of(1.0), {"settings": {"grid": 0}}, "Grid must be a whole number from 1 to 27, not 0."),
    ("no style model", mix_of(1.0), {"adapter": None}, "needs a Redux style model as its adapter"),
    ("another adapter", mix_of(1.0), {"adapter": comfy.sd.StyleModel(torch.nn.Identity())}, "needs a Redux style model"),
    ("a narrow style model", mix_of(1.0), {"adapter": style_model(width=32)}, "tokens of 32 numbers; the model takes 64"),
    ("no text tower", mix_of(1.0), {"clip": None}, "connect clip"),
    ("no vision tower", mix_of(1.0), {"clip_vision": None}, "connect clip_vision"),
    (
        "another tower",
        mix_of(1.0),
        {"clip_vision": micro.vision_tower(3)},
        "a square of tokens of 24 numbers; the connected tower makes 17 tokens of 64 numbers",
    ),
    (
        "a tower with a class token",
        mix_of(1.0),
        {"clip_vision": micro.vision_tower(3, hidden_size=SEEN)},
        "makes 17 tokens of 24 numbers",
    ),
    (
        "negative and concatenated, in a later variant",
        mix_of(rows=((1.0, 1.0), (1.0, -1.0))),
        {},
        "concatenates with weights from 0, not -1: choose weighted sum",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mix", "changes", "line"), BAD, ids=[case[0] for case in BAD])
def test_one_line_before_sampling(
    models: engine.Models, monkeypatch: pytest.MonkeyPatch, name: str, mix: Mix, changes: dict[str, Any], line: str
) -> None:
    monkeypatch.setattr(sampling, "sample", lambda *a, **k: pytest.fail("it sampled"))
    monkeypatch.setattr(batches, "PIXELS_PER_BATCH", 64 * 64)
    changes = dict(changes)
    settings = changes.pop("settings", {})
    with pytest.raises(MixError) as caught:
        latents_of(mix, replace(models, **changes), method="redux", settings=settings)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_of_another_family(models: engine.Models, micro_models: Any) -> None:
    with pytest.raises(EngineError, match="needs a Flux.1 model, not BaseModel".replace(".", r"\.")) as caught:
        choose("redux", micro_models.model, models.adapter).check_model(micro_models.model, models.adapter)
    assert caught.value.cause == "wrong model"


def test_conditioning_it_cannot_work_with(models: engine.Models) -> None:
    embeddings = engine.embed_all(mix_of(1.0), engine.Encoders(models.clip_vision))
    with pytest.raises(InputError, match="connect positive"):
        engine.apply(engine.Target(models.model, adapter=models.adapter), embeddings, "redux")
    masked = [[context, {**options, "attention_mask": torch.ones(1)}] for context, options in micro_flux.text()]
    with pytest.raises(InputError, match="set that to multiply"):
        engine.apply(engine.Target(models.model, masked, adapter=models.adapter), embeddings, "redux")


def test_equal_weights_of_1_need_no_bias(models: engine.Models) -> None:
    _, positive, _ = applied(models, mix_of(1.0, 1.0))
    assert KEY not in positive[0][1].get("model_conds", {})
