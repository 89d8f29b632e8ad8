"""Turn a row of weights into what a service can take: scaled, repeated over image slots, or ignored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..mixing.errors import InputError, WeightsError

WeightsMode = Literal["send", "repeat", "ignore"]
MODES: tuple[WeightsMode, ...] = ("send", "repeat", "ignore")

LOWEST_DOCUMENTED = 0.1
"""The service documents weights from 0.1 to 1."""

STATED_ERROR = 0.05
"""The largest error of a share (0 to 1) that `repeat` makes without a warning."""


@dataclass(frozen=True)
class Shares:
    """A row of weights as it is sent.

    `order` has the image's index per slot, `weights` the weight sent per slot, `effective` the weight that each image
    really gets, and `warnings` one line each.
    """

    order: tuple[int, ...]
    weights: tuple[float, ...]
    effective: tuple[float, ...]
    warnings: tuple[str, ...] = ()


def shared(weights: tuple[float, ...], mode: WeightsMode, slots: int) -> Shares:
    """Return how `weights`, all above 0, are sent to a service that takes `slots` images.

    Raise WeightsError if a weight is not finite or not above 0, or if there are none. Raise InputError if `mode` is
    "ignore" and they differ, or "repeat" and there are more images than slots.
    """
    if not weights or any(not math.isfinite(w) or w <= 0 for w in weights):
        raise WeightsError(f"A remote mix needs weights above 0, not {', '.join(f'{w:g}' for w in weights) or 'none'}.")
    if mode == "repeat":
        return _repeated(weights, slots)
    if mode == "ignore":
        if max(weights) - min(weights) > 1e-9:
            raise InputError(
                f"This endpoint ignores weights, and they differ ({', '.join(f'{w:g}' for w in weights)}): "
                'make them equal, or set weights = "send" or "repeat" for it in endpoints.toml.'
            )
        return Shares(tuple(range(len(weights))), (1.0,) * len(weights), (1.0,) * len(weights))
    scaled = tuple(w / max(weights) for w in weights) if max(weights) > 1 else weights
    low = [w for w in scaled if w < LOWEST_DOCUMENTED]
    warnings = tuple(
        f"A weight of {w:.3g} is below {LOWEST_DOCUMENTED:g}, the lowest that the service documents." for w in low
    )
    return Shares(tuple(range(len(weights))), scaled, scaled, warnings)


def _repeated(weights: tuple[float, ...], slots: int) -> Shares:
    if len(weights) > slots:
        raise InputError(f"The service has {slots} slots, and {len(weights)} images have a weight: set some to 0.")
    counts = largest_remainder(weights, slots)
    effective = tuple(count / slots for count in counts)
    wanted = tuple(w / math.fsum(weights) for w in weights)
    error = max(abs(e - w) for e, w in zip(effective, wanted, strict=True))
    warnings: tuple[str, ...] = ()
    if error > STATED_ERROR or 0 in counts:
        said = ", ".join(f"{e:.2f} for {w:.2f}" for e, w in zip(effective, wanted, strict=True))
        warnings = (f"Repeating over {slots} slots gives shares of {said}.",)
    order = tuple(i for i, count in enumerate(counts) for _ in range(count))
    return Shares(order, (1.0,) * len(order), effective, warnings)


def largest_remainder(weights: tuple[float, ...], seats: int) -> tuple[int, ...]:
    """Divide `seats` in proportion to `weights` by Hamilton's method; among equal remainders the first one wins."""
    total = math.fsum(weights)
    quotas = [w / total * seats for w in weights]
    counts = [math.floor(q + 1e-9) for q in quotas]
    by_remainder = sorted(range(len(weights)), key=lambda i: (counts[i] - quotas[i], i))
    for i in by_remainder[: seats - sum(counts)]:
        counts[i] += 1
    return tuple(counts)
