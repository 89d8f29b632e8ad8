"""The promises of method reference besides the contract of all methods, on micro models of every family it supports."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import replace
from typing import Any

import comfy.ldm.modules.attention as attention
import edit_models
import pytest
import torch
from image_mixer.local import engine
from image_mixer.local.methods import reference_weights
from image_mixer.mixing.errors import InputError
from image_mixer.mixing.mix import Mix, Region
from image_mixer.tests.support.reference_scene import (
    FAMILIES,
    HEIGHT,
    NEAR,
    SIZES,
    WIDTH,
    applied,
    channels_of,
    drawn,
    embeddings_of,
    family_of,
    made,
    near,
    sampled,
    shaped,
    text,
)

BLOCKS = 2
"""Blocks of the micro models that attend to references: Flux's double and single, two of the others."""


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return edit_models.build(request.param)


def core_references(model: Any, pictures: Any, conditioning: Any) -> Any:
    """Return `conditioning` as core's Set Reference Latent makes it."""
    from comfy_extras.nodes_edit_model import ReferenceLatent

    for encoded in embeddings_of(model, [[1.0] * len(pictures)], pictures).encoded:
        (conditioning,) = ReferenceLatent.execute(conditioning, {"samples": encoded.latent}).result
    return conditioning


@pytest.mark.parametrize("count", [1, 2, 5])
def test_weight_1_is_cores_set_reference_latent_bit_for_bit(model: Any, count: int) -> None:
    core = [core_references(model, range(count), text(model, seed)) for seed in (3, 8)]
    core = (model, *core)
    assert torch.equal(made(model, [[1.0] * count]), sampled(core))
    assert not torch.allclose(sampled(core), sampled((model, text(model), text(model, 8))), atol=1e-3)


def test_strength_multiplies_weights(model: Any) -> None:
    doubled = sampled(applied(model, embeddings_of(model, [[0.5, 1.0]]), strength=2.0))
    assert near(doubled, made(model, [[1.0, 2.0]]))
    assert not torch.allclose(doubled, made(model, [[0.5, 1.0]]), atol=1e-3)


def test_a_weight_leads_from_absence_to_the_reference(model: Any) -> None:
    """For the last reference, whose absence does not move another one."""
    absent, whole = made(model, [[1.0]]), made(model, [[1.0, 1.0]])
    away = [float((made(model, [[1.0, weight]]) - absent).norm()) for weight in (1e-6, 0.2, 0.5, 1.0)]
    assert away[0] < 1e-3 * away[-1] and away == sorted(away)
    assert torch.equal(made(model, [[1.0, 1.0]]), whole)


