"""Method ip-adapter against diffusers: tiny UNets and adapters with random weights, float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.sample
import comfy.samplers
import micro
import micro_adapters
import micro_unets
import pytest
import torch
from diffusers import DDIMScheduler
from image_mixer.local import ip_adapter_file
from image_mixer.local.conditioning import Target
from image_mixer.local.embeddings import Embeddings, Encoded
from image_mixer.local.methods.base import Request
from image_mixer.local.methods.ip_adapter import IP_ADAPTER, IPAdapterSettings
from image_mixer.mixing.mix import Ingredient, Mix, Picture
from image_mixer.tests.parity import diffusers_ip_adapter as parity
from safetensors.torch import save_file

FORWARD, LOOP = 1e-5, 1e-4
WIDTH, STATES = 48, 40


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def embeddings_of(encoded: list[Encoded], rows: Any, negative: Embeddings | None = None) -> Embeddings:
    ingredients = tuple(Ingredient("image", Picture(f"{i:064x}", None)) for i in range(len(encoded)))
    blank = Encoded(penultimate=random(99, 1, 9, STATES))
    return Embeddings(Mix(ingredients, rows), tuple(encoded), negative, lambda: blank)


class Case:
    """A pair of UNets, and the inputs of both: text, pooled text, latent."""

    def __init__(self, family: str) -> None:
        self.unet, self.model = parity.sdxl() if family == "sdxl" else parity.sd15()
        self.config = micro_unets.SDXL if family == "sdxl" else micro.UNET
        context = self.config["context_dim"]
        self.text, self.avoided = random(1, 1, 7, context), random(2, 1, 7, context)
        self.options: dict[str, Any] = {}
        self.added: dict[str, Any] = {}
        if family == "sdxl":
            self.options["pooled_output"] = random(3, 1, 1280)
            ids = torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]])
            self.added = {"text_embeds": self.options["pooled_output"], "time_ids": ids}

    def adapter(self, folder: Path, groups: Any) -> Any:
        path = folder / "adapter.safetensors"
        save_file(micro_adapters.flat(groups), str(path))
        return ip_adapter_file.load(str(path))

    def conditioned(self, adapter: Any, embeddings: Embeddings, **settings: Any) -> tuple[Any, Any, Any]:
        negative = embeddings.negative.mix.weights if embeddings.negative else ((),)
        target = Target(self.model, [[self.text, dict(self.options)]], [[self.avoided, dict(self.options)]], adapter)
        return IP_ADAPTER.condition(
            Request(target, embeddings, embeddings.mix.weights, IPAdapterSettings.parse(settings), negative)
        )


def predicted(model: Any, conditioning: Any, x: torch.Tensor, step: int) -> torch.Tensor:
    """Return the noise that ComfyUI's sampling predicts for `x`, scaled as in diffusers, at a timestep."""
    sigma = float(model.get_model_object("model_sampling").sigmas[step])
    scaled = x * (1 + sigma**2) ** 0.5
    seen: list[torch.Tensor] = []

    def once(wrapped: Any, _x: Any, _sigmas: Any, extra_args: Any = None, **_: Any) -> torch.Tensor:
        seen.append(wrapped(scaled, torch.full((x.shape[0],), sigma), **extra_args))
        return seen[0]

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(conditioning, conditioning)
    guider.set_cfg(1.0)
    guider.sample(torch.zeros_like(x), torch.zeros_like(x), comfy.samplers.KSAMPLER(once), torch.tensor([sigma, 0.0]))
    return (scaled - seen[0]) / sigma


@pytest.fixture(params=["sd15", "sdxl"])
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    found = float((one - other).abs().max())
    print(f"max abs difference {found:.2g} of numbers up to {float(other.abs().max()):.2g}")
    return found


def test_the_unet_alone(case: Case) -> None:
    x = random(4, 1, 4, 8, 8)
    expected = case.unet(x, 500, encoder_hidden_states=case.text, added_cond_kwargs=case.added or None).sample
    assert difference(predicted(case.model, [[case.text, case.options]], x, 500), expected) <= FORWARD


@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_one_image(case: Case, tmp_path: Path, scale: float) -> None:
    groups = micro_adapters.standard(case.config, WIDTH)
    embeddings = embeddings_of([Encoded(random(5, WIDTH))], ((scale,),))
    model, positive, negative = case.conditioned(case.adapter(tmp_path, groups), embeddings, combine="sum")
    unet, x = parity.with_adapters(case.unet, [groups], [scale]), random(4, 1, 4, 8, 8)
    expected = parity.forward(unet, x, 500, case.text, [random(5, WIDTH)[None, None]], **case.added)
    assert difference(predicted(model, positive, x, 500), expected) <= FORWARD
    plain = predicted(case.model, [[case.text, case.options]], x, 500)
    assert difference(plain, expected) > 100 * FORWARD
    unseen = parity.forward(unet, x, 500, case.avoided, [torch.zeros(1, 1, WIDTH)], **case.added)
    assert difference(predicted(model, negative, x, 500), unseen) <= FORWARD


