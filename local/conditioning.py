"""A model with its conditioning, as ComfyUI's samplers take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch

from ..mixing.errors import InputError

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

Entry: TypeAlias = list[Any]
"""One entry of a CONDITIONING: [tokens (Tensor), options (dict)]. Any, since the type of a list cannot name its two items."""

Conditioning: TypeAlias = list[Entry]
"""ComfyUI's CONDITIONING."""


class Conditioned(NamedTuple):
    """A model and its conditioning, ready for any sampler of ComfyUI."""

    model: ModelPatcher
    positive: Conditioning
    negative: Conditioning


@dataclass(frozen=True)
class Target:
    """What a mix is applied to: a model, the conditioning it comes with, and an adapter. None if not connected.

    `adapter` is an `ip_adapter_file.Adapter`, ComfyUI's StyleModel, or anything else that was connected by mistake.
    """

    model: ModelPatcher
    positive: Conditioning | None = None
    negative: Conditioning | None = None
    adapter: object = None


def zeroed(conditioning: Conditioning) -> Conditioning:
    """Return `conditioning` with zeros for its text, as core's ConditioningZeroOut does; its other options are kept."""
    return [
        [
            torch.zeros_like(context),
            {k: torch.zeros_like(v) if k == "pooled_output" and v is not None else v for k, v in options.items()},
        ]
        for context, options in conditioning
    ]


def needed_texts(target: Target, method: str) -> tuple[Conditioning, Conditioning]:
    """Return (positive, negative) of `target`; a missing negative is the positive with zeros for its text.

    Raise InputError if positive is not connected, naming the method.
    """
    if not target.positive:
        raise InputError(f"Method {method} needs text beside the mix: connect positive (CLIP Text Encode).")
    return target.positive, target.negative or zeroed(target.positive)