VARIANTS = [[1.0, 0.4, 0.0], [0.0, 0.7, 1.5], [0.3, 0.9, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def test_a_batch_on_cores_ksampler(model: Any) -> None:
    """Each item has its own noise: a batch with different zeros equals the batches of one row each, item by item."""
    import nodes

    zeros = {"samples": shaped(model, torch.zeros(3, channels_of(model), HEIGHT, WIDTH))}

    def ksampler(rows: Any) -> torch.Tensor:
        conditioned, positive, negative = applied(model, embeddings_of(model, rows))
        arguments = (7, 2, 2.0, "euler", "simple", positive, negative, zeros)
        return nodes.common_ksampler(conditioned, *arguments)[0]["samples"]

    rows = VARIANTS[:3]
    batch = ksampler(rows)
    for index, row in enumerate(rows):
        assert near(batch[index], ksampler([row])[index]), index


def test_a_batch_that_does_not_fit_the_variants_gets_one_line(model: Any) -> None:
    for rows in (VARIANTS[:3], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[0.5], [0.6], [0.7]]):
        conditioned = applied(model, embeddings_of(model, rows))
        for items in (2, 4):
            with pytest.raises(InputError, match=f"3 variants and the latent a batch of {items}: give it one item"):
                sampled(conditioned, items=items)
    pairs = applied(model, embeddings_of(model, VARIANTS[:2]))
    assert near(sampled(pairs, items=4)[2:], sampled(pairs, items=2))
    same = applied(model, embeddings_of(model, [VARIANTS[0]] * 3))
    assert near(sampled(same, items=2)[:1], made(model, VARIANTS[:1]))


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


def test_entries_keep_their_own_masks_and_times(model: Any) -> None:
    """One prompt for half of the picture and one for half of the time, each with the same references."""
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
    _, _, negative = engine.apply(engine.Target(model, text(model)), embeddings_of(model, [[1.0]]), "reference")
    ((tokens, options),) = negative
    assert not bool(tokens.any()) and not bool(options["pooled_output"].any())
    assert len(options["reference_latents"]) == 1


def attend_by(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    """Make every family use `function` for attention."""
    for module, name in (
        ("flux.math", "optimized_attention"),
        ("qwen_image.model", "optimized_attention_masked"),
        ("krea2.model", "optimized_attention_masked"),
    ):
        with contextlib.suppress(ImportError):
            monkeypatch.setattr(importlib.import_module(f"comfy.ldm.{module}"), name, function)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor | None]:
    """Return a list that collects the masks that torch's attention receives."""
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
    assert len(biased) == BLOCKS, "conditional and unconditional must share a call"
    assert all(mask.shape[0] == 4 and mask.shape[-2] == 1 for mask in biased)
    patch = 1 if family_of(model) == "flux2" else 4
    tokens = [size[0] * size[1] // patch for size in SIZES[:2]]
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
        total = reference_weights._added(mask, bias, k)
        assert torch.equal(total, mask + (padded[:, None] if mask.ndim == 4 else padded))
    allowed = torch.ones(2, 1, 5, dtype=torch.bool)
    allowed[..., 0] = False
    total = reference_weights._added(allowed, bias, q)
    assert bool((total[..., 0] == -torch.inf).all()) and torch.equal(total[..., 1:], padded[..., 1:])


def test_another_patchs_bias_adds_up(model: Any) -> None:
    if family_of(model) == "qwen_image":
        pytest.skip("Qwen-Image takes no mask from a patch")

    def other(q: Any, k: Any, v: Any, pe: Any = None, attn_mask: Any = None, extra_options: Any = None) -> Any:
        bias = torch.zeros(len(k), 1, k.shape[2])
        bias[..., : k.shape[2] // 2] = -2.0
        return {"attn_mask": bias if attn_mask is None else attn_mask + bias}

    embeddings = embeddings_of(model, [[0.5, 1.2]])
    before = model.clone()
    before.set_model_attn1_patch(other)
    after, positive, negative = applied(model, embeddings)
    after = after.clone()
    after.set_model_attn1_patch(other)
    both = sampled(applied(before, embeddings))
    assert near(both, sampled((after, positive, negative)))
    assert not torch.allclose(both, made(model, [[0.5, 1.2]]), atol=1e-2)
    assert not torch.allclose(both, made(before, [[1.0, 1.0]]), atol=1e-2)


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
    """With torch's attention, as on a GPU: ComfyUI's other one, for CPUs, opens files to find the free memory."""
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    attend_by(monkeypatch, attention.attention_pytorch)
    runs = [[[0.5, 1.2]], [[1.5, 0.3]], [[1.0, 1.0]], [[0.0, 0.8]]][: 4 if backend == "eager" else 2]
    expected = [made(model, rows, steps=1) for rows in runs]
    plain = sampled((model, text(model), text(model, 8)), steps=1)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    (compiled,) = TorchCompileModel.execute(model, backend).result
    for rows, wanted in zip(runs, expected, strict=True):
        assert torch.allclose(made(compiled, rows, steps=1), wanted, atol=NEAR, rtol=0), rows
    assert torch.allclose(sampled((compiled, text(model), text(model, 8)), steps=1), plain, atol=NEAR, rtol=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2, "nothing was compiled"
    assert not torch._dynamo.utils.counters["graph_break"]
    torch._dynamo.reset()
