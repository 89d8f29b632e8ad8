"""What method reference promises, on micro models of every family that it takes."""

from __future__ import annotations

import contextlib
import importlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.ldm.modules.attention as attention
import comfy.sample
import comfy.samplers
import edit_models
import numpy
import pytest
import torch
from image_mixer.local import embeds_file, engine, latents, prompts, sampling
from image_mixer.local.methods import choose, reference
from image_mixer.local.towers import Embeddings, Encoded
from image_mixer.mixing import images
from image_mixer.mixing.errors import EngineError, InputError
from image_mixer.mixing.mix import Ingredient, Mix, Picture, Region
from image_mixer.mixing.recipe import Recipe

NEAR = 1e-4
"""Latents here are of the size of 10, so this is 1e-5 of them."""
FAMILIES = ("flux", "qwen_image", "krea2")
CHANNELS, HEIGHT, WIDTH = 16, 8, 12
ATTENTIONS = {"flux": 2, "qwen_image": 2, "krea2": 2}
"""Blocks of the micro models that look at references: Flux's double and single, two of the others."""


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    if request.param == "krea2":
        pytest.importorskip("comfy.ldm.krea2", reason="this ComfyUI has no Krea2")
    return edit_models.build(request.param)


def family_of(model: Any) -> str:
    return model.model.model_config.unet_config["image_model"]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shaped(model: Any, latent: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W], or [B, C, 1, H, W] where the model wants that."""
    return latent if family_of(model) == "flux" else latent[:, :, None]


def text(model: Any, seed: int = 3) -> Any:
    tokens = drawn(seed, 1, 6, 2 * 40 if family_of(model) == "krea2" else edit_models.TEXT)
    options = {"pooled_output": drawn(seed + 1, 1, edit_models.POOLED)}
    if family_of(model) == "krea2":
        options["reference_latents_method"] = "index"
    return [[tokens, options]]


SIZES = ((8, 8), (4, 12), (8, 4), (4, 4))


def embeddings_of(model: Any, rows: Any, pictures: Any = None, negative: Any = None) -> Embeddings:
    """References of different sizes, `pictures` their numbers, weighted by `rows`."""
    pictures = range(len(rows[0])) if pictures is None else pictures
    made = tuple(Encoded(latent=shaped(model, drawn(20 + index, 1, CHANNELS, *SIZES[index % 4]))) for index in pictures)
    ingredients = tuple(Ingredient("image", Picture(f"{index:064x}", None)) for index in pictures)
    return Embeddings(Mix(ingredients, tuple(map(tuple, rows))), made, negative)


def applied(model: Any, embeddings: Embeddings, strength: float = 1.0, positive: Any = None, negative: Any = None) -> Any:
    return engine.apply(
        model, positive or text(model), negative or text(model, 8), embeddings, None, None, "auto", strength
    )


def sampled(conditioned: Any, items: int = 1, steps: int = 2, cfg: float = 2.0, sigmas: Any = None) -> torch.Tensor:
    """Euler from one noise for all items."""
    model, positive, negative = conditioned
    noise = shaped(model, drawn(1, 1, CHANNELS, HEIGHT, WIDTH))
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


def core_references(model: Any, pictures: Any, conditioning: Any) -> Any:
    """`conditioning` as core's Set Reference Latent makes it."""
    from comfy_extras.nodes_edit_model import ReferenceLatent

    for encoded in embeddings_of(model, [[1.0] * len(pictures)], pictures).encoded:
        (conditioning,) = ReferenceLatent.execute(conditioning, {"samples": encoded.latent}).result
    return conditioning


def test_weight_1_is_cores_set_reference_latent_bit_for_bit(model: Any) -> None:
    core = (model, core_references(model, [0, 1], text(model)), core_references(model, [0, 1], text(model, 8)))
    assert torch.equal(made(model, [[1.0, 1.0]]), sampled(core))
    assert not torch.allclose(sampled(core), sampled((model, text(model), text(model, 8))), atol=1e-3)


def test_weight_0_is_absence_exactly(model: Any) -> None:
    assert torch.equal(made(model, [[0.0, 0.6, 0.0, 1.2]]), made(model, [[0.6, 1.2]], [1, 3]))


