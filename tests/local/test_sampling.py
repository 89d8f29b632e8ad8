"""Every sampler of ComfyUI: the table of the noise that each draws is checked against core."""

from __future__ import annotations

import inspect
from typing import Any

import comfy.k_diffusion.sampling as k_diffusion
import comfy.samplers
import pytest
import torch
from image_mixer.local import sampling

NEAR = 1e-4
CONDITIONING = [[torch.zeros(1, 5, 768), {}]]


def tokens(items: int) -> Any:
    return [[torch.randn(items, 5, 768, generator=torch.Generator().manual_seed(4)), {}]]


@pytest.mark.parametrize("name", sampling.SAMPLERS)
def test_an_item_of_a_batch_is_its_run_alone(micro_models: Any, name: str) -> None:
    """All samplers but dpm_adaptive and unknown ones may share a batch, because each item equals its run alone."""
    if not sampling.batches_together(name, has_mask=False):
        assert name == "dpm_adaptive"
        return
    seeds, positive = [3, 900, 4], tokens(3)
    settings = sampling.Settings(name, "normal", 5, 2.0)
    latent = torch.zeros(3, 4, 8, 8)
    batch = sampling.sample(
        sampling.Conditioned(micro_models.model, positive, CONDITIONING), sampling.Start(latent, seeds), settings
    )
    assert torch.isfinite(batch).all()
    for i, seed in enumerate(seeds):
        alone = sampling.sample(
            sampling.Conditioned(micro_models.model, [[positive[0][0][i : i + 1], {}]], CONDITIONING),
            sampling.Start(latent[:1], [seed]),
            settings,
        )
        assert torch.allclose(batch[i : i + 1], alone, atol=NEAR * max(1.0, float(alone.std())), rtol=0), i


@pytest.mark.parametrize("name", comfy.samplers.SAMPLER_NAMES)
def test_a_batch_of_one_is_cores_ksampler(micro_models: Any, name: str) -> None:
    import nodes

    (core,) = nodes.common_ksampler(
        micro_models.model, 5, 4, 2.0, name, "normal", tokens(1), CONDITIONING, {"samples": torch.zeros(1, 4, 8, 8)}
    )
    settings = sampling.Settings(name, "normal", 4, 2.0)
    ours = sampling.sample(
        sampling.Conditioned(micro_models.model, tokens(1), CONDITIONING),
        sampling.Start(torch.zeros(1, 4, 8, 8), [5]),
        settings,
    )
    assert torch.equal(ours, core["samples"])


def test_the_table_names_every_sampler_of_core() -> None:
    known = sampling.DETERMINISTIC | sampling.GAUSSIAN | sampling.BROWNIAN | sampling.BROWNIAN_ON_DEVICE
    assert set(comfy.samplers.SAMPLER_NAMES) - known == {"dpm_adaptive"}
    for name in (sampling.GAUSSIAN | sampling.BROWNIAN | sampling.BROWNIAN_ON_DEVICE) & set(
        comfy.samplers.SAMPLER_NAMES
    ):
        assert "noise_sampler" in inspect.signature(getattr(k_diffusion, f"sample_{name}")).parameters, name


def test_an_unknown_sampler_and_ddim_behind_a_mask_run_one_by_one() -> None:
    assert not sampling.batches_together("somebody_elses_sampler", has_mask=False)
    assert not sampling.batches_together("ddim", has_mask=True)
    assert sampling.batches_together("ddim", has_mask=False)


def test_interrupt_within_one_step(micro_models: Any) -> None:
    import comfy.model_management

    steps: list[int] = []

    def callback(step: int, *_rest: Any) -> None:
        steps.append(step)
        comfy.model_management.interrupt_current_processing(True)

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sampling.sample(
            sampling.Conditioned(micro_models.model, tokens(1), CONDITIONING),
            sampling.Start(torch.zeros(1, 4, 8, 8), [5]),
            sampling.Settings("euler", "normal", 20, 2.0),
            callback=callback,
        )
    assert steps == [0]


def test_no_step_at_denoise_0(micro_models: Any) -> None:
    latent = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    settings = sampling.Settings("euler", "normal", 5, 2.0, denoise=0.0)
    assert torch.equal(
        sampling.sample(
            sampling.Conditioned(micro_models.model, tokens(2), CONDITIONING), sampling.Start(latent, [1, 2]), settings
        ),
        latent,
    )
