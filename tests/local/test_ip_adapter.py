"""The promises of method ip-adapter besides the contract of all methods, on micro models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.samplers
import micro
import pytest
import torch
from image_mixer.local import engine, ip_adapter_file, sampling
from image_mixer.local.methods import image_attention
from image_mixer.mixing import images
from image_mixer.mixing.mix import Mix, Region
from image_mixer.tests.support.ip_adapter_scene import (  # fmt: skip
    EXACT,
    LEFT,
    NEAR,
    adapter_of,
    applied,
    embedded,
    forward,
    latents_of,
    near,
    once,
    recipe_of,
    texts,
)
from image_mixer.tests.support.mixes import mix_of
from image_mixer.tests.support.pictures import picture


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ip_adapter_file.Adapter]:
    folder = tmp_path_factory.mktemp("adapters")
    return {kind: adapter_of(folder, kind, micro.UNET) for kind in ("standard", "plus")}


@pytest.fixture(params=["standard", "plus"])
def models(request: pytest.FixtureRequest, micro_models: Any, adapters: Any) -> engine.Models:
    made = micro_models
    return engine.Models(made.model, made.vae, made.clip, made.clip_vision, adapters[request.param])


@pytest.fixture(params=["shared", "sum"])
def combine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Invariants


def test_a_weight_of_0_beside_others_in_a_batch_adds_exactly_nothing(models: engine.Models, combine: str) -> None:
    """Its values are 0 and its bias is minus infinity, so the picture's content cannot matter."""
    results = []
    for other in (1, 5):
        embeddings = engine.embed_all(
            Mix((picture(0), picture(other)), ((1.0, 1.0), (0.8, 0.0))), engine.Encoders(models.clip_vision)
        )
        results.append(forward(models, embeddings, combine, items=2))
    assert torch.equal(results[0][1], results[1][1])
    assert not near(results[0][0], results[1][0], 100 * NEAR)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_outside_its_region_an_image_adds_exactly_nothing(models: engine.Models, combine: str, guidance: float) -> None:
    made = []
    for seed in (1, 5):
        regional = replace(picture(seed), region=Region("left", LEFT))
        embeddings = engine.embed_all(Mix((regional,), ((1.0,),)), engine.Encoders(models.clip_vision))
        made.append(forward(models, embeddings, combine, guidance=guidance))
    assert torch.equal(made[0][..., 4:], made[1][..., 4:])
    assert not near(made[0][..., :4], made[1][..., :4], 10 * NEAR)
    everywhere = engine.embed_all(mix_of(0.0), engine.Encoders(models.clip_vision))
    without = forward(models, everywhere, combine, guidance=guidance)
    assert near(made[0][..., 4:], without[..., 4:], 10 * EXACT)


def test_two_regions_are_each_images_own_run(models: engine.Models, combine: str) -> None:
    sides = [Region("left", LEFT), Region("right", 1.0 - LEFT)]
    mix = Mix(tuple(replace(picture(i), region=side) for i, side in enumerate(sides)), ((1.0, 0.6),))
    made = forward(models, engine.embed_all(mix, engine.Encoders(models.clip_vision)), combine)
    for index, columns in ((0, slice(0, 4)), (1, slice(4, 8))):
        alone = Mix((picture(index),), ((mix.weights[0][index],),))
        expected = forward(models, engine.embed_all(alone, engine.Encoders(models.clip_vision)), combine)
        assert near(made[..., columns], expected[..., columns], 10 * EXACT)


# Weights, strength, negative


def test_strength_scales_and_weights_in_shared_are_ratios(models: engine.Models) -> None:
    half = latents_of(recipe_of(mix_of(0.5, 0.5)), models, "sum")
    assert near(half, latents_of(recipe_of(mix_of(1.0, 1.0)), models, "sum", strength=0.5))
    ratio = latents_of(recipe_of(mix_of(0.5, 0.25)), models, "shared")
    assert near(ratio, latents_of(recipe_of(mix_of(2.0, 1.0)), models, "shared"))
    assert not near(ratio, latents_of(recipe_of(mix_of(2.0, 1.0)), models, "shared", strength=0.5), 10 * NEAR)


def test_one_image_is_the_same_in_both_modes(models: engine.Models) -> None:
    one = recipe_of(mix_of(1.0))
    assert near(latents_of(one, models, "shared"), latents_of(one, models, "sum"))


