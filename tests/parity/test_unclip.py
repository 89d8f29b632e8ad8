"""Method unclip against diffusers' UNets and image noising, and against core's own unCLIP conditioning."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import comfy.sample
import comfy.samplers
import micro_unclip
import pytest
import torch
from image_mixer.local import sampling
from image_mixer.local.methods.unclip import SUM
from image_mixer.local.randomness import starting_noise
from image_mixer.mixing.embeddings import norm_preserving_average
from image_mixer.tests.parity import diffusers_unclip as parity_unclip
from image_mixer.tests.parity.diffusers_unclip import applied, embeddings_of, vector_in, vectors_of

NEAR = 1e-4
FORWARD = 1e-5
each_kind = pytest.mark.parametrize("kind", ["l", "h", "sdxl"])


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return {kind: micro_unclip.build(kind) for kind in ("l", "h", "sdxl")}


@pytest.fixture
def model(made: dict[str, Any], kind: str) -> Any:
    return made[kind]


@each_kind
def test_a_forward_and_ten_steps_equal_diffusers(model: Any, kind: str) -> None:
    vectors, weights, level, seed = vectors_of(kind), (0.7, -0.2, 1.3), 300, 5
    conditioned, positive, negative = applied(
        model, kind, embeddings_of(vectors, weights), noise_augmentation=level / 999, noise_seed=seed
    )
    other = parity_unclip.unet(kind)
    noise = torch.randn(1, vectors.shape[1], generator=torch.Generator().manual_seed(seed))
    merged = norm_preserving_average(vectors, (weights,))
    labels = parity_unclip.noised(model.model.noise_augmentor, merged, level, noise)
    asked = [labels, torch.zeros_like(labels)]
    if kind == "sdxl":
        asked = [labels[:, :1280], micro_unclip.text(kind, 3)[0][1]["pooled_output"]]

    def answer(context: torch.Tensor, vector: torch.Tensor) -> Any:
        if kind == "sdxl":
            times = torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]])
            added = {"text_embeds": vector, "time_ids": times}
            return lambda x, t: other(x, t, context, added_cond_kwargs=added).sample
        return lambda x, t: other(x, t, context, class_labels=vector).sample

    answers = [answer(entry[0][0], vector) for entry, vector in zip((positive, negative), asked, strict=True)]
    sigmas = sampling._sigmas(conditioned, sampling.Settings("euler", "normal", 10, 3.0))
    for steps, cfg, bound in ((1, 1.0, FORWARD), (10, 3.0, NEAR)):
        part = torch.cat((sigmas[:steps], sigmas[-1:])) if steps > 1 else torch.tensor([1.0, 0.0])
        x = starting_noise(torch.zeros(1, 4, 8, 8), [7])
        ours = comfy.sample.sample_custom(
            conditioned,
            x,
            cfg,
            comfy.samplers.sampler_object("euler"),
            part,
            positive,
            negative,
            torch.zeros(1, 4, 8, 8),
            seed=7,
        )
        scaled = model.model.model_sampling.noise_scaling(part[0], x, torch.zeros_like(x), steps > 1)
        theirs = parity_unclip.euler(model, answers, scaled, part, cfg) / model.model.latent_format.scale_factor
        assert float((ours - theirs).abs().max()) <= bound, (kind, steps, float((ours - theirs).abs().max()))


@pytest.mark.parametrize("kind", ["l", "h"])
@pytest.mark.parametrize("level", [0, 1, 500, 999])
def test_noise_augmentation_equals_diffusers(model: Any, kind: str, level: int) -> None:
    augmentor = model.model.noise_augmentor
    kept = augmentor.data_mean.clone(), augmentor.data_std.clone()
    generator = torch.Generator().manual_seed(1)
    augmentor.data_mean.copy_(torch.randn(kept[0].shape, generator=generator))
    augmentor.data_std.copy_(torch.rand(kept[1].shape, generator=generator) + 0.5)
    try:
        (vector,) = vectors_of(kind, 1)
        _, positive, _ = applied(
            model, kind, embeddings_of(vector[None], (1.0,)), noise_augmentation=level / 999, noise_seed=4
        )
        noise = torch.randn(1, vector.shape[0], generator=torch.Generator().manual_seed(4))
        theirs = parity_unclip.noised(augmentor, vector[None], level, noise)
    finally:
        augmentor.data_mean.copy_(kept[0])
        augmentor.data_std.copy_(kept[1])
    assert float((vector_in(kind, positive[0]) - theirs).abs().max()) <= FORWARD


@each_kind
@pytest.mark.parametrize("weight", [1.0, 0.6, -0.5])
def test_a_lone_picture_by_weighted_sum_is_cores_bit_for_bit(model: Any, kind: str, weight: float) -> None:
    import nodes

    (vector,), seed = vectors_of(kind, 1), 123
    seen = SimpleNamespace(image_embeds=vector[None])
    (theirs,) = nodes.unCLIPConditioning().apply_adm(micro_unclip.text(kind), seen, weight, 0.0)
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    (expected,) = nodes.common_ksampler(
        model, seed, 3, 3.0, "euler", "normal", theirs, micro_unclip.text(kind, 3), latent
    )
    # Core seeds this noise with the sampling's seed - 10.
    ours = applied(model, kind, embeddings_of(vector[None], (weight,)), combine=SUM, noise_seed=seed - 10)
    (latents,) = nodes.common_ksampler(ours[0], seed, 3, 3.0, "euler", "normal", *ours[1:], latent)
    assert torch.equal(latents["samples"], expected["samples"])
