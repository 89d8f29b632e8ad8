"""Seeds: their ranges, the seed of each sample, and sequences of seeds."""

from __future__ import annotations

import hashlib
from typing import Literal

from .errors import InputError

MAX_SEED = 2**53 - 1
"""Largest seed of a widget: the largest whole number that JavaScript represents exactly."""

LARGEST_SEED = 2**63 - 1
"""Largest seed that a recipe accepts from a link: the largest whole number that SQLite and most services store."""

MAX_COUNT = 1000
"""Most seeds of a sequence."""

Mode = Literal["count up", "random", "same"]
MODES: tuple[Mode, ...] = ("count up", "random", "same")


def sample_seed(seed: int, sample: int) -> int:
    """Return the seed of sample number `sample`, from 0: seed + sample.

    After MAX_SEED it continues at 0; if `seed` is above MAX_SEED, after LARGEST_SEED.
    """
    return (seed + sample) % ((MAX_SEED if seed <= MAX_SEED else LARGEST_SEED) + 1)


def sequence(seed: int, count: int, mode: Mode) -> tuple[int, ...]:
    """Return `count` seeds: counting up from `seed`, drawn from it by hashing (the same every time), or `seed` repeated.

    Raises InputError on a seed outside 0 to MAX_SEED, on a count outside 1 to MAX_COUNT, and on an unknown mode.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"A sequence starts at a seed from 0 to {MAX_SEED}, not {seed}.")
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"A sequence has from 1 to {MAX_COUNT} seeds, not {count}.")
    if mode == "count up":
        return tuple(sample_seed(seed, i) for i in range(count))
    if mode == "random":
        return tuple(_drawn(seed, i) for i in range(count))
    if mode == "same":
        return (seed,) * count
    raise InputError(f"The mode of a seed sequence is one of {', '.join(MODES)}, not {mode!r}.")


def _drawn(seed: int, index: int) -> int:
    digest = hashlib.sha256(f"image-mixer seed {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (MAX_SEED + 1)
