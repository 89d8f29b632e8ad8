"""Sampling a batch whose items are what they would be alone: per-item noise for every sampler of ComfyUI."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.k_diffusion.sampling as k_diffusion
import comfy.model_management
import comfy.sample
import comfy.samplers
import torch

from ..mixing.errors import InputError
from .randomness import starting_noise, untouched_generators

ORIGINAL_DDIM = "ddim (image mixer)"
"""The sampler of Lambda's own code: DDIM without its noisiest step. It brings its own schedule."""

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
"""As fine as the widget is."""


@dataclass(frozen=True)
class Settings:
    """How to sample: names as in KSampler; `denoise` 1 starts from noise alone, below 1 from the latent.

    Raises InputError on a `denoise` that is neither 0 nor from LEAST_DENOISE to 1.
    """

    sampler: str
    scheduler: str
    steps: int
    guidance_scale: float
    denoise: float = 1.0

    def __post_init__(self) -> None:
        # ComfyUI spreads steps / denoise sigmas, which a tiny number would fill the memory with.
        if not (self.denoise == 0 or LEAST_DENOISE <= self.denoise <= 1):
            raise InputError(f"Denoise is 0, or from {LEAST_DENOISE:g} to 1, not {self.denoise:g}.")


def batches_together(sampler: str, has_mask: bool) -> bool:
    """Whether a batch with this sampler gives each item what it would be alone; otherwise items run one by one.

    dpm_adaptive chooses its steps by the whole batch, ddim draws its noise behind an inpainting mask for the whole batch,
    and a sampler that another pack added may do anything.
    """
    if sampler == "ddim" and has_mask:
        return False
    return sampler in DETERMINISTIC or sampler in GAUSSIAN or sampler in BROWNIAN or sampler in BROWNIAN_ON_DEVICE


def batches_of(keys: Sequence[Any], together: int) -> list[tuple[int, int]]:
    """(begin, end) of what is sampled at once: runs of equal `keys`, one key an item, of at most `together` items."""
    batches = [(0, 1)]
    for index in range(1, len(keys)):
        begin, end = batches[-1]
        if end - begin < together and keys[index] == keys[begin]:
            batches[-1] = (begin, end + 1)
        else:
            batches.append((index, index + 1))
    return batches


def sample(
    model: Any,
    positive: Any,
    negative: Any,
    latent: torch.Tensor,
    seeds: list[int],
    settings: Settings,
    noise_mask: torch.Tensor | None = None,
    callback: Callable[..., None] | None = None,
) -> torch.Tensor:
    """Denoise `latent` [B, C, H, W], item i with the noise of seeds[i]; a batch of one is core's KSampler bit for bit.

    `callback(step, x0, x, total_steps)` comes after each step. The global generators are left as they were.
    """
    noise = starting_noise(latent, seeds)
    with untouched_generators(model.load_device):
        if settings.sampler == ORIGINAL_DDIM:
            return _original_ddim(model, positive, negative, latent, noise, settings, noise_mask, callback)
        sampler, sigmas = _sampler(settings.sampler, seeds), _sigmas(model, settings)
        return _run(model, positive, negative, latent, noise, sampler, sigmas, settings, noise_mask, callback, seeds[0])


def _sigmas(model: Any, settings: Settings) -> torch.Tensor:
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
    model: Any,
    positive: Any,
    negative: Any,
    latent: torch.Tensor,
    noise: torch.Tensor,
    sampler: Any,
    sigmas: torch.Tensor,
    settings: Settings,
    noise_mask: torch.Tensor | None,
    callback: Any,
    seed: int,
) -> torch.Tensor:
    samples: torch.Tensor = comfy.sample.sample_custom(
        model,
        noise,
        settings.guidance_scale,
        sampler,
        sigmas,
        positive,
        negative,
        latent,
        noise_mask=noise_mask,
        callback=callback,
        seed=seed,
    )
    return samples


def _sampler(name: str, seeds: list[int]) -> Any:
    sampler = comfy.samplers.sampler_object(name)
    if len(seeds) == 1 or name in DETERMINISTIC:
        return sampler
    return comfy.samplers.KSAMPLER(
        _per_item(sampler.sampler_function, name, seeds), sampler.extra_options, sampler.inpaint_options
    )


def _per_item(function: Callable[..., torch.Tensor], name: str, seeds: list[int]) -> Callable[..., torch.Tensor]:
    """`function` with a noise sampler made of one of core's own for each item, seeded as its run alone would be."""

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
    model: Any,
    positive: Any,
    negative: Any,
    latent: torch.Tensor,
    noise: torch.Tensor,
    settings: Settings,
    noise_mask: torch.Tensor | None,
    callback: Any,
) -> torch.Tensor:
    """DDIM as Lambda's Image Mixer samples (CompVis' sampler), in ComfyUI's terms.

    The original's S timesteps are 1, 1 + 1000 // S, …: without the noisiest sigma of `ddim_uniform`. It starts from noise
    of unit variance and ends at the smallest sigma instead of 0, in a space that is scaled by sqrt(1 + sigma^2).
    """
    sampling = model.get_model_object("model_sampling")
    if not hasattr(sampling, "sigmas") or settings.steps < 2:
        raise InputError(f"{ORIGINAL_DDIM} needs at least 2 steps and a model with discrete timesteps.")
    wanted = settings.steps if settings.denoise > 0.9999 else int(settings.steps / max(settings.denoise, 1e-6))
    sigmas = comfy.samplers.calculate_sigmas(sampling, "ddim_uniform", min(wanted, len(sampling.sigmas) // 2))[
        1:
    ].clone()
    if settings.denoise <= 0.9999:
        sigmas = sigmas[-(settings.steps + 1) :]
    sigmas[-1] = float(sampling.sigmas[0])
    first, last = float(sigmas[0]), float(sigmas[-1])
    if settings.denoise > 0.9999:
        noise = noise * ((1.0 + first**2) ** 0.5 / first)
    samples = _run(
        model,
        positive,
        negative,
        latent,
        noise,
        comfy.samplers.sampler_object("euler"),
        sigmas,
        settings,
        noise_mask,
        callback,
        0,
    )
    return samples / (1.0 + last**2) ** 0.5


def takes_noise_sampler(name: str) -> bool:
    """Whether core's function of this sampler offers a way in for noise of one's own."""
    function = getattr(k_diffusion, f"sample_{name}", None)
    return function is not None and "noise_sampler" in inspect.signature(function).parameters
