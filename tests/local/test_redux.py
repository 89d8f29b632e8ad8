"""Method redux on a micro Flux: diffusers' numbers, exact weights, and the promises of every method."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.sd
import edit_models
import micro
import micro_flux
import numpy
import pytest
import random_model
import torch
from comfy.ldm.flux.redux import ReduxImageEncoder
from image_mixer.local import batches, engine, sampling
from image_mixer.local.methods import choose
from image_mixer.local.methods.redux import COMBINES, CONCATENATE, KEY, REDUX, SUM
from image_mixer.local.randomness import starting_noise
from image_mixer.mixing import images
from image_mixer.mixing.errors import EngineError, InputError, MixError
from image_mixer.mixing.mix import Ingredient, Mix, Region
from image_mixer.mixing.recipe import Recipe
from image_mixer.tests.parity import diffusers_redux as parity_redux

SEEN = 24
NEAR = 1e-4
FORWARD = 1e-5
LATENT = (1, 16, 8, 8)


class Clip(edit_models.MicroCLIP):
    """A text tower that returns different numbers for different prompts."""

    def encode_from_tokens_scheduled(self, tokens: str) -> Any:
        return micro_flux.text(seed=sum(map(ord, tokens)))


class Vae:
    """A VAE with 16 channels; no test looks at its output."""

    first_stage_model = torch.nn.Identity()
    patcher = SimpleNamespace(patches={})

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        return torch.zeros(samples.shape[0], 8, 8, 3)


def style_model(seed: int = 5, seen: int = SEEN, width: int = micro_flux.CONTEXT) -> Any:
    encoder = ReduxImageEncoder(seen, width, dtype=torch.float32)
    encoder.load_state_dict(random_model.random_state(encoder, seed))
    return comfy.sd.StyleModel(encoder.requires_grad_(False))


@pytest.fixture(scope="module")
def models() -> engine.Models:
    tower = micro.vision_tower(4, model_type="siglip_vision_model", hidden_size=SEEN, projection_dim=8)
    return engine.Models(micro_flux.build(), Vae(), Clip(), tower, style_model())


def picture(seed: int) -> Ingredient:
    pixels = torch.rand(1, 56, 56, 3, generator=torch.Generator().manual_seed(seed))
    return Ingredient("image", images.picture(pixels))


def mix_of(*weights: float, rows: Any = None) -> Mix:
    return Mix(tuple(picture(i) for i in range(len(weights or rows[0]))), rows or (weights,))


def latents_of(mix: Mix, models: engine.Models, changes: Any = None, **options: Any) -> torch.Tensor:
    given = {
        "prompt": "a cat",
        "width": 64,
        "height": 64,
        "steps": 2,
        "guidance_scale": 3.5,
        "seed": 7,
        **(changes or {}),
    }
    return engine.generate(Recipe(mix, **given), models, engine.Options(**options)).latents


def by(combine: str, **settings: Any) -> dict[str, Any]:
    return {"method": "redux", "settings": {"combine": combine, **settings}}


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
        half = latents_of(mix_of(1.0, 0.5), models, strength=0.5, **by(combine))
        assert torch.allclose(half, latents_of(mix_of(0.5, 0.25), models, **by(combine)), atol=NEAR, rtol=0)


@each_combine
def test_weight_0_is_absence(models: engine.Models, combine: str) -> None:
    a, b, c = picture(0), picture(1), picture(2)
    without = latents_of(Mix((a, c), ((0.6, 0.9),)), models, **by(combine))
    assert torch.equal(latents_of(Mix((a, b, c), ((0.6, 0.0, 0.9),)), models, **by(combine)), without)
    # With a key bias, in a batch in which another variant needs the picture.
    rows = latents_of(Mix((a, b, c), ((0.6, 0.0, 0.9), (1.0, 1.0, 1.0))), models, **by(combine))
    assert torch.allclose(rows[:1], without, atol=FORWARD, rtol=0)


@each_combine
def test_variants_of_one_batch_equal_separate_runs(models: engine.Models, combine: str) -> None:
    rows = ((1.0, 0.0), (0.5, 0.5), (0.0, 2.0), (0.0, 0.0))
    batch = latents_of(mix_of(rows=rows), models, **by(combine))
    alone = torch.cat([latents_of(mix_of(rows=(row,)), models, **by(combine)) for row in rows])
    assert torch.allclose(batch, alone, atol=NEAR, rtol=0)
    assert all(not torch.allclose(batch[0], other, atol=1e-3) for other in batch[1:])


@each_combine
def test_order_does_not_matter(models: engine.Models, combine: str) -> None:
    one, other = Mix((picture(0), picture(1)), ((0.4, 1.2),)), Mix((picture(1), picture(0)), ((1.2, 0.4),))
    assert torch.allclose(
        latents_of(one, models, **by(combine)), latents_of(other, models, **by(combine)), atol=NEAR, rtol=0
    )


@each_combine
def test_strength_0_and_all_zero_weights_are_the_plain_model_bit_for_bit(models: engine.Models, combine: str) -> None:
    text, negative = (
        [[context, {**options, "guidance": 3.5}] for context, options in Clip().encode_from_tokens_scheduled(prompt)]
        for prompt in ("a cat", "")
    )
    plain = sampled((models.model, text, negative))
    assert torch.equal(latents_of(mix_of(1.0, 0.5), models, strength=0.0, **by(combine)), plain)
    assert torch.equal(latents_of(mix_of(0.0, 0.0), models, **by(combine)), plain)
    spanned = Mix((replace(picture(0), start=0.3, region=Region("left", torch.eye(8))),), ((1.0,),))
    assert torch.equal(latents_of(spanned, models, strength=0.0, **by(combine)), plain)


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


@each_combine
def test_a_region_of_ones_and_a_span_of_everything_change_nothing(models: engine.Models, combine: str) -> None:
    plain = picture(1)
    expected = latents_of(mix_of(1.0, 0.8), models, **by(combine))
    for same in (replace(plain, region=Region("ones", torch.ones(20, 30))), replace(plain, start=0.0, end=1.0)):
        assert torch.equal(latents_of(Mix((picture(0), same), ((1.0, 0.8),)), models, **by(combine)), expected)


@each_combine
def test_a_region_an_image(models: engine.Models, combine: str) -> None:
    left = torch.zeros(8, 8)
    left[:, :4] = 1.0
    parts = (replace(picture(0), region=Region("l", left)), replace(picture(1), region=Region("r", 1 - left)))
    once = {"steps": 1}
    made = latents_of(Mix(parts, ((1.0, 1.5),)), models, once, **by(combine))
    first, second = (Mix((picture(i),), ((w,),)) for i, w in ((0, 1.0), (1, 1.5)))
    assert torch.allclose(made[..., :4], latents_of(first, models, once, **by(combine))[..., :4], atol=NEAR, rtol=0)
    assert torch.allclose(made[..., 4:], latents_of(second, models, once, **by(combine))[..., 4:], atol=NEAR, rtol=0)
    assert not torch.allclose(made, latents_of(first, models, once, **by(combine)), atol=1e-3)


def test_a_span_is_absence_outside_it(models: engine.Models) -> None:
    late = Mix((picture(0), replace(picture(1), start=0.99)), ((1.0, 1.0),))
    assert torch.equal(latents_of(late, models, {"steps": 1}), latents_of(mix_of(1.0), models, {"steps": 1}))


def test_global_generators_and_the_model_are_left_as_they_were(models: engine.Models) -> None:
    torch.manual_seed(1), random.seed(2), numpy.random.seed(3)
    states = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
    before = repr(models.model.model_options), repr(models.model.wrappers), dict(models.model.object_patches)
    latents_of(mix_of(1.0, 0.5), models)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert (numpy.random.get_state()[1] == states[2]).all()
    assert (repr(models.model.model_options), repr(models.model.wrappers), models.model.object_patches) == before


def test_changed_weights_run_neither_tower_nor_encoder_again(
    models: engine.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents_of(mix_of(0.5, 0.5), models)
    calls: list[int] = []
    monkeypatch.setattr(type(models.clip_vision), "encode_image", lambda *a, **k: calls.append(1))
    monkeypatch.setattr(ReduxImageEncoder, "forward", lambda *a, **k: calls.append(1))
    latents_of(mix_of(0.1, 0.9), models, {"seed": 8, "prompt": "new"})
    assert calls == []


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
    ("a text", Mix((Ingredient("text", "a"),), ((1.0,),)), {}, "a text, which redux does not take"),
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
