"""The mathematics of mixing embeddings: closed forms, and what must hold for any vectors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.embeddings import norm_preserving_average, spherical_mean, weighted_slots, weighted_sum
from image_mixer.mixing.errors import InputError
from image_mixer.mixing.weights import Matrix
from torch import Tensor

Mixer = Callable[[Tensor, Matrix], Tensor]


def slots(vectors: Tensor, weights: Matrix) -> Tensor:
    return weighted_slots(vectors, weights, 5)


MIXERS: list[Mixer] = [slots, weighted_sum, norm_preserving_average, spherical_mean]
SUMS: list[Mixer] = [weighted_sum, norm_preserving_average, spherical_mean]
AVERAGES: list[Mixer] = [norm_preserving_average, spherical_mean]

seeds = st.integers(0, 10**6)
shares = st.floats(0.05, 4)


def vectors(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rotation(seed: int, size: int) -> Tensor:
    """A random orthogonal matrix [size, size]."""
    return torch.linalg.qr(vectors(seed, size, size).double())[0].float()


def close(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_slots_are_weighted_in_order_and_zeros_behind() -> None:
    v = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    expected = [[[0.5, 1.0], [-5.0, -6.0], [0.0, 0.0]], [[6.0, 8.0], [0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0]] * 3]
    result = weighted_slots(v, ((0.5, 0.0, -1.0), (0.0, 2.0, 0.0), (0.0, 0.0, 0.0)), 3)
    assert result.tolist() == expected


def test_slots_are_counted_by_row() -> None:
    v = vectors(0, 4, 3)
    assert weighted_slots(v, ((1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0)), 2).shape == (2, 2, 3)
    with pytest.raises(InputError, match=r"Row 2 .* 3 ingredients, but there are 2 slots"):
        weighted_slots(v, ((1.0, 1.0, 0.0, 0.0), (0.0, 1.0, 1.0, 1.0)), 2)


def test_the_sum_is_not_normalised() -> None:
    v = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert weighted_sum(v, ((2.0, 1.0), (0.0, 0.0), (1.0, -1.0))).tolist() == [[5.0, 8.0], [0.0, 0.0], [-2.0, -2.0]]


def test_the_average_has_the_direction_of_the_sum_and_the_mean_length() -> None:
    v = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    # 1 (3, 0) + 3 (0, 1) points to 45 degrees; the lengths 3 and 1 have the mean (1 * 3 + 3 * 1) / 4.
    close(norm_preserving_average(v, ((1.0, 3.0),)), torch.tensor([[1.5, 1.5]]) / math.sqrt(2))
    # A negative weight turns its vector round and counts for the length with its magnitude.
    close(norm_preserving_average(v, ((1.0, -3.0),)), torch.tensor([[1.5, -1.5]]) / math.sqrt(2))


@pytest.mark.parametrize("angle", [1e-3, 0.5, 1.5, 2.5, 3.1])
@pytest.mark.parametrize("t", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_the_spherical_mean_of_two_is_slerp_at_the_mean_length(angle: float, t: float) -> None:
    turn = rotation(3, 6)
    a = turn[0]
    b = math.cos(angle) * turn[0] + math.sin(angle) * turn[1]
    slerp = (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)
    close(spherical_mean(torch.stack([2 * a, 5 * b]), ((1 - t, t),))[0], slerp * (2 * (1 - t) + 5 * t))


def test_the_spherical_mean_of_three_corners_is_their_middle() -> None:
    close(spherical_mean(torch.eye(3), ((1.0, 1.0, 1.0),)), torch.full((1, 3), 1 / math.sqrt(3)))


@given(seeds, st.lists(shares, min_size=2, max_size=6))
def test_the_spherical_mean_is_where_the_pulls_cancel(seed: int, weights: list[float]) -> None:
    # All in one octant, where the mean is unique: the weighted angles to the vectors, as tangents, sum to zero.
    v = vectors(seed, len(weights), 8).abs().double()
    mean = torch.nn.functional.normalize(spherical_mean(v.float(), (tuple(weights),))[0].double(), dim=0)
    units = torch.nn.functional.normalize(v, dim=1)
    cosines = units @ mean
    tangents = torch.nn.functional.normalize(units - cosines[:, None] * mean, dim=1) * torch.acos(cosines)[:, None]
    pull = (torch.tensor(weights, dtype=torch.float64)[:, None] * tangents).sum(dim=0) / sum(weights)
    assert float(pull.norm()) < 1e-4


@pytest.mark.parametrize(
    ("row", "expected"), [((0.6, 0.4), 1.4), ((0.4, 0.6), -1.6), ((0.5, 0.5), 0.0), ((0.0, 1.0), -2.0)]
)
def test_between_opposites_the_heavier_wins_and_a_tie_is_zero(row: tuple[float, ...], expected: float) -> None:
    close(spherical_mean(torch.tensor([[1.0, 0.0], [-2.0, 0.0]]), (row,)), torch.tensor([[expected, 0.0]]))


@given(seeds, st.floats(-1e-7, 1e-7))
def test_nearly_opposite_vectors_give_no_noise(seed: int, off: float) -> None:
    a = rotation(seed, 16)
    result = spherical_mean(torch.stack([a[0], off * a[1] - a[0]]), ((0.7, 0.3),))
    close(result, a[:1])


def test_a_vector_of_length_zero_counts_for_the_length_alone() -> None:
    v = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    close(spherical_mean(v, ((1.0, 1.0), (1.0, 0.0))), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    close(norm_preserving_average(v, ((1.0, 1.0), (1.0, 0.0))), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    angle = 0.75 * math.pi / 2
    expected = torch.tensor([[math.cos(angle), math.sin(angle)]]) * 4 / 54
    torch.testing.assert_close(spherical_mean(corner, ((50.0, 1.0, 3.0),)), expected, rtol=1e-4, atol=0)


def test_the_spherical_mean_refuses_a_negative_weight() -> None:
    with pytest.raises(InputError, match=r"not -0\.5"):
        spherical_mean(vectors(0, 2, 4), ((1.0, 1.0), (1.0, -0.5)))


def test_what_cancels_gives_zeros() -> None:
    a = vectors(5, 1, 768)
    for average in (weighted_sum, norm_preserving_average):
        assert average(torch.cat([a, a]), ((1.0, -1.0),)).count_nonzero() == 0
    # Rounding leaves something of both of these, whose direction would be noise at full length.
    assert norm_preserving_average(torch.cat([a, a, a]), ((0.1, 0.2, -0.3),)).count_nonzero() == 0
    assert spherical_mean(torch.cat([a, -a]), ((1 + 9e-7, 1 - 9e-7),)).count_nonzero() == 0
    turn = torch.tensor([[math.cos(k), math.sin(k)] for k in (0, 2 * math.pi / 3, 4 * math.pi / 3)])
    assert spherical_mean(turn, ((1.0, 1.0, 1.0),)).count_nonzero() == 0


@pytest.mark.parametrize("mix", MIXERS)
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_weight_0_is_absence_exactly(mix: Mixer, poison: float) -> None:
    v = vectors(1, 4, 64)
    weights = (0.3, 1.7, 0.2)
    with_absent = torch.cat([v[:2], torch.full((1, 64), poison), v[2:3]])
    result = mix(with_absent, ((0.3, 1.7, 0.0, 0.2), (0.0, 0.0, -0.0, 1.0)))
    assert torch.equal(result, mix(v[:3], (weights, (0.0, 0.0, 1.0))))
    assert result.isfinite().all()


@pytest.mark.parametrize("mix", MIXERS)
def test_a_row_of_zeros_gives_zeros(mix: Mixer) -> None:
    result = mix(torch.full((2, 8), math.nan), ((0.0, 0.0), (0.0, -0.0)))
    assert result.count_nonzero() == 0
    assert result.shape[0] == 2


@pytest.mark.parametrize("mix", MIXERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_is_kept_and_the_inputs_are_not_changed(mix: Mixer, dtype: torch.dtype) -> None:
    v = vectors(2, 3, 32).to(dtype)
    before = v.clone()
    result = mix(v, ((1.0, 0.5, 2.0),))
    assert result.dtype == dtype
    assert torch.equal(v, before)
    assert torch.equal(result, mix(v.float(), ((1.0, 0.5, 2.0),)).to(dtype))


@pytest.mark.parametrize("mix", MIXERS)
def test_a_row_must_have_a_number_for_each_vector(mix: Mixer) -> None:
    with pytest.raises(InputError, match="3 weights for 2 embeddings"):
        mix(vectors(0, 2, 4), ((1.0, 1.0, 1.0),))


@pytest.mark.parametrize("mix", SUMS)
@given(seed=seeds, row=st.lists(shares, min_size=1, max_size=6), data=st.data())
def test_the_order_does_not_matter(mix: Mixer, seed: int, row: list[float], data: st.DataObject) -> None:
    v = vectors(seed, len(row), 16).abs()
    order = data.draw(st.permutations(range(len(row))))
    close(mix(v[order], (tuple(row[k] for k in order),)), mix(v, (tuple(row),)))


@given(seeds, st.permutations(range(4)))
def test_slots_go_with_the_order(seed: int, order: list[int]) -> None:
    v, row = vectors(seed, 4, 8), (1.0, -2.0, 0.5, 3.0)
    assert torch.equal(slots(v[order], (tuple(row[k] for k in order),))[0, :4], slots(v, (row,))[0, order])


@pytest.mark.parametrize("mix", SUMS)
@given(seed=seeds, row=st.lists(shares, min_size=1, max_size=6))
def test_rotating_the_vectors_rotates_the_mix(mix: Mixer, seed: int, row: list[float]) -> None:
    v, turn = vectors(seed, len(row), 12), rotation(seed + 1, 12)
    v[:, 0] += 3  # away from configurations that cancel, where the direction is rounding error
    result = mix(v, (tuple(row),))
    close(mix(v @ turn, (tuple(row),)), result @ turn)


@pytest.mark.parametrize("mix", AVERAGES)
@given(seed=seeds, row=st.lists(shares, min_size=1, max_size=6), scale=st.sampled_from([1e-300, 1e-3, 7.0, 4e307]))
def test_equal_vectors_and_scaled_rows(mix: Mixer, seed: int, row: list[float], scale: float) -> None:
    one = vectors(seed, 1, 16)
    close(mix(one.expand(len(row), -1), (tuple(row),)), one)
    v = vectors(seed + 1, len(row), 16).abs()
    close(mix(v, (tuple(scale * weight for weight in row),)), mix(v, (tuple(row),)))


@pytest.mark.parametrize("mix", AVERAGES)
def test_equal_weights_of_equal_lengths_keep_the_length(mix: Mixer) -> None:
    v = torch.nn.functional.normalize(vectors(4, 5, 32), dim=1) * 7
    close(mix(v, ((1.0,) * 5,)).norm(dim=1), torch.tensor([7.0]))


@pytest.mark.parametrize("mix", SUMS)
def test_every_token_is_mixed_by_itself(mix: Mixer) -> None:
    v = vectors(6, 3, 4, 5, 16)
    weights = ((1.0, 0.5, 0.25), (0.0, 1.0, 3.0))
    result = mix(v, weights)
    assert result.shape == (2, 4, 5, 16)
    close(result[:, 1, 2], mix(v[:, 1, 2], weights))


@pytest.mark.parametrize("mix", MIXERS)
def test_every_row_is_mixed_by_itself(mix: Mixer) -> None:
    v = vectors(7, 3, 16)
    rows = ((1.0, 0.5, 0.25), (0.0, 1.0, 3.0), (2.0, 0.0, 0.0))
    assert torch.equal(mix(v, rows), torch.cat([mix(v, (row,)) for row in rows]))


@pytest.mark.parametrize("mix", AVERAGES)
@given(seed=seeds, row=st.lists(shares, min_size=1, max_size=5))
def test_no_average_is_longer_than_its_longest_vector(mix: Mixer, seed: int, row: list[float]) -> None:
    v = vectors(seed, len(row), 16)
    assert float(mix(v, (tuple(row),)).norm()) <= float(v.norm(dim=1).max()) * 1.0001