def test_strength_0_and_no_weight_are_the_plain_model_bit_for_bit(model: Any) -> None:
    plain = (model, text(model), text(model, 8))
    nothing = applied(model, embeddings_of(model, [[1.0, 0.5]]), strength=0.0)
    assert nothing[0] is model
    assert torch.equal(sampled(nothing), sampled(plain))
    assert torch.equal(made(model, [[0.0, 0.0]]), sampled(plain))


def test_strength_multiplies_weights(model: Any) -> None:
    doubled = sampled(applied(model, embeddings_of(model, [[0.5, 1.0]]), strength=2.0))
    assert near(doubled, made(model, [[1.0, 2.0]]))
    assert not torch.allclose(doubled, made(model, [[0.5, 1.0]]), atol=1e-3)


def test_a_weight_leads_from_absence_to_the_reference(model: Any) -> None:
    """Of the last reference, whose absence moves no other."""
    absent, whole = made(model, [[1.0]]), made(model, [[1.0, 1.0]])
    away = [float((made(model, [[1.0, weight]]) - absent).norm()) for weight in (1e-6, 0.2, 0.5, 1.0)]
    assert away[0] < 1e-3 * away[-1] and away == sorted(away)
    assert torch.equal(made(model, [[1.0, 1.0]]), whole)


