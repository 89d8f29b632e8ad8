"""The demo model makes what it is asked for: a change in the meaning of towers, method or sampling shows here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from image_mixer.local import demo, engine
from image_mixer.mixing import images
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe
from image_mixer.training import figures, scenes
from image_mixer.training.through_pack import Pack, load_judge

JUDGE = Path(__file__).resolve().parent.parent / "assets" / "demo_judge.safetensors"
COMBINATIONS = scenes.split("choose")


@pytest.fixture(scope="module")
def model() -> demo.DemoModel:
    return demo.load_demo()


@pytest.fixture(scope="module")
def make(model: demo.DemoModel) -> Pack:
    return Pack(model)


@pytest.fixture(scope="module")
def judge() -> Any:
    return load_judge(JUDGE)


def pair(number: int) -> tuple[torch.Tensor, scenes.Scenes, scenes.Scenes]:
    """Return two pictures [2, 3, 64, 64] that differ in all factors, and what they show."""
    a, b = figures.pairs(COMBINATIONS, number + 1)
    a, b = a[slice(number, number + 1)], b[slice(number, number + 1)]
    return torch.cat([scenes.draw(a), scenes.draw(b)]), a, b


def test_it_ships_within_its_size_and_is_tagged(model: demo.DemoModel) -> None:
    assert demo.FILE.stat().st_size <= 12e6
    assert model.model.get_attachment("image_mixer")
    assert model.model.model.model_config.unet_config["context_dim"] == 128
    assert all(picture.exists() for picture in demo.PICTURES)


def test_the_judge_reads_real_pictures(judge: Any) -> None:
    batch = scenes.sample(COMBINATIONS, 200, scenes.generator(1))
    read = torch.stack([p.argmax(-1) for p in judge.probabilities(scenes.draw(batch))], dim=1)
    assert (read == batch.factors).float().mean(dim=0).min() >= 0.97


def test_one_ingredient_gives_its_shape_and_colour(make: Pack, judge: Any) -> None:
    shares = figures.single_match(make, judge, COMBINATIONS, 12)
    assert shares["shape and colour"] >= 9 / 12


def test_a_sweep_goes_from_one_to_the_other(make: Pack, judge: Any) -> None:
    done = figures.sweeps(make, judge, COMBINATIONS, 6)
    assert figures.ends_match(done) >= 9 / 12
    assert figures.spearman(done) <= -0.75
    assert figures.trace(done)[0] >= 4 / 6


def test_one_word_pulls_its_factor(make: Pack, judge: Any) -> None:
    assert min(figures.text_pull(make, judge, COMBINATIONS, 5).values()) >= 3 / 5


def test_weight_zero_is_absence(make: Pack) -> None:
    both, _, _ = pair(0)
    with_it = make([figures.Ask(both, (), ((1.0, 0.0),), 3)])[0]
    without = make([figures.Ask(both[:1], (), ((1.0,),), 3)])[0]
    assert torch.equal(with_it, without)


def test_order_does_not_matter(make: Pack) -> None:
    assert figures.swap_difference(make, COMBINATIONS, 2) <= 1e-3


def test_the_prompt_is_an_ingredient(model: demo.DemoModel, judge: Any) -> None:
    both, _, b = pair(1)
    word = scenes.COLOURS[int(b.factors[0, 1])]
    mix = Mix((Ingredient("image", images.picture(both[0].movedim(0, -1))),), ((0.4,),))
    recipe = Recipe(mix, prompt=word, width=64, height=64, steps=20, guidance_scale=2.5, seed=1, samples=4)
    made = engine.generate(
        recipe, engine.Models(model.model, model.vae, model.clip, model.clip_vision), engine.Options()
    )
    colours = judge.probabilities(made.images.movedim(-1, 1))[1].argmax(-1)
    assert (colours == b.factors[0, 1]).sum() >= 3


def test_it_survives_offloading(model: demo.DemoModel, make: Pack) -> None:
    import comfy.model_management

    both, _, _ = pair(0)
    ask = [figures.Ask(both, (), ((0.5, 0.5),), 5)]
    before = make(ask)[0]
    comfy.model_management.unload_all_models()
    assert torch.equal(make(ask)[0], before)
