"""The mathematics of mixing embeddings. Weights are plain numbers; a weight of 0 leaves its vector out altogether.

Every function computes in float32, returns the dtype and device of `vectors`, and raises InputError if a row of weights
does not have one number per vector. A vector with weight 0 is never read, so a NaN in it does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

from .errors import InputError
from .weights import Matrix, Row

CANCELLED = 1e-6
"""A weighted sum shorter than this share of its terms' lengths is rounding error: its direction is meaningless."""

OPPOSITE = 1e-4
"""Two unit vectors count as opposite, without a shortest path between them, if they are this close to it, in radians."""

MEAN_STEPS = 64
MEAN_TOLERANCE = 1e-6
"""The spherical mean stops after MEAN_STEPS steps, or at a step shorter than MEAN_TOLERANCE radians."""


def weighted_slots(vectors: Tensor, weights: Matrix, slots: int) -> Tensor:
    """Put one weighted vector into each slot: [V, slots, D] from `vectors` [N, D] and `weights` [V, N].

    In each row the vectors whose weight is not 0 come first, in order, then zero vectors.
    Raises InputError if a row has more than `slots` weights that are not 0.
    """
    result = vectors.new_zeros((len(weights), slots, vectors.shape[-1]), dtype=torch.float32)
    for variant, row in enumerate(weights):
        chosen, numbers = _used(vectors, row)
        if len(numbers) > slots:
            raise InputError(
                f"Row {variant + 1} of the weights uses {len(numbers)} ingredients, but there are {slots} slots: "
                "set the weights of the others to 0."
            )
        result[variant, : len(numbers)] = _factors(numbers, chosen) * chosen
    return result.to(vectors.dtype)


def weighted_sum(vectors: Tensor, weights: Matrix) -> Tensor:
    """Sum weight times vector without normalising: [V, ...] from `vectors` [N, ...] and `weights` [V, N]."""
    return _each_row(vectors, [_sum(*_used(vectors, row)) for row in weights])


def norm_preserving_average(vectors: Tensor, weights: Matrix) -> Tensor:
    """Average directions and lengths separately: [V, ...] from `vectors` [N, ..., D] and `weights` [V, N].

    With lengths over the last dimension: sum(w v) / |sum(w v)| times sum(|w| |v|) / sum(|w|). Unlike the plain sum this
    keeps the length that a model was trained on. A negative weight points away from its vector.
    A row of zeros and a sum that cancels become zeros. Scaling a row by a positive number changes nothing.
    """
    return _each_row(vectors, [_norm_preserving(*_used(vectors, row)) for row in weights])


def spherical_mean(vectors: Tensor, weights: Matrix) -> Tensor:
    """Average directions along the sphere, and lengths separately: the weighted mean of each.

    [V, ...] from `vectors` [N, ..., D] and `weights` [V, N]; directions and lengths are over the last dimension. The
    direction is the Fréchet (Karcher) mean: the point of the unit sphere with the least weighted sum of squared angles,
    found by the fixed-point iteration x <- exp_x(sum(w log_x(v))) (Buss and Fillmore, Spherical Averages and
    Applications to Spherical Splines and Interpolation, ACM Transactions on Graphics 20(2), 2001, algorithm A1).
    For two vectors it is spherical linear interpolation, sin((1 - t) a) / sin(a) u + sin(t a) / sin(a) v.

    Two opposite vectors have no shortest path between them: the mean takes the direction of the one with the larger
    weight, and is zero if the weights are equal. It is also zero whenever the weighted directions cancel, and for a row
    of zeros. A vector of length 0 has no direction; its weight counts only for the length. Scaling a row by a positive
    number changes nothing. Raises InputError on a negative weight.
    """
    for row in weights:
        for weight in row:
            if weight < 0:
                raise InputError(f"The spherical mean takes weights from 0, not {weight:g}: choose another average.")
    return _each_row(vectors, [_spherical(*_used(vectors, row)) for row in weights])


