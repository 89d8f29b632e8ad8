"""Method reference against diffusers, float32: one forward within 1e-5 and ten steps within 1e-4."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from image_mixer.local import engine
from image_mixer.local.embeddings import Embeddings, Encoded
from image_mixer.mixing.mix import Ingredient, Mix, Picture

diffusers = pytest.importorskip("diffusers")

from image_mixer.tests.parity import diffusers_reference as parity  # noqa: E402

FORWARD, LOOP = 1e-5, 1e-4
NOISE = parity.drawn(1, 1, 16, 8, 12)
SIGMA = 0.8
LATENTS = [parity.drawn(10, 1, 16, 8, 8), parity.drawn(11, 1, 16, 4, 12), parity.drawn(12, 1, 16, 8, 4)]


def embeddings_of(latents: list[torch.Tensor], *rows: tuple[float, ...]) -> Embeddings:
    pictures = tuple(Ingredient("image", Picture(f"{index:064x}", None)) for index in range(len(latents)))
    return Embeddings(Mix(pictures, rows), tuple(Encoded(latent=latent) for latent in latents))


def conditioned(model: Any, latents: list[torch.Tensor], *rows: tuple[float, ...], **settings: Any) -> Any:
    return engine.apply(engine.Target(model, parity.text()), embeddings_of(latents, *rows), settings=settings)[:2]


@pytest.fixture(scope="module")
def flux() -> Any:
    return parity.flux()


def placed(model: Any, latents: list[torch.Tensor]) -> list[Any]:
    """Return latents as the model sees them: the first at Kontext's position, each later one beside the others."""
    found, down, right = [], 0, 0
    for latent in latents:
        below = latent.shape[-2] + down <= latent.shape[-1] + right
        at = (down, 0) if below else (0, right)
        found.append((model.model.process_latent_in(latent), parity.positions(latent, 1, at[0] // 2, at[1] // 2)))
        down, right = max(down, latent.shape[-2] + at[0]), max(right, latent.shape[-1] + at[1])
    return found


def bias_of(latents: list[torch.Tensor], weights: tuple[float, ...], before: int) -> torch.Tensor:
    spread = [torch.full((parity.packed(x).shape[1],), math.log(w)) for x, w in zip(latents, weights, strict=True)]
    return torch.cat([torch.zeros(before), *spread])[None, None, None]


def test_one_reference_is_kontexts_forward(flux: Any) -> None:
    theirs, ours = flux
    model, positive = conditioned(ours, LATENTS[:1], (1.0,))
    made = parity.denoised(model, positive, NOISE, [SIGMA, 0.0])
    velocity = parity.flux_velocity(theirs, NOISE * SIGMA, SIGMA, placed(ours, LATENTS[:1]))
    assert (made - (NOISE * SIGMA - SIGMA * velocity)).abs().max() <= FORWARD
    without = parity.flux_velocity(theirs, NOISE * SIGMA, SIGMA, [])
    assert (velocity - without).abs().max() > 1e-2, "the reference must matter"


def test_three_weighted_references(flux: Any) -> None:
    theirs, ours = flux
    weights = (0.7, 0.2, 1.3)
    model, positive = conditioned(ours, LATENTS, weights)
    made = parity.denoised(model, positive, NOISE, [SIGMA, 0.0])
    bias = bias_of(LATENTS, weights, 7 + parity.packed(NOISE).shape[1])
    velocity = parity.flux_velocity(theirs, NOISE * SIGMA, SIGMA, placed(ours, LATENTS), bias)
    assert (made - (NOISE * SIGMA - SIGMA * velocity)).abs().max() <= FORWARD


def test_weight_2_is_the_picture_twice(flux: Any) -> None:
    theirs, ours = flux
    model, positive = conditioned(ours, LATENTS[:2], (2.0, 1.0))
    made = parity.denoised(model, positive, NOISE, [SIGMA, 0.0])
    first, second = placed(ours, LATENTS[:2])
    velocity = parity.flux_velocity(theirs, NOISE * SIGMA, SIGMA, [first, first, second])
    assert (made - (NOISE * SIGMA - SIGMA * velocity)).abs().max() <= FORWARD


def test_ten_steps_with_two_weighted_references(flux: Any) -> None:
    theirs, ours = flux
    sigmas = torch.linspace(1.0, 0.0, 11).tolist()
    model, positive = conditioned(ours, LATENTS[:2], (0.6, 1.5))
    made = parity.denoised(model, positive, NOISE, sigmas)
    bias = bias_of(LATENTS[:2], (0.6, 1.5), 7 + parity.packed(NOISE).shape[1])
    x = NOISE
    for sigma, following in pairwise(sigmas):
        x = x + (following - sigma) * parity.flux_velocity(theirs, x, sigma, placed(ours, LATENTS[:2]), bias)
    assert (made - x).abs().max() <= LOOP


def test_qwen_image_edit_with_weighted_references(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.models.transformers import transformer_qwenimage

    theirs, ours = parity.qwen()
    latents = [latent[:, :, None] for latent in LATENTS]
    noise, weights = NOISE[:, :, None], (0.7, 0.2, 1.3)
    model, positive = conditioned(ours, latents, weights)
    made = parity.denoised(model, positive, noise, [SIGMA, 0.0])

    seen = [ours.model.process_latent_in(latent) for latent in latents]
    bias = bias_of(seen, weights, 7 + parity.packed(noise).shape[1])
    dispatch = transformer_qwenimage.dispatch_attention_fn
    monkeypatch.setattr(
        transformer_qwenimage, "dispatch_attention_fn", lambda *a, **kw: dispatch(*a, **{**kw, "attn_mask": bias})
    )
    hidden = torch.cat([parity.packed(noise * SIGMA), *map(parity.packed, seen)], 1)
    out = theirs(
        hidden_states=hidden,
        encoder_hidden_states=parity.text()[0][0],
        timestep=torch.tensor([SIGMA]),
        img_shapes=[[(1, x.shape[-2] // 2, x.shape[-1] // 2) for x in (noise, *seen)]],
    ).sample
    velocity = parity.unpacked(out[:, : parity.packed(noise).shape[1]], noise)
    assert (made - (noise * SIGMA - SIGMA * velocity)).abs().max() <= FORWARD
