"""The recipe: its ranges, its size, its JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import InputError, MixError
from image_mixer.mixing.mix import Ingredient, Mix, Picture, Region
from image_mixer.mixing.recipe import FORMAT, Recipe, size_of, to_json
from image_mixer.mixing.seeds import LARGEST_SEED, MAX_SEED

CONTENTS = {"digest a": "pixels a", "digest b": "pixels b", "digest r": "mask r"}
REGION = Region("digest r", "mask r")
MIX = Mix(
    (
        Ingredient("image", Picture("digest a", "pixels a"), REGION),
        Ingredient("text", "a cat", start=0.25, end=0.75),
        Ingredient("url", "https://example.org/cat.png"),
    ),
    ((1.0, 0.5, 0.0), (-1.0, 0.1, 2.0)),
)
RECIPE = Recipe(MIX, "prompt", "negative", 640, 512, 20, 7.5, 42, 2)

contents = st.sampled_from(["digest a", "digest b"]).map(lambda name: Picture(name, CONTENTS[name]))
spans = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda span: span[0] != span[1]).map(sorted)
texts = st.text(min_size=1).filter(str.strip)
ingredients = st.builds(
    lambda kind, picture, text, region, span: Ingredient(kind, picture if kind == "image" else text, region, *span),
    st.sampled_from(["image", "text", "url"]),
    contents,
    texts,
    st.sampled_from([None, REGION]),
    spans,
)
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    chosen = draw(st.lists(ingredients, max_size=4).map(tuple))
    row = st.lists(finite | st.integers(-3, 3), min_size=len(chosen), max_size=len(chosen)).map(tuple)
    sides = st.integers(1, 512).map(lambda side: 8 * side)
    width, height = draw(st.just((0, 0)) | st.tuples(sides, sides))
    return Recipe(
        Mix(chosen, draw(st.lists(row, min_size=1, max_size=3).map(tuple))),
        draw(st.text()),
        draw(st.text()),
        width,
        height,
        draw(st.integers(1, 999)),
        draw(st.floats(0, 1e9) | st.integers(0, 30)),
        draw(st.integers(-1, LARGEST_SEED)),
        draw(st.integers(1, 64)),
    )


def with_first(**changes: Any) -> Mix:
    """MIX with another first ingredient."""
    return Mix((replace(MIX.ingredients[0], **changes), *MIX.ingredients[1:]), MIX.weights)


@given(recipes())
def test_the_json_says_everything_about_a_recipe(recipe: Recipe) -> None:
    fields = json.loads(to_json(recipe))
    assert fields.pop("format") == FORMAT
    assert tuple(tuple(row) for row in fields.pop("weights")) == recipe.mix.weights
    listed = fields.pop("ingredients")
    assert len(listed) == len(recipe.mix.ingredients)
    for written, ingredient in zip(listed, recipe.mix.ingredients, strict=True):
        is_picture = isinstance(ingredient.content, Picture)
        assert written == {
            "kind": ingredient.kind,
            "content": ingredient.content.digest if is_picture else ingredient.content,
            "region": ingredient.region and ingredient.region.digest,
            "start": ingredient.start,
            "end": ingredient.end,
        }
    assert fields == {name: getattr(recipe, name) for name in fields}
    assert sorted([*fields, "mix"]) == sorted(field.name for field in dataclasses.fields(Recipe))


@given(recipes(), recipes())
def test_only_equal_recipes_have_equal_json(left: Recipe, right: Recipe) -> None:
    for one, other in ((left, right), (left, replace(right, mix=left.mix)), (left, replace(left))):
        equal = one == other
        assert (to_json(one) == to_json(other), one.digest == other.digest) == (equal, equal)
        assert hash(one) == hash(other) or not equal


def test_the_json_is_canonical_and_holds_no_pixels() -> None:
    text = to_json(RECIPE)
    assert json.loads(text)["format"] == FORMAT
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert "pixels" not in text
    assert "mask" not in text


def test_the_json_and_the_digest_stay_the_same_in_every_version() -> None:
    # What is kept on disk under a digest must be found again.
    text = (
        '{"format":"image-mixer-recipe/1","guidance_scale":7.5,"height":512,"ingredients":['
        '{"content":"digest a","end":1.0,"kind":"image","region":"digest r","start":0.0},'
        '{"content":"a cat","end":0.75,"kind":"text","region":null,"start":0.25},'
        '{"content":"https://example.org/cat.png","end":1.0,"kind":"url","region":null,"start":0.0}],'
        '"negative_prompt":"negative","prompt":"prompt","samples":2,"seed":42,"steps":20,'
        '"weights":[[1.0,0.5,0.0],[-1.0,0.1,2.0]],"width":640}'
    )
    assert to_json(RECIPE) == text
    assert RECIPE.digest == hashlib.sha256(text.encode()).hexdigest()


def test_equal_recipes_have_equal_digests() -> None:
    plain = replace(RECIPE, mix=MIX.reweighted(((1.0, 0.5, 0.0),)), guidance_scale=3.0)
    other = replace(RECIPE, mix=MIX.reweighted(((1, 0.5, -0.0),)), guidance_scale=3)
    assert plain == other
    assert plain.digest == other.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "other"},
        {"negative_prompt": "other"},
        {"width": 512},
        {"height": 640},
        {"steps": 21},
        {"guidance_scale": 7.0},
        {"seed": 43},
        {"samples": 3},
        {"mix": MIX.reweighted(((1.0, 0.5, 0.0),))},
        {"mix": Mix(MIX.ingredients[::-1], MIX.weights)},
        {"mix": with_first(content=Picture("digest b", None))},
        {"mix": with_first(region=None)},
        {"mix": with_first(start=0.5)},
        {"mix": with_first(end=0.5)},
    ],
)
def test_every_change_changes_the_digest(changes: dict[str, Any]) -> None:
    assert replace(RECIPE, **changes).digest != RECIPE.digest


def test_a_digest_ignores_pixels_and_survives_half_a_surrogate_pair() -> None:
    moved = with_first(content=Picture("digest a", "elsewhere"))
    assert replace(RECIPE, mix=moved).digest == RECIPE.digest
    assert len(replace(RECIPE, prompt="\ud83d").digest) == 64


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"width": 100}, "width .* not 100"),
        ({"height": -8}, "height .* not -8"),
        ({"width": 0}, "not 0 x 512"),
        ({"steps": 0}, "Steps .* not 0"),
        ({"samples": 0}, "Samples .* not 0"),
        ({"prompt": "a" * 20_001}, "The prompt has 20001 characters"),
        ({"negative_prompt": "a" * 20_001}, "The negative prompt has 20001"),
        ({"width": 8200}, "up to 8192, not 8200"),
        ({"steps": 1001}, "from 1 to 1000, not 1001"),
        ({"samples": MAX_SEED}, "from 1 to 64, not 9007199254740991"),
        ({"guidance_scale": -1.0}, "guidance scale .* not -1"),
        ({"guidance_scale": float("nan")}, "not nan"),
        ({"guidance_scale": float("inf")}, "not inf"),
        ({"seed": -2}, "not -2"),
        ({"seed": LARGEST_SEED + 1}, "not 9223372036854775808"),
    ],
)
def test_a_recipe_refuses_what_is_out_of_range(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        replace(RECIPE, **changes)


@pytest.mark.parametrize(
    ("first", "size"),
    [
        ((512, 512), (512, 512)),
        ((500, 300), (496, 304)),
        ((4000, 3000), (1024, 768)),
        ((100, 50), (512, 256)),
        ((10, 10), (256, 256)),
        ((5000, 1), (1024, 256)),
        ((1, 5000), (256, 1024)),
        ((1024, 256), (1024, 256)),
    ],
)
def test_size_zero_takes_the_first_images(first: tuple[int, int], size: tuple[int, int]) -> None:
    assert size_of(Recipe(Mix(), width=0, height=0), first) == size


@given(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)))
def test_taken_sizes_lie_in_range(first: tuple[int, int]) -> None:
    for side in size_of(Recipe(Mix(), width=0, height=0), first):
        assert 256 <= side <= 1024
        assert side % 8 == 0


def test_a_given_size_stands_and_none_is_refused() -> None:
    assert size_of(RECIPE, (10, 10)) == size_of(RECIPE, None) == (640, 512)
    with pytest.raises(InputError, match="no image"):
        size_of(Recipe(Mix(), width=0, height=0), None)


@given(
    st.sampled_from(["width", "height", "steps", "seed", "samples"]),
    st.integers() | st.just(10**400) | st.just(-(10**400)),
)
def test_any_number_makes_a_recipe_or_an_error_of_one_line(name: str, number: int) -> None:
    only_mix_errors(lambda: replace(RECIPE, **{name: number}))


@given(st.floats())
def test_any_guidance_scale_makes_a_recipe_or_an_error_of_one_line(scale: float) -> None:
    only_mix_errors(lambda: replace(RECIPE, guidance_scale=scale))


def only_mix_errors(make: Callable[[], Recipe]) -> None:
    try:
        recipe = make()
    except MixError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(recipe.digest) == 64


@pytest.mark.parametrize("weight", [float("inf"), float("nan"), 10**400])
def test_a_recipe_of_weights_that_are_not_finite_cannot_be_made(weight: float) -> None:
    with pytest.raises(MixError):
        replace(RECIPE, mix=MIX.reweighted(((weight, 1.0, 1.0),)))