def test_three_weighted_images_as_a_sum_are_three_adapters(case: Case, tmp_path: Path) -> None:
    scales = (0.7, 0.2, 1.3)
    groups = micro_adapters.standard(case.config, WIDTH)
    vectors = [random(5 + i, WIDTH) for i in range(3)]
    embeddings = embeddings_of([Encoded(v) for v in vectors], (scales,))
    model, positive, negative = case.conditioned(case.adapter(tmp_path, groups), embeddings, combine="sum")
    unet, x = parity.with_adapters(case.unet, [groups] * 3, list(scales)), random(4, 1, 4, 8, 8)
    expected = parity.forward(unet, x, 500, case.text, [v[None, None] for v in vectors], **case.added)
    assert difference(predicted(model, positive, x, 500), expected) <= FORWARD
    unseen = parity.forward(unet, x, 500, case.avoided, [torch.zeros(1, 1, WIDTH)] * 3, **case.added)
    assert difference(predicted(model, negative, x, 500), unseen) <= FORWARD


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_equal_weights_as_shared_are_the_images_concatenated(case: Case, tmp_path: Path, weight: float) -> None:
    groups = micro_adapters.standard(case.config, WIDTH)
    vectors = [random(5 + i, WIDTH) for i in range(3)]
    embeddings = embeddings_of([Encoded(v) for v in vectors], ((weight,) * 3,))
    model, positive, negative = case.conditioned(case.adapter(tmp_path, groups), embeddings, combine="shared")
    unet, x = parity.with_adapters(case.unet, [groups], [1.0]), random(4, 1, 4, 8, 8)
    expected = parity.forward(unet, x, 500, case.text, [torch.stack(vectors)[None]], **case.added)
    assert difference(predicted(model, positive, x, 500), expected) <= FORWARD
    unseen = parity.forward(unet, x, 500, case.avoided, [torch.zeros(1, 3, WIDTH)], **case.added)
    assert difference(predicted(model, negative, x, 500), unseen) <= FORWARD


def test_a_weight_in_shared_is_so_many_copies(case: Case, tmp_path: Path) -> None:
    """Weights 3 and 1 equal the first image given three times."""
    groups = micro_adapters.standard(case.config, WIDTH)
    vectors = [random(5 + i, WIDTH) for i in range(2)]
    embeddings = embeddings_of([Encoded(v) for v in vectors], ((0.9, 0.3),))
    model, positive, _ = case.conditioned(case.adapter(tmp_path, groups), embeddings, combine="shared")
    unet, x = parity.with_adapters(case.unet, [groups], [1.0]), random(4, 1, 4, 8, 8)
    copies = torch.stack([vectors[0]] * 3 + [vectors[1]])[None]
    expected = parity.forward(unet, x, 500, case.text, [copies], **case.added)
    assert difference(predicted(model, positive, x, 500), expected) <= FORWARD


def test_the_plus_resampler(case: Case, tmp_path: Path) -> None:
    groups = micro_adapters.plus(case.config, STATES)
    states = [random(5 + i, 1, 9, STATES) for i in range(2)]
    embeddings = embeddings_of([Encoded(penultimate=s) for s in states], ((1.0, 1.0),))
    adapter = case.adapter(tmp_path, groups)
    model, positive, negative = case.conditioned(adapter, embeddings, combine="shared")
    unet, x = parity.with_adapters(case.unet, [groups], [1.0]), random(4, 1, 4, 8, 8)
    expected = parity.forward(unet, x, 500, case.text, [torch.stack(states, dim=1)], **case.added)
    assert difference(predicted(model, positive, x, 500), expected) <= FORWARD
    blank = random(99, 1, 9, STATES)
    unseen = parity.forward(unet, x, 500, case.avoided, [torch.stack([blank] * 2, dim=1)], **case.added)
    assert difference(predicted(model, negative, x, 500), unseen) <= FORWARD


def test_ten_steps_with_guidance(case: Case, tmp_path: Path) -> None:
    scales, guidance = (0.7, 0.4), 3.0
    groups = micro_adapters.standard(case.config, WIDTH)
    vectors = [random(5 + i, WIDTH) for i in range(2)]
    embeddings = embeddings_of([Encoded(v) for v in vectors], (scales,))
    model, positive, negative = case.conditioned(case.adapter(tmp_path, groups), embeddings, combine="sum")
    sampling = case.model.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "ddim_uniform", 10)
    noise = random(4, 1, 4, 8, 8)
    sampler = comfy.samplers.sampler_object("ddim")
    done = comfy.sample.sample_custom(
        model, noise, guidance, sampler, sigmas, positive, negative, torch.zeros_like(noise), disable_pbar=True, seed=0
    )
    made = case.model.get_model_object("latent_format").process_in(done)

    unet = parity.with_adapters(case.unet, [groups] * 2, list(scales))
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    scheduler.set_timesteps(10)
    first = float(sigmas[0])
    x = noise * first / (1 + first**2) ** 0.5
    for step in scheduler.timesteps:
        toward = parity.forward(unet, x, step, case.text, [v[None, None] for v in vectors], **case.added)
        away = parity.forward(unet, x, step, case.avoided, [torch.zeros(1, 1, WIDTH)] * 2, **case.added)
        x = scheduler.step(away + guidance * (toward - away), step, x).prev_sample
    assert difference(made, x) <= LOOP
