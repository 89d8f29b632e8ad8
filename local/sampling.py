"""Sampling in batches, each item of which equals its run alone: per-item noise for every sampler of ComfyUI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import comfy.k_diffusion.sampling as k_diffusion
import comfy.model_management
import comfy.sample
import comfy.samplers
import torch

from ..mixing.errors import InputError
from .conditioning import Conditioned
from .randomness import starting_noise, untouched_generators

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

ORIGINAL_DDIM = "ddim (image mixer)"
"""The sampler of Lambda's own code: DDIM without its noisiest step. It has its own schedule."""

SAMPLERS: tuple[str, ...] = (*comfy.samplers.SAMPLER_NAMES, ORIGINAL_DDIM)
SCHEDULERS: tuple[str, ...] = tuple(comfy.samplers.SCHEDULER_NAMES)

DETERMINISTIC = frozenset(
    {
        "euler",
        "euler_cfg_pp",
        "heun",
        "heunpp2",
        "exp_heun_2_x0",
        "dpm_2",
        "lms",
        "dpm_fast",
        "dpmpp_2m",
        "dpmpp_2m_cfg_pp",
        "ipndm",
        "ipndm_v",
        "deis",
        "res_multistep",
        "res_multistep_cfg_pp",
        "gradient_estimation",
        "gradient_estimation_cfg_pp",
        "uni_pc",
        "uni_pc_bh2",
        "ddim",
        ORIGINAL_DDIM,
    }
)
GAUSSIAN = frozenset(
    {
        "euler_ancestral",
        "euler_ancestral_cfg_pp",
        "dpm_2_ancestral",
        "dpmpp_2s_ancestral",
        "dpmpp_2s_ancestral_cfg_pp",
        "ddpm",
        "lcm",
        "res_multistep_ancestral",
        "res_multistep_ancestral_cfg_pp",
        "er_sde",
        "seeds_2",
        "seeds_3",
        "exp_heun_2_x0_sde",
        "sa_solver",
        "sa_solver_pece",
    }
)
BROWNIAN = frozenset({"dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"})
BROWNIAN_ON_DEVICE = frozenset(f"{name}_gpu" for name in BROWNIAN)

LEAST_DENOISE = 0.001
"""The finest step of the widget."""


@dataclass(frozen=True)
class Settings:
    """How to sample: names as in KSampler; `denoise` 1 starts from noise alone, below 1 from the latent.

    Raises InputError if `denoise` is neither 0 nor from LEAST_DENOISE to 1.
    """

    sampler: str
    scheduler: str
    steps: int
    guidance_scale: float
    denoise: float = 1.0

    def __post_init__(self) -> None:
        # ComfyUI computes steps / denoise sigmas, so a tiny number would fill the memory.
        if not (self.denoise == 0 or LEAST_DENOISE <= self.denoise <= 1):
            raise InputError(f"Denoise must be 0, or from {LEAST_DENOISE:g} to 1, not {self.denoise:g}.")


@dataclass(frozen=True)
class Start:
    """What sampling starts from: `latent` [B, C, H, W] (or [B, C, 1, H, W]), one seed per item, and an inpainting mask.

    `noise_mask` [B, 1, H, W] is 1 in the parts to make anew; None makes all of it anew.
    """

    latent: torch.Tensor
    seeds: list[int]
    noise_mask: torch.Tensor | None = None


Callback = Callable[[int, torch.Tensor, torch.Tensor, int], None]
"""Called after each step with (step, x0, x, total steps)."""


def batches_together(sampler: str, has_mask: bool) -> bool:
    """Return whether a batch with this sampler gives each item what it would be alone. If not, items run one by one.

    dpm_adaptive chooses its steps by the whole batch, ddim with an inpainting mask draws noise for the whole batch, and a
    sampler that another pack added may do anything.
    """
    if sampler == "ddim" and has_mask:
        return False
    return sampler in DETERMINISTIC or sampler in GAUSSIAN or sampler in BROWNIAN or sampler in BROWNIAN_ON_DEVICE


def batches_of(keys: Sequence[Any], together: int) -> list[tuple[int, int]]:
    """Return (begin, end) of each batch: runs of equal `keys`, one key per item, of at most `together` items."""
    batches = [(0, 1)]
    for index in range(1, len(keys)):
        begin, end = batches[-1]
        if end - begin < together and keys[index] == keys[begin]:
            batches[-1] = (begin, end + 1)
        else:
            batches.append((index, index + 1))
    return batches


def sample(
    conditioned: Conditioned, start: Start, settings: Settings, callback: Callback | None = None
) -> torch.Tensor:
    """Denoise `start.latent`, item i with the noise of seeds[i]; a batch of one equals core's KSampler bit for bit.

    The global generators are left as they were.
    """
    noise = starting_noise(start.latent, start.seeds)
    with untouched_generators(conditioned.model.load_device):
        if settings.sampler == ORIGINAL_DDIM:
            return _original_ddim(conditioned, start, noise, settings, callback)
        schedule = _Schedule(_sampler(settings.sampler, start.seeds), _sigmas(conditioned.model, settings))
        return _run(conditioned, start, noise, schedule, settings.guidance_scale, callback)


