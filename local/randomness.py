"""Random numbers: one generator an item, and the global generators left as they were found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch


@contextmanager
def untouched_generators(device: torch.device) -> Iterator[None]:
    """Run a block and put the global generators (torch's of CPU and `device`, numpy's, Python's) back as they were.

    ComfyUI's samplers seed torch's global generator here and there; whoever draws from it after a mix must not notice.
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
    """Noise [B, C, ...] for a latent of that shape, item i drawn on the CPU from a generator seeded seeds[i].

    An item is what `comfy.sample.prepare_noise` draws for a batch of one with its seed.
    """
    items = []
    for seed in seeds:
        generator = torch.Generator(device="cpu").manual_seed(seed)
        items.append(torch.randn((1, *latent.shape[1:]), dtype=torch.float32, generator=generator, device="cpu"))
    return torch.cat(items).to(latent.dtype)
