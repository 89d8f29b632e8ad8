"""Run a training loop, the same for every stage: cosine decay, moving average, checkpoints, resuming."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, autocast, distributed, nn

log = logging.getLogger("demo_training")

Loss = Callable[[torch.Generator], Tensor]


@dataclass(frozen=True)
class Plan:
    """How a stage is trained: steps, learning rate (from the share `first` to the share `last` of `rate`), and average."""

    steps: int
    rate: float
    seed: int
    average: float = 0.999
    warmup: int = 100
    decay: float = 0.01
    first: float = 1.0
    last: float = 0.02
    save_every: int = 500

    def rate_at(self, step: int) -> float:
        """Return the learning rate: a linear warm-up, then half a cosine from the share `first` to the share `last` of `rate`."""
        share = min(1.0, (step + 1) / self.warmup)
        wave = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * share * (self.last + (self.first - self.last) * wave)


@dataclass(frozen=True)
class Team:
    """The processes that share a batch, with one thread each. They average their gradients in every step.

    Two processes of one thread train faster than one process of two, and do not stall if another program uses a core.
    """

    rank: int = 0
    size: int = 1

    def average(self, model: nn.Module, over: bool) -> bool:
        """Average the gradients in place. Return whether any process of the team is over its time."""
        if self.size == 1:
            return over
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients] + [torch.tensor([float(over)])])
        distributed.all_reduce(flat)
        flat[:-1] /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return bool(flat[-1] > 0)

    def wait(self) -> None:
        """Wait for all processes of the team."""
        if self.size > 1:
            distributed.barrier()

    def states(self, source: torch.Generator) -> list[Tensor]:
        """Return the generator states of all processes."""
        mine = source.get_state()
        if self.size == 1:
            return [mine]
        all_states = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(all_states, mine)
        return all_states


def half_precision() -> autocast:
    """Compute products in bfloat16 on the CPU and keep weights in float32. Only for training, which does not use ComfyUI."""
    return autocast("cpu", torch.bfloat16)


@dataclass
class _State:
    """What a checkpoint holds: the model, its averaged weights, the optimiser, and the random generator of each process."""

    model: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    source: torch.Generator
    team: Team

    def load(self, checkpoint: Path) -> int:
        """Go back to `checkpoint`, and return how many steps were done; 0 if the file does not exist."""
        if not checkpoint.exists():
            return 0
        state = torch.load(checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.source.set_state(state["sources"][self.team.rank])
        self.optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def save(self, checkpoint: Path, step: int) -> None:
        """Write `checkpoint`, in the first process only; the others send it the states of their generators."""
        sources = self.team.states(self.source)
        if self.team.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": step,
            "sources": sources,
        }
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = checkpoint.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(checkpoint)


def fit(
    model: nn.Module, loss: Loss, plan: Plan, checkpoint: Path, minutes: float = 40.0, team: Team | None = None
) -> bool:
    """Train `model` in place and leave it with its averaged weights. Return whether the plan's steps are done.

    `loss` draws its batch from the generator that it is given. The run ends early after `minutes`, and continues from
    `checkpoint` when it is called again. Only the first process of a team averages weights and writes checkpoints.
    """
    team = team or Team()
    source = torch.Generator().manual_seed(plan.seed + 1000 * team.rank)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=plan.rate, weight_decay=plan.decay, betas=(0.9, 0.99), fused=True
    )
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state = _State(model, average, optimiser, source, team)
    first = state.load(checkpoint)
    weights, averages = list(model.state_dict().values()), list(state.average.values())
    model.train()
    began = time.monotonic()
    running = 0.0
    for step in range(first, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate_at(step)
        value = loss(source)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        over = team.average(model, time.monotonic() - began > minutes * 60)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        running += (float(value.detach()) - running) * max(0.02, 1 / (step - first + 1))
        if team.rank == 0:
            torch._foreach_lerp_(averages, weights, 1 - min(plan.average, (step + 1) / (step + 10)))
        if step % 100 == 0 and team.rank == 0:
            pace = (step - first + 1) / (time.monotonic() - began)
            log.info("%s step %d of %d, loss %.4f, %.2f steps/s", checkpoint.stem, step, plan.steps, running, pace)
        if over or (step + 1) % plan.save_every == 0:
            state.save(checkpoint, step + 1)
        if over:
            return False
    state.save(checkpoint, plan.steps)
    model.load_state_dict(state.average)
    model.eval()
    return True
