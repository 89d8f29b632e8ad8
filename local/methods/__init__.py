"""The methods, written out: how a mix conditions a diffusion model."""

from __future__ import annotations

from typing import Any

from ...mixing.errors import EngineError, InputError
from .base import Limits, Method, Request, check_mix
from .image_mixer import IMAGE_MIXER
from .ip_adapter import IP_ADAPTER
from .redux import REDUX
from .reference import REFERENCE
from .unclip import UNCLIP

METHODS: tuple[Method, ...] = (IMAGE_MIXER, IP_ADAPTER, REDUX, UNCLIP, REFERENCE)
"""In the order in which `auto` asks them: a tagged model, then adapters by their kind, then models by their class."""

__all__ = ["METHODS", "Limits", "Method", "Request", "check_mix", "choose"]


def choose(name: str, model: Any, adapter: Any) -> Method:
    """The method called `name`; for "auto" the one that claims this model and adapter.

    Raises EngineError ("wrong model") where none does, InputError for a name that is none.
    """
    if name == "auto":
        for method in METHODS:
            if method.claims(model, adapter):
                return method
        raise EngineError(
            f"No method fits this model ({type(model.model).__name__}) by itself: connect an adapter (Load IP-Adapter), load "
            "an Image Mixer checkpoint with Load Image Mixer Checkpoint, or choose the method by hand.",
            "wrong model",
        )
    for method in METHODS:
        if method.name == name:
            return method
    raise InputError(f"There is no method {name!r}: choose auto or one of {', '.join(m.name for m in METHODS)}.")