def _used(vectors: Tensor, row: Row) -> tuple[Tensor, Row]:
    """Return the vectors [K, ...] whose weight in `row` is not 0, as float32, and these weights."""
    if len(row) != vectors.shape[0]:
        raise InputError(f"There are {len(row)} weights for {vectors.shape[0]} embeddings: give one for each.")
    kept = [k for k, weight in enumerate(row) if weight]
    chosen = vectors[torch.tensor(kept, dtype=torch.long, device=vectors.device)]
    return chosen.to(torch.float32), tuple(row[k] for k in kept)


def _factors(numbers: Row, like: Tensor) -> Tensor:
    """Return `numbers` [K] as a tensor that can be multiplied with `like` [K, ...]."""
    factors = torch.tensor(numbers, dtype=torch.float32, device=like.device)
    return factors.reshape((-1,) + (1,) * (like.dim() - 1))


def _each_row(vectors: Tensor, rows: list[Tensor]) -> Tensor:
    return torch.stack(rows).to(vectors.dtype)


def _sum(chosen: Tensor, numbers: Row) -> Tensor:
    return (_factors(numbers, chosen) * chosen).sum(dim=0)


def _shares(numbers: Row) -> Row:
    """Divide `numbers` by the sum of their magnitudes. Dividing by the largest first keeps that sum finite."""
    peak = max(map(abs, numbers))
    total = sum(abs(number / peak) for number in numbers)
    return tuple(number / peak / total for number in numbers)


def _norm_preserving(chosen: Tensor, numbers: Row) -> Tensor:
    if not numbers:
        return chosen.sum(dim=0)
    shares = _shares(numbers)
    length = _sum(vector_norm(chosen, dim=-1, keepdim=True), tuple(map(abs, shares)))
    return _direction(_sum(chosen, shares), length) * length


def _direction(total: Tensor, scale: Tensor) -> Tensor:
    """Scale `total` [..., D] to length 1, or to zero if it is rounding error compared with `scale` [..., 1]."""
    length = vector_norm(total, dim=-1, keepdim=True)
    real = length > CANCELLED * scale
    return torch.where(real, total / torch.where(real, length, 1.0), 0.0)


def _spherical(chosen: Tensor, numbers: Row) -> Tensor:
    if not numbers:
        return chosen.sum(dim=0)
    shares = _shares(numbers)
    lengths = vector_norm(chosen, dim=-1, keepdim=True)
    directions = torch.where(lengths > 0, chosen / lengths, 0.0)
    weights = _factors(shares, chosen) * (lengths > 0)
    weights = weights / weights.sum(dim=0, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    mean = _direction((weights * directions).sum(dim=0), torch.ones_like(lengths[0]))
    defined = (mean != 0).any(dim=-1, keepdim=True)
    for _ in range(MEAN_STEPS):
        step = (weights * _log(mean, directions)).sum(dim=0)
        angle = vector_norm(step, dim=-1, keepdim=True)
        mean = torch.cos(angle) * mean + torch.sinc(angle / torch.pi) * step
        mean = _direction(mean, torch.ones_like(angle))
        if bool((angle < MEAN_TOLERANCE).all()):
            break
    return torch.where(defined, mean, 0.0) * _sum(lengths, shares)


def _log(base: Tensor, directions: Tensor) -> Tensor:
    """Return the tangents at `base` [..., D] that lead along the sphere to `directions` [K, ..., D].

    The tangent to an opposite direction is zero.
    """
    cosine = (base * directions).sum(dim=-1, keepdim=True)
    tangent = directions - cosine * base
    sine = vector_norm(tangent, dim=-1, keepdim=True)
    # The arc cosine loses half its digits near 1; the two-argument arc tangent does not.
    angle = torch.atan2(sine, cosine)
    ratio = torch.where(sine > 0, angle / sine, 1.0)
    return torch.where(angle < torch.pi - OPPOSITE, ratio * tangent, 0.0)
