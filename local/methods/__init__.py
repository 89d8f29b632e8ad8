"""The methods: how a mix conditions a diffusion model.

To add a method, write `local/methods/<name>.py` in the shape of `base.Method` and add it to METHODS below. Its options are
the fields of its settings (see `options`). The widgets, `auto` and the engine take all they need from this list, so no other
code changes. Describe a scene of it in `tests/support/methods.py`, which holds it to the promises of all methods
(`tests/local/test_methods.py`); what it promises besides goes to `tests/local/test_<name>.py`.
For the reader, describe the method in `web/docs/ImageMixerLocal.md`, `web/docs/ImageMixerApply.md` and the README's table.
An adapter of a new kind needs a node that loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...mixing.errors import EngineError, InputError
from ..families import class_name
from .base import Limits, Method, Needs, Request, check_mix
from .image_mixer import IMAGE_MIXER
from .ip_adapter import IP_ADAPTER
from .options import Option, Settings, options_of
from .redux import REDUX
from .reference import REFERENCE
from .unclip import UNCLIP

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

# Method[Any]: each has settings of its own, which only the method itself reads.
METHODS: tuple[Method[Any], ...] = (IMAGE_MIXER, IP_ADAPTER, REDUX, UNCLIP, REFERENCE)
"""In the order in which `auto` asks them: a tagged model first, then adapters by kind, then models by class."""

__all__ = [
    "METHODS",
    "Limits",
    "Method",
    "Needs",
    "Option",
    "Request",
    "Settings",
    "check_mix",
    "choose",
    "options_of",
]


def choose(name: str, model: ModelPatcher, adapter: object) -> Method[Any]:
    """Return the method called `name`; for "auto", the first one that applies to the model and adapter.

    Raise EngineError ("wrong model") if none applies, InputError for an unknown name.
    """
    if name == "auto":
        for method in METHODS:
            if method.applies_to(model, adapter):
                return method
        raise EngineError(
            f"No method fits this model ({class_name(model)}) by itself: connect an adapter (Load IP-Adapter), load "
            "an Image Mixer checkpoint with Load Image Mixer Checkpoint, or choose the method by hand.",
            "wrong model",
        )
    for method in METHODS:
        if method.name == name:
            return method
    raise InputError(f"Unknown method {name!r}: choose auto or one of {', '.join(m.name for m in METHODS)}.")