def test_a_negative_mix_takes_the_place_of_no_picture(models: engine.Models, combine: str) -> None:
    recipe, avoided = recipe_of(mix_of(1.0)), Mix((picture(4),), ((0.7,),))
    made = latents_of(recipe, models, combine, negative_mix=avoided)
    assert not near(made, latents_of(recipe, models, combine), 10 * NEAR)
    nothing = Mix((picture(4),), ((0.0,),))
    assert torch.equal(latents_of(recipe, models, combine, negative_mix=nothing), latents_of(recipe, models, combine))
    rows = recipe_of(mix_of(rows=((1.0,), (1.0,))))
    both = latents_of(rows, models, combine, negative_mix=Mix((picture(4),), ((0.7,), (0.0,))))
    assert near(both, torch.cat([made, latents_of(recipe, models, combine)]))


def test_at_guidance_1_only_the_positive_acts(models: engine.Models, combine: str) -> None:
    recipe = recipe_of(mix_of(1.0, 0.5), guidance_scale=1.0)
    avoided = Mix((picture(4),), ((0.7,),))
    assert near(latents_of(recipe, models, combine, negative_mix=avoided), latents_of(recipe, models, combine))


def test_preparations_of_a_wide_picture(models: engine.Models) -> None:
    wide = recipe_of(Mix((picture(0, 56, 140),), ((1.0,),)))
    made = [latents_of(wide, models, preparation=how) for how in images.PREPARATIONS]
    assert all(not near(a, b, NEAR) for a, b in ((made[0], made[1]), (made[1], made[2]), (made[0], made[2])))
    square = recipe_of(mix_of(1.0))
    first, *others = (latents_of(square, models, preparation=how) for how in images.PREPARATIONS)
    assert all(torch.equal(first, other) for other in others)


def test_a_profile_acts(models: engine.Models) -> None:
    eased = latents_of(recipe_of(mix_of(1.0)), models, settings={"layers": "ease out"})
    assert not near(eased, latents_of(recipe_of(mix_of(1.0)), models), 10 * NEAR)


# With other features of ComfyUI


def test_two_mixes_chained_on_one_model_add_up(models: engine.Models) -> None:
    """Two Apply Mix with one image each equal one Apply Mix of both in mode sum."""
    first = applied(models, embedded(models, 1.0), models.model, *texts(models), "sum")
    both = applied(models, embedded(models, 0.6, first=1), *first, "sum")
    together = applied(models, embedded(models, 1.0, 0.6), models.model, *texts(models), "sum")
    assert near(once(*both), once(*together), 10 * EXACT)
    assert not near(once(*both), once(*first), 10 * NEAR)


def test_a_patch_that_is_there_already_still_acts(models: engine.Models, combine: str) -> None:
    halved = models.model.clone()
    for layer in image_attention.layers_of(halved.get_model_object("diffusion_model")):
        halved.set_model_attn2_replace(
            lambda q, k, v, options: 0.5 * image_attention.optimized_attention(q, k, v, options["n_heads"]),
            *layer.id[:2],
        )
    mixed = applied(models, embedded(models, 1.0), halved, *texts(models), combine)
    assert not near(once(*mixed), once(halved, *texts(models)), 10 * NEAR)
    without = applied(models, embedded(models, 1.0), models.model, *texts(models), combine)
    assert not near(once(*mixed), once(*without), 10 * NEAR)


def test_conditioning_without_the_mix_on_the_patched_model_is_plain(models: engine.Models, combine: str) -> None:
    model, _, _ = applied(models, embedded(models, 1.0), models.model, *texts(models), combine)
    assert torch.equal(once(model, *texts(models)), once(models.model, *texts(models)))


def test_the_same_model_with_other_weights(models: engine.Models, combine: str) -> None:
    """The mix travels in the conditioning, so that one patched model serves any weights."""
    model, *_ = applied(models, embedded(models, 1.0, 0.2), models.model, *texts(models), combine)
    other = applied(models, embedded(models, 0.3, 0.9), models.model, *texts(models), combine)
    assert torch.equal(once(model, *other[1:]), once(*other))


def test_each_step_is_one_call_for_positive_and_negative(models: engine.Models, combine: str) -> None:
    sides = [Region("left", LEFT), Region("right", 1.0 - LEFT)]
    plain_mix, two_sides = embedded(models, 1.0, 0.5), tuple(replace(picture(i), region=s) for i, s in enumerate(sides))
    regional = engine.embed_all(Mix(two_sides, ((1.0, 1.0),)), engine.Encoders(models.clip_vision))
    for embeddings, size in ((plain_mix, 2), (regional, 3)):
        model, positive, negative = applied(models, embeddings, models.model, *texts(models), combine)
        sizes: list[int] = []

        def noting(apply_model: Any, given: Any, sizes: list[int] = sizes) -> Any:
            sizes.append(given["input"].shape[0])
            return apply_model(given["input"], given["timestep"], **given["c"])

        model.set_model_unet_function_wrapper(noting)
        once(model, positive, negative)
        assert sizes == [size]


