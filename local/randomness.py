"""Random numbers: one generator per item. The global generators are restored after use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch


@contextmanager
def untouched_generators(device: torch.device) -> Iterator[None]:
    """Run a block and restore the global generators (torch's of the CPU and `device`, numpy's, Python's) afterwards.

    Some of ComfyUI's samplers seed torch's global generator; what others draw from it after a mix must not change.
    """
    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    accelerator = getattr(torch, device.type, None) if device.type in ("cuda", "xpu") else None
    accelerator_state = accelerator.get_rng_state(device) if accelerator is not None else None
    cpu_state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(cpu_state)
        if accelerator is not None and accelerator_state is not None:
            accelerator.set_rng_state(accelerator_state, device)
        numpy.random.set_state(numpy_state)
        random.setstate(python_state)


def starting_noise(latent: torch.Tensor, seeds: list[int]) -> torch.Tensor:
    """Return noise [B, C, ...] in the shape of `latent`, item i drawn on the CPU from a generator seeded with seeds[i].

    Each item equals what `comfy.sample.prepare_noise` draws for a batch of one with its seed.
    """
    items = []
    for seed in seeds:
        generator = torch.Generator(device="cpu").manual_seed(seed)
        items.append(torch.randn((1, *latent.shape[1:]), dtype=torch.float32, generator=generator, device="cpu"))
    return torch.cat(items).to(latent.dtype)
