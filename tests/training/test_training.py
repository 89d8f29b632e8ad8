"""The demo model's training: its pictures, what a mixture asks for, and what the figures come to."""

from __future__ import annotations

import torch
from image_mixer.training import captions, figures, mixes, scenes
from image_mixer.training.pool import CROPS, Pool


def test_the_splits_share_no_combination_and_miss_none() -> None:
    parts = [set(scenes.combination_index(scenes.split(name)).tolist()) for name in ("train", "choose", "report")]
    assert sum(len(part) for part in parts) == scenes.COMBINATIONS == len(set.union(*parts))


def test_every_value_of_every_factor_is_in_every_split() -> None:
    for name in ("train", "choose", "report"):
        for column, size in enumerate(scenes.SIZES):
            assert len(scenes.split(name)[:, column].unique()) == size


def test_a_crop_is_a_part_of_the_picture() -> None:
    batch = scenes.sample(scenes.split("all"), 8, scenes.generator(1))
    whole = scenes.draw(batch, 256)
    part = scenes.draw(batch, 128, torch.tensor([[0.25, 0.25, 0.5]]).expand(8, 3))
    assert (whole[:, :, 64:192, 64:192] - part).abs().max() < 1e-4


def test_a_vector_holds_what_the_caption_says_and_nothing_else() -> None:
    factors = scenes.split("report")[:5]
    known = torch.tensor([[1.0, 0.0, 1.0, 0.0]]).expand(5, 4)
    for column, held in enumerate(captions.read(captions.caption_vectors(factors, known))):
        wanted = torch.nn.functional.one_hot(factors[:, column], scenes.SIZES[column]) * known[:, column, None]
        assert torch.allclose(held, wanted, atol=1e-5)


def test_a_picture_of_weight_a_half_gives_two_of_four_factors() -> None:
    assert _from_first(0.5, 400).unique().tolist() == [2]
    assert _from_first(0.25, 400).unique().tolist() == [1]
    assert _from_first(1.0, 400).unique().tolist() == [4]
    assert abs(float(_from_first(0.6, 2000).float().mean()) - 2.4) < 0.1


def test_a_likeness_that_falls_all_the_way_correlates_perfectly() -> None:
    falling = torch.linspace(1, 0, figures.SWEEP).expand(3, -1)
    none = torch.zeros(3, figures.SWEEP, 4, dtype=torch.bool)
    assert abs(figures.spearman(figures.Sweeps(none, none, falling)) + 1) < 1e-9
    assert abs(figures.spearman(figures.Sweeps(none, none, falling.flip(1))) - 1) < 1e-9
    assert figures.spearman(figures.Sweeps(none, none, torch.ones(3, figures.SWEEP))) == 0


def test_a_trace_needs_a_factor_of_each() -> None:
    first = torch.zeros(2, figures.SWEEP, 4, dtype=torch.bool)
    second = first.clone()
    first[:, figures.MIDDLE, 0] = True
    second[0, figures.MIDDLE, 1] = True
    second[1, figures.MIDDLE + 1, 1] = first[1, figures.MIDDLE + 1, 0] = True
    done = figures.Sweeps(first, second, torch.zeros(2, figures.SWEEP))
    assert figures.trace(done) == (1.0, 0.5)


def _from_first(weight: float, count: int) -> torch.Tensor:
    """How many factors [count] a mixture of two pictures takes from the first, of `weight`; the second weighs the rest."""
    combinations = scenes.split("all")
    rows = torch.full((scenes.COMBINATIONS,), -1)
    rows[scenes.combination_index(combinations)] = torch.arange(len(combinations))
    pool = Pool(combinations, 1, torch.zeros(1), torch.zeros(1, 1 + CROPS, 1), rows)
    a, b = torch.tensor([0, 0, 0, 0]), torch.tensor([1, 1, 1, 1])
    taken = torch.stack([a, b]).expand(count, 2, 4)
    given = torch.tensor([weight, 1 - weight])[:, None].expand(count, 2, 4)
    found = combinations[mixes.allocate(taken, given, pool, scenes.generator(2))]
    return (found == 0).sum(dim=1)
