"""Seeds: samples and sequences."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import InputError
from image_mixer.mixing.seeds import LARGEST_SEED, MAX_SEED, MODES, sample_seed, sequence

seeds = st.integers(0, MAX_SEED)


@pytest.mark.parametrize(
    ("seed", "sample", "expected"),
    [
        (0, 0, 0),
        (5, 3, 8),
        (MAX_SEED, 0, MAX_SEED),
        (MAX_SEED, 1, 0),
        (MAX_SEED - 1, 4, 2),
        (2**62, 3, 2**62 + 3),
        (MAX_SEED + 1, 1, MAX_SEED + 2),
        (LARGEST_SEED, 2, 1),
    ],
)
def test_sample_seed(seed: int, sample: int, expected: int) -> None:
    assert sample_seed(seed, sample) == expected


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, MAX_SEED, 2**40 + 7])
def test_seeds_are_not_narrowed_to_32_bits(seed: int) -> None:
    assert sample_seed(seed, 0) == seed
    assert sequence(seed, 1, "same") == sequence(seed, 1, "count up") == (seed,)


def test_the_largest_seed_is_exact_in_javascript() -> None:
    assert float(MAX_SEED) == MAX_SEED
    assert float(MAX_SEED + 2) != MAX_SEED + 2


@pytest.mark.parametrize(
    ("seed", "count", "mode", "expected"),
    [
        (5, 3, "count up", (5, 6, 7)),
        (MAX_SEED, 2, "count up", (MAX_SEED, 0)),
        (5, 3, "same", (5, 5, 5)),
        # Drawn once and written down: a workflow must find its seeds again in every later version.
        (5, 3, "random", (62558400099573, 1038169918635295, 7762398003769143)),
    ],
)
def test_sequence(seed: int, count: int, mode: Any, expected: tuple[int, ...]) -> None:
    assert sequence(seed, count, mode) == expected


@given(seeds, st.integers(1, 40), st.sampled_from(MODES))
def test_sequences_stay_in_range_and_longer_ones_go_on(seed: int, count: int, mode: Any) -> None:
    drawn = sequence(seed, count, mode)
    assert len(drawn) == count
    assert all(0 <= one <= MAX_SEED for one in drawn)
    assert sequence(seed, count + 1, mode)[:count] == drawn
    if mode != "same":
        assert len(set(drawn)) == count


@given(seeds, st.integers(0, 20))
def test_sample_seeds_are_the_sequence_that_counts_up(seed: int, sample: int) -> None:
    assert sequence(seed, sample + 1, "count up")[sample] == sample_seed(seed, sample)


@pytest.mark.parametrize(
    ("seed", "count", "mode", "named"),
    [
        (-1, 1, "same", "not -1"),
        (MAX_SEED + 1, 1, "same", "not 9007199254740992"),
        (0, 0, "same", "not 0"),
        (0, 1001, "random", "from 1 to 1000 seeds, not 1001"),
        (0, 1, "down", "'down'"),
    ],
)
def test_sequence_refuses(seed: int, count: int, mode: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        sequence(seed, count, mode)