VARIANTS = [[1.0, 0.4, 0.0], [0.0, 0.7, 1.5], [0.3, 0.9, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def test_variants_of_one_batch_are_their_runs_alone_whatever_their_zeros(model: Any) -> None:
    batch = made(model, VARIANTS)
    for index, row in enumerate(VARIANTS):
        assert near(batch[index : index + 1], made(model, [row])), index


def test_a_batch_on_cores_ksampler(model: Any) -> None:
    """Each item has its own noise there: a batch of different zeros is the batches of one row each, item by item."""
    import nodes

    zeros = {"samples": shaped(model, torch.zeros(3, CHANNELS, HEIGHT, WIDTH))}

    def ksampler(rows: Any) -> torch.Tensor:
        conditioned, positive, negative = applied(model, embeddings_of(model, rows))
        arguments = (7, 2, 2.0, "euler", "simple", positive, negative, zeros)
        return nodes.common_ksampler(conditioned, *arguments)[0]["samples"]

    rows = VARIANTS[:3]
    batch = ksampler(rows)
    for index, row in enumerate(rows):
        assert near(batch[index], ksampler([row])[index]), index


def test_a_region_of_ones_is_no_region_and_a_span_of_everything_no_span(model: Any) -> None:
    plain = embeddings_of(model, [[0.7, 1.3]])
    first, second = plain.mix.ingredients
    for same in (replace(second, region=Region("ones", torch.ones(5, 7))), replace(second, start=0.0, end=1.0)):
        changed = replace(plain, mix=Mix((first, same), plain.mix.weights))
        assert torch.equal(sampled(applied(model, changed)), sampled(applied(model, plain)))


def test_outside_its_region_a_reference_adds_nothing_to_a_forward(model: Any) -> None:
    mask = torch.zeros(HEIGHT, WIDTH)
    mask[:, : WIDTH // 2] = 1.0
    plain = embeddings_of(model, [[0.7, 1.3]])
    first, second = plain.mix.ingredients
    regional = replace(plain, mix=Mix((first, replace(second, region=Region("left", mask))), plain.mix.weights))
    one = {"sigmas": [0.8, 0.0]}
    there, without = sampled(applied(model, regional), **one), made(model, [[0.7]], **one)
    assert near(there[..., WIDTH // 2 :], without[..., WIDTH // 2 :])
    assert near(there[..., : WIDTH // 2], made(model, [[0.7, 1.3]], **one)[..., : WIDTH // 2])
    assert not torch.allclose(made(model, [[0.7, 1.3]], **one), without, atol=1e-3)


def test_regions_and_different_zeros_together(model: Any) -> None:
    mask = torch.zeros(HEIGHT, WIDTH)
    mask[: HEIGHT // 2] = 1.0

    def regional(rows: Any) -> torch.Tensor:
        plain = embeddings_of(model, rows)
        first, *others = plain.mix.ingredients
        mix = Mix((replace(first, region=Region("top", mask)), *others), plain.mix.weights)
        return sampled(applied(model, replace(plain, mix=mix)), items=len(rows))

    batch = regional(VARIANTS[:3])
    for index, row in enumerate(VARIANTS[:3]):
        assert near(batch[index : index + 1], regional([row])), index


def test_a_span_is_absence_outside_it(model: Any) -> None:
    plain = embeddings_of(model, [[0.7, 1.3]])
    first, second = plain.mix.ingredients
    late = replace(plain, mix=Mix((first, replace(second, start=0.9)), plain.mix.weights))
    early = {"sigmas": [1.0, 0.95]}
    assert torch.equal(sampled(applied(model, late), **early), made(model, [[0.7]], **early))
    assert not torch.equal(sampled(applied(model, late), steps=4), made(model, [[0.7]], steps=4))


def test_entries_keep_their_own_masks_and_times(model: Any) -> None:
    """A prompt for a half of the picture, and one for half of the time, each with the same references."""
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[..., WIDTH // 2 :] = 1.0
    prompt = [[tokens, {**options, "mask": mask}] for tokens, options in text(model, 30)]
    prompt += [[tokens, {**options, "end_percent": 0.5}] for tokens, options in text(model, 31)]
    embeddings = embeddings_of(model, [[0.0, 0.7], [1.2, 0.7]])
    first, second = embeddings.mix.ingredients
    embeddings = replace(embeddings, mix=Mix((first, replace(second, start=0.5)), embeddings.mix.weights))
    _, positive, _ = applied(model, embeddings, positive=prompt)
    assert {(o.get("start_percent", 0.0), o.get("end_percent", 1.0)) for _, o in positive} == {
        (0.0, 0.5),
        (0.5 + 1e-6, 1.0),
    }
    halves = [options for tokens, options in positive if tokens is prompt[0][0]]
    assert all(not bool(options["mask"][..., : WIDTH // 2].any()) for options in halves)


def test_two_mixes_on_one_model_are_one_mix(model: Any) -> None:
    once = applied(model, embeddings_of(model, [[0.6, 1.4]]))
    twice = applied(model, embeddings_of(model, [[0.6]], [0]))
    twice = applied(twice[0], embeddings_of(model, [[1.4]], [1]), positive=twice[1], negative=twice[2])
    assert torch.equal(sampled(once), sampled(twice))


def test_references_of_the_conditioning_come_first_with_weight_1(model: Any) -> None:
    before = core_references(model, [0], text(model)), core_references(model, [0], text(model, 8))
    both = applied(model, embeddings_of(model, [[0.4]], [1]), positive=before[0], negative=before[1])
    assert torch.equal(sampled(both), made(model, [[1.0, 0.4]]))
    after = applied(model, embeddings_of(model, [[0.4]], [0]))
    after = (after[0], core_references(model, [1], after[1]), core_references(model, [1], after[2]))
    assert torch.equal(sampled(after), made(model, [[0.4, 1.0]]))


def test_a_negative_mix_takes_the_place_of_the_mix_in_the_negative(model: Any) -> None:
    negative = embeddings_of(model, [[0.8]], [3])
    _, positive, avoided = applied(model, embeddings_of(model, [[0.5, 1.0]], negative=negative))
    assert [len(options["reference_latents"]) for _, options in (*positive, *avoided)] == [2, 1]
    assert avoided[0][1]["reference_latents"][0] is negative.encoded[0].latent


def test_without_a_negative_it_says_nothing(model: Any) -> None:
    _, _, negative = engine.apply(
        model, text(model), None, embeddings_of(model, [[1.0]]), None, None, "reference", 1.0
    )
    (tokens, options), = negative
    assert not bool(tokens.any()) and not bool(options["pooled_output"].any())
    assert len(options["reference_latents"]) == 1


def attend_by(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    """Let every family attend by `function`."""
    for module, name in (
        ("flux.math", "optimized_attention"),
        ("qwen_image.model", "optimized_attention_masked"),
        ("krea2.model", "optimized_attention_masked"),
    ):
        with contextlib.suppress(ImportError):
            monkeypatch.setattr(importlib.import_module(f"comfy.ldm.{module}"), name, function)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor | None]:
    """The masks that torch's attention is given from now on."""
    masks: list[torch.Tensor | None] = []

    @attention.wrap_attn
    def counting(q: Any, k: Any, v: Any, heads: int, mask: Any = None, **kwargs: Any) -> Any:
        masks.append(mask)
        return attention.attention_pytorch(q, k, v, heads, mask=mask, **kwargs)

    attend_by(monkeypatch, counting)
    return masks


def test_every_block_obeys_the_weights_in_one_call_a_step(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = counted(monkeypatch)
    made(model, [[0.5, 1.0], [0.2, 2.0]], steps=1)
    biased = [mask for mask in masks if mask is not None]
    assert len(biased) == ATTENTIONS[family_of(model)], "conditional and unconditional must share a call"
    assert all(mask.shape[0] == 4 and mask.shape[-2] == 1 for mask in biased)
    tokens = [size[0] * size[1] // 4 for size in SIZES[:2]]
    expected = torch.tensor([[0.5] * tokens[0] + [1.0] * tokens[1], [0.2] * tokens[0] + [2.0] * tokens[1]])
    for mask in biased:
        assert torch.allclose(mask[:2, 0, -sum(tokens) :].exp(), expected)
        assert not bool(mask[..., : -sum(tokens)].any())


def test_a_mask_and_an_override_that_are_there_stay(model: Any) -> None:
    calls = []

    def other(function: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return function(*args, **kwargs)

    patched = model.clone()
    patched.model_options["transformer_options"]["optimized_attention_override"] = other
    weighted = [[0.5, 1.2]]
    assert near(made(patched, weighted), made(model, weighted))
    assert len(calls) >= 2
    q = k = drawn(1, 2, 1, 5, 4)
    bias = torch.tensor([[[0.5, -1.0]], [[0.0, 2.0]]])
    padded = torch.tensor([[[0, 0, 0, 0.5, -1.0]], [[0, 0, 0, 0.0, 2.0]]])
    for mask in (drawn(2, 5, 5), drawn(2, 2, 5, 5), drawn(2, 2, 1, 5, 5)):
        total = reference._added(mask, bias, k)
        assert torch.equal(total, mask + (padded[:, None] if mask.ndim == 4 else padded))
    allowed = torch.ones(2, 1, 5, dtype=torch.bool)
    allowed[..., 0] = False
    total = reference._added(allowed, bias, q)
    assert bool((total[..., 0] == -torch.inf).all()) and torch.equal(total[..., 1:], padded[..., 1:])


def test_the_model_is_left_unchanged_and_one_patch_serves_every_mix(model: Any) -> None:
    options, wrappers = repr(model.model_options), repr(model.wrappers)
    plain = sampled((model, text(model), text(model, 8)))
    patched, *_ = applied(model, embeddings_of(model, [[0.5]]))
    assert repr(model.model_options) == options and repr(model.wrappers) == wrappers
    assert torch.equal(sampled((patched, text(model), text(model, 8))), plain)
    assert applied(patched, embeddings_of(model, [[0.9, 0.1]]))[0] is patched
    assert torch.equal(sampled((model, text(model), text(model, 8))), plain)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.soak)])
def test_compiled_it_is_the_same_with_other_weights_and_without_breaks(
    model: Any, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With torch's attention, as on a GPU: ComfyUI's other one for CPUs opens files to see how much memory is free."""
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    attend_by(monkeypatch, attention.attention_pytorch)
    runs = [[[0.5, 1.2]], [[1.5, 0.3]], [[1.0, 1.0]], [[0.0, 0.8]]]
    expected = [made(model, rows, steps=1) for rows in runs]
    plain = sampled((model, text(model), text(model, 8)), steps=1)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    (compiled,) = TorchCompileModel.execute(model, backend).result
    for rows, wanted in zip(runs, expected, strict=True):
        assert torch.allclose(made(compiled, rows, steps=1), wanted, atol=NEAR, rtol=0), rows
    assert torch.allclose(sampled((compiled, text(model), text(model, 8)), steps=1), plain, atol=NEAR, rtol=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 3, "nothing was compiled"
    assert not torch._dynamo.utils.counters["graph_break"]
    torch._dynamo.reset()


# Through Image Mixer (Local)


def picture(seed: int, height: int = 64, width: int = 96) -> Ingredient:
    return Ingredient(
        "image", images.picture(torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(seed)))
    )


@pytest.fixture
def models(model: Any) -> engine.Models:
    if family_of(model) == "krea2":
        pytest.skip("its text has another width; Apply Mix is tested")
    return engine.Models(model, edit_models.MicroVAE(video=family_of(model) != "flux"), edit_models.MicroCLIP())


SMALL = {"megapixels": 0.05}


def recipe_of(mix: Mix, **changes: Any) -> Recipe:
    given = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "guidance_scale": 2.0, "seed": 7, **changes}
    return Recipe(mix, **given)


def generated(models: engine.Models, mix: Mix, settings: Any = SMALL, **changes: Any) -> torch.Tensor:
    return engine.generate(recipe_of(mix, **changes), models, engine.Options(settings=settings)).latents


PICTURES = tuple(picture(seed) for seed in range(3))


def test_local_gives_each_variant_what_it_would_be_alone(
    models: engine.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    sample = sampling.sample
    monkeypatch.setattr(
        sampling, "sample", lambda *args, **kw: (sizes.append(args[3].shape[0]), sample(*args, **kw))[1]
    )
    rows = ((1.0, 0.4, 0.0), (0.3, 0.9, 0.0), (0.0, 0.7, 1.5))
    batch = generated(models, Mix(PICTURES, rows))
    assert sizes == [2, 1], "cut where the zeros change"
    for index, row in enumerate(rows):
        alone = generated(models, Mix(PICTURES, (row,)))
        assert torch.allclose(batch[index : index + 1], alone, atol=1e-4, rtol=0), index
    assert torch.equal(generated(models, Mix(PICTURES, (rows[0],))), generated(models, Mix(PICTURES[:2], ((1.0, 0.4),))))


def test_local_is_encode_apply_ksampler(models: engine.Models) -> None:
    import nodes

    mix = Mix(PICTURES[:2], ((0.6, 1.2),))
    embeddings = engine.embed_all(mix, None, None, None, "centre crop", models.vae, 0.05)
    texts = [prompts.conditioning_of(models.clip, words) for words in ("a cat", "")]
    model, positive, negative = engine.apply(models.model, *texts, embeddings, None, None, "reference", 1.0)
    empty = latents.empty_latent(models.model, 64, 64, 1)
    arguments = (7, 2, 2.0, "euler", "normal", positive, negative, {"samples": empty})
    (expected,) = nodes.common_ksampler(model, *arguments)
    assert torch.equal(generated(models, mix), expected["samples"])


def test_other_weights_seeds_and_prompts_run_no_tower_again_and_leave_the_generators(models: engine.Models) -> None:
    first = generated(models, Mix(PICTURES, ((1.0, 0.5, 0.2),)))
    torch.manual_seed(1), random.seed(2), numpy.random.seed(3)
    states = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
    seen, read = models.vae.calls, models.clip.calls
    generated(models, Mix(PICTURES, ((0.2, 0.5, 1.0),)), seed=8)
    assert (models.vae.calls, models.clip.calls) == (seen, read)
    generated(models, Mix(PICTURES, ((0.2, 0.5, 1.0),)), prompt="a dog")
    assert (models.vae.calls, models.clip.calls) == (seen, read + 1)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert (numpy.random.get_state()[1] == states[2]).all()
    assert torch.equal(generated(models, Mix(PICTURES, ((1.0, 0.5, 0.2),))), first)


def test_references_count_as_pixels_of_a_batch(models: engine.Models, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    sample = sampling.sample
    monkeypatch.setattr(engine, "PIXELS_PER_BATCH", 8 * 64 * 64)
    monkeypatch.setattr(
        sampling, "sample", lambda *args, **kw: (sizes.append(args[3].shape[0]), sample(*args, **kw))[1]
    )
    generated(models, Mix(PICTURES[:1], ((1.0,), (0.5,), (0.2,))), {"megapixels": 0.05})
    generated(models, Mix(PICTURES[:1], ((1.0,), (0.5,), (0.2,))), {"megapixels": 0.02 * 2.5})
    assert sizes and max(sizes) == 1 and len(sizes) == 6


def test_placement_is_cores_reference_latents_method(models: engine.Models) -> None:
    mix = Mix(PICTURES[:2], ((1.0, 1.0),))
    flux, plain = family_of(models.model) == "flux", generated(models, mix)
    other = generated(models, mix, {**SMALL, "placement": "index" if flux else "index_timestep_zero"})
    assert not torch.allclose(plain, other, atol=1e-3)
    default = "offset" if flux else "index"
    assert torch.equal(generated(models, mix, {**SMALL, "placement": default}), plain)


# Sizes, files and the text tower that sees


@pytest.mark.parametrize(
    ("size", "megapixels", "expected"),
    [
        ((1024, 1024), 1.0, (1024, 1024)),
        ((256, 256), 1.0, (1024, 1024)),
        ((3000, 2000), 1.0, (1248, 832)),
        ((1920, 1080), 1.0, (1376, 768)),
        ((64, 64), 0.05, (224, 224)),
        ((4096, 2), 0.05, (10368, 32)),
    ],
)
def test_the_size_of_a_reference(size: tuple[int, int], megapixels: float, expected: tuple[int, int]) -> None:
    assert latents.reference_size(*size, megapixels) == expected


def test_latents_in_an_embeddings_file(tmp_path: Path) -> None:
    vae = edit_models.MicroVAE(video=True)
    kept = engine.embed_all(Mix(PICTURES[:2], ((1.0, 0.5),)), None, None, None, "centre crop", vae, 0.05)
    embeds_file.save(kept, tmp_path / "a.safetensors")
    again = embeds_file.load(tmp_path / "a.safetensors")
    assert all(torch.equal(one.latent, two.latent) for one, two in zip(kept.encoded, again.encoded, strict=True))
    other = engine.embed_all(Mix(PICTURES[:2], ((1.0, 0.5),)), None, None, None, "centre crop", vae, 0.1)
    assert other.encoded[0].latent.shape != kept.encoded[0].latent.shape, "another size is another latent"


# Bad input


def test_messages_before_anything_is_sampled(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfy.samplers.CFGGuider, "sample", lambda *a, **k: pytest.fail("sampled"))
    good = embeddings_of(model, [[1.0]])

    def refused(line: str, kind: type[Exception], embeddings: Embeddings = good, **changes: Any) -> None:
        given = {"positive": text(model), "negative": None, "adapter": None, "strength": 1.0, "settings": None, **changes}
        with pytest.raises(kind, match=line) as caught:
            engine.apply(
                model,
                given["positive"],
                given["negative"],
                embeddings,
                None,
                given["adapter"],
                "reference",
                given["strength"],
                given["settings"],
            )
        assert "\n" not in str(caught.value)

    refused("needs a prompt: connect positive", InputError, positive=None)
    refused("takes no adapter", EngineError, adapter=object())
    refused("no placement 'here'", InputError, settings={"placement": "here"})
    refused("References of 9 megapixels", InputError, settings={"megapixels": 9.0})
    refused("weight x strength 12; reference takes 0 to 10", InputError, embeddings_of(model, [[3.0]]), strength=4.0)
    refused("weight x strength -1", InputError, embeddings_of(model, [[-1.0]]))
    blind = replace(good, encoded=(Encoded(vector=torch.zeros(4)),))
    refused("through the VAE: connect vae to Encode Mix", EngineError, blind)
    other = replace(good, encoded=(Encoded(latent=torch.zeros(1, 4, 8, 8)),))
    refused("makes latents of 4 channels in 2 dimensions; this model needs 16", EngineError, other)
    words = Embeddings(Mix((Ingredient("text", "a cat"),), ((1.0,),)), (Encoded(),))
    refused("a text, which reference does not take", InputError, words)
    refused(
        "weights for 2 items and the mix for 3",
        InputError,
        embeddings_of(model, [[1.0], [0.5], [0.7]]),
        positive=applied(model, embeddings_of(model, [[0.2], [0.4]]))[1],
    )


def test_a_model_without_references_is_refused(micro_models: Any) -> None:
    with pytest.raises(EngineError, match="needs a model that takes reference images") as caught:
        choose("reference", micro_models.model, None).check_model(micro_models.model, None)
    assert caught.value.cause == "wrong model"


def test_a_placement_that_core_cannot_run_with_flux() -> None:
    model = edit_models.build("flux")
    settings = {"placement": "index_timestep_zero"}
    with pytest.raises(InputError, match="takes no placement index_timestep_zero"):
        engine.apply(model, text(model), None, embeddings_of(model, [[1.0]]), None, None, "reference", 1.0, settings)


def test_krea2_needs_a_placement() -> None:
    pytest.importorskip("comfy.ldm.krea2", reason="this ComfyUI has no Krea2")
    model = edit_models.build("krea2")
    prompt = [[tokens, {}] for tokens, _ in text(model)]
    with pytest.raises(InputError, match="only where their placement is chosen"):
        applied(model, embeddings_of(model, [[1.0]]), positive=prompt)