def test_regional_prompts_stay_regional(models: engine.Models, combine: str) -> None:
    """With one prompt per side and an image on one side, each side equals its run alone."""
    cat, avoided = texts(models)
    dog = models.clip.encode_from_tokens_scheduled(models.clip.tokenize("a dog"))
    sides = [
        [[text, {**options, "mask": mask[None], "mask_strength": 1.0, "set_area_to_bounds": False}]]
        for ((text, options),), mask in ((cat, LEFT), (dog, 1.0 - LEFT))
    ]
    image = replace(picture(0), region=Region("left", LEFT))
    embeddings = engine.embed_all(Mix((image,), ((1.0,),)), engine.Encoders(models.clip_vision))
    both = once(*applied(models, embeddings, models.model, sides[0] + sides[1], avoided, combine))
    left = once(*applied(models, embedded(models, 1.0), models.model, cat, avoided, combine))
    right = once(models.model, dog, avoided)
    assert near(both[..., :4], left[..., :4], 10 * EXACT)
    assert near(both[..., 4:], right[..., 4:], 10 * EXACT)


def test_what_else_the_prompts_carry_stays(models: engine.Models, combine: str) -> None:
    """A ControlNet, pooled text, an area: only the mix's own key is added, and the given entries are not changed."""
    text, avoided = texts(models)
    given = [
        [[entry[0], {**entry[1], "control": object(), "area": (4, 4, 0, 0)}] for entry in part]
        for part in (text, avoided)
    ]
    before = [[dict(options) for _, options in part] for part in given]
    _, *made = applied(models, embedded(models, 1.0), models.model, *given, combine)
    for part, options, now in zip(given, before, made, strict=True):
        assert [dict(o) for _, o in part] == options
        assert [{k: v for k, v in o.items() if k != "model_conds"} for _, o in now] == options
        assert all(one is other for (one, _), (other, _) in zip(part, now, strict=True))


def test_a_lora_acts_beside_the_mix(models: engine.Models, combine: str) -> None:
    patched = models.model.clone()
    name = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q.weight"
    shape = patched.model.state_dict()[name].shape
    patched.add_patches({name: (torch.randn(shape, generator=torch.Generator().manual_seed(1)),)}, 1.0)
    mixed = applied(models, embedded(models, 1.0), patched, *texts(models), combine)
    assert not near(once(*mixed), once(patched, *texts(models)), 10 * NEAR)
    without = applied(models, embedded(models, 1.0), models.model, *texts(models), combine)
    assert not near(once(*mixed), once(*without), NEAR)


def test_sampler_custom_advanced_with_every_guider(models: engine.Models, combine: str) -> None:
    """Basic, CFG and dual CFG guiders sample the mix as the engine does."""
    from comfy_extras import nodes_custom_sampler as custom

    model, positive, negative = applied(models, embedded(models, 1.0, 0.5), models.model, *texts(models), combine)
    recipe = recipe_of(mix_of(1.0, 0.5))
    expected = {1.0: None, 3.0: None}
    for guidance in expected:
        expected[guidance] = latents_of(replace(recipe, guidance_scale=guidance), models, combine)
    guiders = {
        1.0: [custom.BasicGuider.execute(model, positive)],
        3.0: [
            custom.CFGGuider.execute(model, positive, negative, 3.0),
            custom.DualCFGGuider.execute(model, positive, negative, negative, 3.0, 1.0, "regular"),
        ],
    }
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 3)
    noise = custom.RandomNoise.execute(7)[0]
    sampler = comfy.samplers.sampler_object("euler")
    for guidance, made in guiders.items():
        for guider in made:
            latent = {"samples": torch.zeros(1, 4, 8, 8)}
            done = custom.SamplerCustomAdvanced.execute(noise, guider[0], sampler, sigmas, latent)[0]
            assert near(done["samples"], expected[guidance]), (guidance, guider)


def test_auto_takes_the_adapters_method_even_on_a_tagged_model(models: engine.Models) -> None:
    made = engine.generate(recipe_of(mix_of(1.0), steps=1), models, engine.Options())
    assert made.report.details["method"] == "ip-adapter"


def test_any_sampler_gives_a_batchs_items_as_if_alone(models: engine.Models) -> None:
    rows = ((1.0, 0.3), (0.2, 0.8))
    for sampler in ("dpmpp_2m", "euler_ancestral", "dpmpp_sde", sampling.ORIGINAL_DDIM):
        together = latents_of(recipe_of(mix_of(rows=rows)), models, sampler=sampler)
        for index, row in enumerate(rows):
            alone = latents_of(recipe_of(mix_of(*row)), models, sampler=sampler)
            assert near(together[index : index + 1], alone), sampler