@dataclass(frozen=True)
class _Schedule:
    """A sampler of ComfyUI and the sigmas of its steps."""

    sampler: comfy.samplers.KSAMPLER
    sigmas: torch.Tensor


def _sigmas(model: ModelPatcher, settings: Settings) -> torch.Tensor:
    sigmas: torch.Tensor = comfy.samplers.KSampler(
        model,
        steps=settings.steps,
        device=model.load_device,
        sampler=settings.sampler,
        scheduler=settings.scheduler,
        denoise=settings.denoise,
        model_options=model.model_options,
    ).sigmas
    return sigmas


def _run(
    conditioned: Conditioned,
    start: Start,
    noise: torch.Tensor,
    schedule: _Schedule,
    guidance_scale: float,
    callback: Callback | None,
) -> torch.Tensor:
    samples: torch.Tensor = comfy.sample.sample_custom(
        conditioned.model,
        noise,
        guidance_scale,
        schedule.sampler,
        schedule.sigmas,
        conditioned.positive,
        conditioned.negative,
        start.latent,
        noise_mask=start.noise_mask,
        callback=callback,
        seed=start.seeds[0],
    )
    return samples


def _sampler(name: str, seeds: list[int]) -> comfy.samplers.KSAMPLER:
    sampler = comfy.samplers.sampler_object(name)
    if len(seeds) == 1 or name in DETERMINISTIC:
        return sampler
    return comfy.samplers.KSAMPLER(
        _per_item(sampler.sampler_function, name, seeds), sampler.extra_options, sampler.inpaint_options
    )


def _per_item(function: Callable[..., torch.Tensor], name: str, seeds: list[int]) -> Callable[..., torch.Tensor]:
    """Return `function` with a noise sampler made of one of core's own per item, seeded as its run alone would be."""

    def sampler_function(
        model: Any,
        noise: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: Any = None,
        callback: Any = None,
        disable: Any = None,
        **options: Any,
    ) -> torch.Tensor:
        if len(sigmas) > 1:
            options["noise_sampler"] = _noise_sampler(noise, sigmas, name, seeds)
        return function(model, noise, sigmas, extra_args=extra_args, callback=callback, disable=disable, **options)

    return sampler_function


def _noise_sampler(x: torch.Tensor, sigmas: torch.Tensor, name: str, seeds: list[int]) -> Callable[..., torch.Tensor]:
    items: list[Callable[..., torch.Tensor]]
    if name in GAUSSIAN:
        items = [k_diffusion.default_noise_sampler(x[i : i + 1], seed=seed) for i, seed in enumerate(seeds)]
    else:
        positive_sigmas = sigmas[sigmas > 0]
        items = [
            k_diffusion.BrownianTreeNoiseSampler(
                x[i : i + 1], positive_sigmas.min(), sigmas.max(), seed=seed, cpu=name in BROWNIAN
            )
            for i, seed in enumerate(seeds)
        ]
    return lambda sigma, sigma_next: torch.cat([item(sigma, sigma_next) for item in items])


def _original_ddim(
    conditioned: Conditioned, start: Start, noise: torch.Tensor, settings: Settings, callback: Callback | None
) -> torch.Tensor:
    """Run DDIM as Lambda's Image Mixer samples (CompVis' sampler), in ComfyUI's terms.

    The original's S timesteps are 1, 1 + 1000 // S, …: those of `ddim_uniform` without the noisiest. It starts from noise
    of unit variance and ends at the smallest sigma instead of 0, in a space that is scaled by sqrt(1 + sigma^2).
    """
    model_sampling = conditioned.model.get_model_object("model_sampling")
    if not hasattr(model_sampling, "sigmas") or settings.steps < 2:
        raise InputError(f"{ORIGINAL_DDIM} needs at least 2 steps and a model with discrete timesteps.")
    wanted = settings.steps if settings.denoise > 0.9999 else int(settings.steps / max(settings.denoise, 1e-6))
    count = min(wanted, len(model_sampling.sigmas) // 2)
    sigmas = comfy.samplers.calculate_sigmas(model_sampling, "ddim_uniform", count)[1:].clone()
    if settings.denoise <= 0.9999:
        sigmas = sigmas[-(settings.steps + 1) :]
    sigmas[-1] = float(model_sampling.sigmas[0])
    first, last = float(sigmas[0]), float(sigmas[-1])
    if settings.denoise > 0.9999:
        noise = noise * ((1.0 + first**2) ** 0.5 / first)
    schedule = _Schedule(comfy.samplers.sampler_object("euler"), sigmas)
    samples = _run(conditioned, replace(start, seeds=[0]), noise, schedule, settings.guidance_scale, callback)
    scale: float = (1.0 + last**2) ** 0.5
    return samples / scale
