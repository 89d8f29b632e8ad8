"""Profiles of an IP-Adapter: in which layers of a UNet the images act, and how strongly."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...mixing.errors import InputError
from .image_attention import Layer

PROFILES = ("all", "style", "composition", "strong style", "ease in", "ease out", "ease in-out")
EASED = 0.05
"""The factor of an easing profile at its weak end."""

_STYLE = {
    11: {"style": {6: 1.0}, "composition": {3: 1.0}, "strong style": {i: 1.0 for i in range(11) if i != 3}},
    16: {
        "style": {i: 1.0 for i in range(16) if not 4 <= i <= 8},
        "composition": {4: 0.25, 5: 1.0},
        "strong style": {i: 1.0 for i in range(16) if not 4 <= i <= 5},
    },
}
"""Factors by the number of transformers in a UNet (SDXL 11, SD1.x 16), then by profile and transformer in execution order.

Source: Wang et al., InstantStyle, 2024, for SDXL; the tables of ComfyUI_IPAdapter_plus, which people know, for the rest.
"""


def profile_of(name: str, layers: Sequence[Layer]) -> torch.Tensor:
    """Return the factor of an image's weight in each column [sum of widths] of `layers`, for the profile `name`.

    Raise InputError if the profile is not known for a UNet with so many transformers.
    """
    count = 1 + max(layer.transformer for layer in layers)
    if name in ("style", "composition", "strong style"):
        if count not in _STYLE:
            raise InputError(
                f"The layers called {name} are known for SD1.x and SDXL; this model has {count} transformers: choose all."
            )
        factors = [_STYLE[count][name].get(i, 0.0) for i in range(count)]
    else:
        factors = [EASED + (1.0 - EASED) * _eased(name, i / max(1, count - 1)) for i in range(count)]
    return torch.cat([torch.full((layer.width,), factors[layer.transformer]) for layer in layers])


def _eased(name: str, depth: float) -> float:
    """Return 0 to 1 at `depth`, which is 0 for the first transformer and 1 for the last."""
    if name == "ease in":
        return 1.0 - depth
    if name == "ease out":
        return depth
    return 1.0 - abs(2.0 * depth - 1.0) if name == "ease in-out" else 1.0
