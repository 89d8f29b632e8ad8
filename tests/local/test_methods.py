"""The contract of methods: what each of them promises, tried on every scene in tests/support/methods.py.

A method that is added to local/methods must have a scene there; nothing else is needed to hold it to the contract.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.samplers
import numpy
import pytest
import torch
from comfy_api.latest import io
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from image_mixer.mixing.errors import InputError, MixError
from image_mixer.mixing.mix import Ingredient, Mix, Region
from image_mixer.tests.support import local_engine, methods
from image_mixer.tests.support.methods import Scene

ROOT = Path(__file__).resolve().parents[2]
NEAR = 1e-4
DIFFERENT = 1e-3
"""Latents that differ by more than this at some number are different pictures."""

ROWS = ((1.0, 0.4, 0.0), (0.0, 0.7, 1.5), (0.3, 0.9, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
WIDER = Region("ones", torch.ones(20, 30))
CASES = methods.cases(local_engine.method_names())
on_more_scenes = pytest.mark.parametrize(
    "scene", methods.cases(local_engine.method_names(), more=True), ids=": ".join, indirect=True
)


@pytest.fixture(scope="module", params=CASES, ids=": ".join)
def scene(request: pytest.FixtureRequest, micro_models: Any, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return methods.made(request.param, micro_models, tmp_path_factory.mktemp("scene"))


def near(one: torch.Tensor, other: torch.Tensor, by: float = NEAR) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=by, rtol=0)


def different(one: torch.Tensor, other: torch.Tensor, by: float = DIFFERENT) -> bool:
    return not torch.allclose(one, other, atol=by, rtol=0)


def left_half(scene: Scene) -> torch.Tensor:
    """A mask of the latent's size, white in its left half."""
    mask = torch.zeros(8, scene.columns)
    mask[:, : scene.columns // 2] = 1.0
    return mask


# That every method is tried


@pytest.mark.parametrize("method", local_engine.method_names())
def test_every_method_has_a_scene(method: str) -> None:
    assert not methods.missing([method]), f"method {method} has no scene: add one to SCENES in tests/support/methods.py"


@pytest.mark.parametrize("method", local_engine.method_names())
def test_every_method_is_on_the_pages_that_people_read(method: str) -> None:
    for page in ("web/docs/ImageMixerLocal.md", "web/docs/ImageMixerApply.md", "docs/local-models.md", "README.md"):
        assert method in (ROOT / page).read_text(encoding="utf-8"), f"{page} does not say what method {method} is for"


def test_a_method_without_a_scene_is_noticed() -> None:
    assert methods.missing(["redux", "collage"]) == ["collage"]


# Weights


@on_more_scenes
def test_weight_0_is_absence_exactly(scene: Scene) -> None:
    a, b, c = (scene.picture(index) for index in range(3))
    without = scene.run(Mix((a, c), ((0.6, 0.9),)))
    assert torch.equal(scene.run(Mix((a, b, c), ((0.6, 0.0, 0.9),))), without)
    assert torch.equal(scene.run(Mix((b, a, b, c), ((0.0, 0.6, 0.0, 0.9),))), without)


def test_weight_0_is_absence_beside_variants_that_use_the_picture(scene: Scene) -> None:
    a, b, c = (scene.picture(index) for index in range(3))
    rows = scene.run(Mix((a, b, c), ((0.6, 0.0, 0.9), (0.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))))
    assert near(rows[:1], scene.run(Mix((a, c), ((0.6, 0.9),))), scene.batch_tolerance)
    assert near(rows[1:2], scene.run(Mix((b,), ((1.0,),))), scene.batch_tolerance)
    assert near(rows[3:], scene.plain(), scene.batch_tolerance)


def test_an_ingredient_of_weight_0_may_be_anything(scene: Scene) -> None:
    """A text, a URL or a region that the method would refuse costs nothing if its weight is 0."""
    others = (Ingredient("text", "a cat"), Ingredient("url", "https://example.com/a.png"))
    mix = Mix((scene.picture(0), *others), ((1.0, 0.0, 0.0),))
    assert torch.equal(scene.run(mix), scene.run(scene.mix(1.0)))


@on_more_scenes
def test_order_matters_only_if_the_model_is_ordered(scene: Scene) -> None:
    a, b = scene.picture(0), scene.picture(1)
    one, other = scene.run(Mix((a, b), ((0.4, 1.2),))), scene.run(Mix((b, a), ((1.2, 0.4),)))
    assert different(one, other) if scene.ordered else near(one, other)


def test_strength_0_and_weights_of_0_are_the_plain_model_bit_for_bit(scene: Scene) -> None:
    plain, mix = scene.plain(), scene.mix(1.0, 0.5)
    assert torch.equal(scene.run(mix, strength=0.0), plain)
    assert torch.equal(scene.run(scene.mix(0.0, 0.0)), plain)
    assert different(scene.run(mix), plain, 10 * DIFFERENT)
    assert scene.conditioned(mix, strength=0.0)[0] is scene.model
    regional = methods.with_all(scene.mix(1.0), start=0.3, region=Region("left", torch.eye(8)))
    assert torch.equal(scene.run(regional, strength=0.0), plain)


# Batches


def test_a_batch_is_its_items_alone(scene: Scene) -> None:
    rows = ROWS if scene.extra_row is None else (*ROWS, scene.extra_row)
    batch = scene.run(scene.mix(rows=rows), samples=scene.samples)
    assert len(batch) == len(rows) * scene.samples
    for index in range(len(batch)):
        variant, sample = divmod(index, scene.samples)
        alone = scene.run(scene.mix(rows=(rows[variant],)), seed=methods.SEED + sample)
        assert near(batch[index : index + 1], alone, scene.batch_tolerance), index
    first = batch[:: scene.samples]
    assert all(different(first[0], other, 10 * DIFFERENT) for other in first[1:])


# Regions and spans


def test_a_region_of_ones_is_no_region_and_a_span_of_everything_no_span(scene: Scene) -> None:
    first, second = scene.picture(0), scene.picture(1)
    expected = scene.run(Mix((first, second), ((1.0, 0.8),)))
    for same in (replace(second, region=WIDER), replace(second, start=0.0, end=1.0)):
        assert torch.equal(scene.run(Mix((first, same), ((1.0, 0.8),))), expected)


def test_a_region_acts_where_it_is_white_and_adds_exactly_nothing_elsewhere(scene: Scene) -> None:
    """In one step: the black half has no picture there at all, whichever picture it is."""

    def run(mix: Mix) -> torch.Tensor:
        return scene.run(mix, steps=1, guidance=1.0)

    def regional(index: int) -> torch.Tensor:
        there = replace(scene.picture(index), region=Region("left", left_half(scene)))
        return run(Mix((scene.picture(0), there), ((1.0, 1.0),)))

    made, other = regional(1), regional(2)
    half = scene.columns // 2
    inside, outside = run(scene.mix(1.0, 1.0)), run(scene.mix(1.0))
    assert torch.equal(made[..., half:], other[..., half:])
    assert different(made[..., :half], other[..., :half], 10 * DIFFERENT)
    assert near(made[..., :half], inside[..., :half]) and near(made[..., half:], outside[..., half:])
    assert different(inside, outside)


def test_two_regions_are_each_the_run_of_its_picture(scene: Scene) -> None:
    left = left_half(scene)
    sides = (Region("left", left), Region("right", 1.0 - left))
    parts = tuple(replace(scene.picture(index), region=side) for index, side in enumerate(sides))
    made = scene.run(Mix(parts, ((1.0, 1.5),)), steps=1)
    half = scene.columns // 2
    first, second = (scene.run(Mix((scene.picture(i),), ((w,),)), steps=1) for i, w in ((0, 1.0), (1, 1.5)))
    assert near(made[..., :half], first[..., :half]) and near(made[..., half:], second[..., half:])
    assert different(made, first)


def test_a_span_is_absence_outside_it(scene: Scene) -> None:
    first, second = scene.picture(0), scene.picture(1)
    late = Mix((first, replace(second, start=0.99)), ((1.0, 1.0),))
    one_step = {"steps": 1, "guidance": 1.0}
    assert near(scene.run(late, **one_step), scene.run(scene.mix(1.0), **one_step), scene.span_tolerance)
    absent, whole = scene.run(scene.mix(1.0), steps=4), scene.run(scene.mix(1.0, 1.0), steps=4)
    for span in ({"end": 0.5}, {"start": 0.1}):
        made = scene.run(Mix((first, replace(second, **span)), ((1.0, 1.0),)), steps=4)
        assert different(made, absent) and different(made, whole), span


# What is left alone


def test_the_same_pixels_twice_and_global_generators_and_model_untouched(scene: Scene) -> None:
    mix, model, plain = scene.mix(0.5, 0.7), scene.model, scene.plain()
    torch.manual_seed(1), random.seed(2), numpy.random.seed(3)
    states = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
    before = repr(model.model_options), repr(model.wrappers), dict(model.object_patches)
    first = scene.run(mix, samples=scene.samples)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert (numpy.random.get_state()[1] == states[2]).all()
    assert (repr(model.model_options), repr(model.wrappers), model.object_patches) == before
    torch.manual_seed(99)
    assert torch.equal(first, scene.run(mix, samples=scene.samples))
    assert torch.equal(scene.plain(), plain)


def test_other_weights_seeds_and_prompts_run_no_encoder_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run(scene.mix(0.5, 0.5))
    calls = []
    for owner, name in scene.encoders():
        monkeypatch.setattr(owner, name, lambda *_, name=name, **__: calls.append(name))
    scene.run(scene.mix(0.1, 0.9), seed=methods.SEED + 1, prompt="new")
    assert calls == []


# Settings


def values_of(widget: Any, affordable: Mapping[str, list[Any]]) -> st.SearchStrategy[Any]:
    """Values for an input of the node, those that its widget would not let through among them."""
    if widget.id in affordable:
        return st.sampled_from(affordable[widget.id])
    if isinstance(widget, io.Combo.Input):
        return st.sampled_from(list(widget.options)) | st.text(max_size=8)
    if isinstance(widget, io.Boolean.Input):
        return st.booleans()
    inside = {"min_value": widget.min, "max_value": widget.max}
    if isinstance(widget, io.Int.Input):
        return st.integers(**inside) | st.integers()
    return st.floats(**inside) | st.floats()


@hypothesis_settings(
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_settings_end_in_a_run_or_in_one_clear_line(scene: Scene, data: st.DataObject) -> None:
    widgets = local_engine.inputs_of(scene.method)
    drawn = {one.id: data.draw(values_of(one, scene.affordable()), one.id) for one in widgets}
    kept = data.draw(st.sets(st.sampled_from(sorted(drawn))) if drawn else st.just(set()), "settings that are given")
    settings = {**scene.settings, **{name: drawn[name] for name in kept}}
    limits = local_engine.limits_of(scene.method)
    usual = st.floats(limits.smallest_weight, limits.largest_weight)
    weights = data.draw(st.tuples(usual, usual) | st.tuples(st.floats(), st.floats()), "weights")
    strength = data.draw(st.floats(0.0, 1.0) | st.floats(), "strength")
    try:
        made = scene.run(scene.mix(*weights), strength=strength, steps=1, settings=settings)
    except MixError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert len(made) == 1 and bool(made.isfinite().all())


# Limits


def refused(scene: Scene, mix: Mix, line: str, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    """Assert that `mix` gets this line before anything looks at it or is sampled."""
    with monkeypatch.context() as nothing_may_run:
        nothing_may_run.setattr(comfy.samplers.CFGGuider, "sample", lambda *_, **__: pytest.fail("it sampled"))
        for owner, name in scene.encoders():
            nothing_may_run.setattr(owner, name, lambda *_, **__: pytest.fail("an encoder ran"))
        with pytest.raises(InputError) as caught:
            scene.run(mix, **how)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_texts_are_taken_or_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = Mix((scene.picture(8), Ingredient("text", "a rose")), ((1.0, 1.0),))
    if local_engine.limits_of(scene.method).texts:
        assert different(scene.run(mix), scene.run(Mix(mix.ingredients[:1], ((1.0,),))))
    else:
        refused(scene, mix, f"Ingredient 2 is a text, which {scene.method} does not take", monkeypatch)


@pytest.mark.parametrize("what", ["region", "span"])
def test_regions_and_spans_are_taken_or_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    limits = local_engine.limits_of(scene.method)
    change = {"region": Region("left", left_half(scene))} if what == "region" else {"end": 0.5}
    mix = methods.with_all(scene.mix(1.0), **change)
    if limits.regions if what == "region" else limits.spans:
        made = scene.run(mix, steps=4)
        assert different(made, scene.run(scene.mix(1.0), steps=4)) and different(made, scene.plain(steps=4))
    else:
        refused(scene, mix, f"Ingredient 1 has a {what}, which {scene.method} does not support", monkeypatch)


def test_weights_beyond_the_limits_are_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = local_engine.limits_of(scene.method)
    smallest, largest = limits.smallest_weight, limits.largest_weight
    takes = f"{scene.method} takes {smallest:g} to {largest:g}"
    for weight in (largest + 1.0, smallest - 1.0):
        told = f"Ingredient 2 has weight x strength {weight:g}"
        refused(scene, scene.mix(1.0, weight), f"{told}; {takes}", monkeypatch)
        refused(scene, scene.mix(rows=((1.0, 1.0), (1.0, weight))), f"{told} in variant 2; {takes}", monkeypatch)
    refused(scene, scene.mix(largest), f"strength {2 * largest:g}; {takes}", monkeypatch, strength=2.0)
    refused(scene, scene.mix(1.0), f"strength nan; {takes}", monkeypatch, strength=math.nan)
    assert bool(scene.run(scene.mix(largest), steps=1).isfinite().all())


def test_more_ingredients_than_the_limit_are_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    most = local_engine.limits_of(scene.method).ingredients
    if most is None:
        assert bool(scene.run(scene.mix(*[0.5] * 12), steps=1).isfinite().all())
        return
    assert bool(scene.run(scene.mix(*[0.5] * most), steps=1).isfinite().all())
    line = f"{scene.method} takes at most {most} ingredients"
    refused(scene, scene.mix(*[0.5] * (most + 1)), line, monkeypatch)
