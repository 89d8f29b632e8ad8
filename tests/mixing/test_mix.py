"""Ingredients, mixes, and what the pure modules may import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import InputError, MixError, WeightsError
from image_mixer.mixing.mix import MAX_TEXT, Ingredient, Mix, Picture, Region, mixed
from image_mixer.mixing.weights import Matrix

ROOT = Path(__file__).resolve().parents[2]


def image(name: str, **options: Any) -> Ingredient:
    return Ingredient("image", Picture(name, None), **options)


A, B, C = image("a"), image("b"), image("c")


@pytest.mark.parametrize("module", ["errors", "weights", "sweeps", "seeds", "mix", "recipe", "report"])
def test_the_pure_modules_import_neither_torch_nor_pillow(module: str) -> None:
    script = (
        "import sys, types\n"
        "alias = types.ModuleType('image_mixer')\n"
        "alias.__path__ = [sys.argv[1]]\n"
        "sys.modules['image_mixer'] = alias\n"
        f"import image_mixer.mixing.{module} as module\n"
        "assert module.__file__.startswith(sys.argv[1]), module.__file__\n"
        "print(sorted({'torch', 'PIL', 'numpy'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(ROOT)], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_a_message_is_one_line() -> None:
    assert str(MixError("two\nlines,\r\n  and\ta tab")) == "two lines, and a tab"


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        (0.5, 0.5, "0.5 to 0.5"),
        (0.6, 0.4, "0.6 to 0.4"),
        (-0.1, 1.0, "-0.1 to 1"),
        (0.0, 1.1, "0 to 1.1"),
        (float("nan"), 1.0, "nan to 1"),
    ],
)
def test_a_span_must_lie_in_order_between_0_and_1(start: float, end: float, named: str) -> None:
    with pytest.raises(InputError, match=named):
        image("a", start=start, end=end)


@pytest.mark.parametrize(("kind", "content"), [("text", ""), ("text", " \n"), ("url", "")])
def test_a_blank_text_is_refused(kind: Any, content: str) -> None:
    with pytest.raises(InputError, match=f"{kind} ingredient is empty"):
        Ingredient(kind, content)


@pytest.mark.parametrize("kind", ["text", "url"])
def test_a_text_without_end_is_refused(kind: Any) -> None:
    Ingredient(kind, "a" * MAX_TEXT)
    with pytest.raises(InputError, match=f"{kind} ingredient has {MAX_TEXT + 1} characters: shorten it to {MAX_TEXT}"):
        Ingredient(kind, "a" * (MAX_TEXT + 1))


def test_a_digest_is_that_of_the_content() -> None:
    region = Region("r", None)
    assert A.digest == "a" == image("a", region=region, start=0.5).digest
    assert Ingredient("text", "cat").digest != Ingredient("url", "cat").digest
    assert Ingredient("text", "cat").digest == Ingredient("text", "cat", region).digest
    assert len(Ingredient("text", "half a pair: \ud83d").digest) == 64


def test_pictures_and_regions_compare_and_hash_by_digest() -> None:
    assert Picture("a", 1) == Picture("a", 2) != Picture("b", 1)
    assert Region("a", 1) == Region("a", 2) != Region("b", 1)
    assert len({Picture("a", [1]), Picture("a", [2]), Picture("b", [1])}) == 2
    assert len({Region("a", [1]), Region("a", [2]), Region("b", [1])}) == 2
    assert "secret" not in repr(Picture("a", "secret")) + repr(Region("a", "secret"))


def test_ingredients_and_mixes_are_hashable_and_frozen() -> None:
    mix = Mix((A, B), ((1.0, 0.5),))
    assert len({mix, Mix((image("a"), B), ((1.0, 0.5),)), Mix((B, A), ((1.0, 0.5),))}) == 2
    with pytest.raises(FrozenInstanceError):
        mix.weights = ((0.0, 0.0),)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ((), "no row"),
        (((1.0,),), "Row 1 of the weights has 1 numbers for 2 ingredients"),
        (((1.0, 1.0), (1.0, 1.0, 1.0)), "Row 2 of the weights has 3 numbers for 2 ingredients"),
        (((1.0, float("nan")),), "nan"),
        (((1.0, 1.0), (float("-inf"), 1.0)), "Row 2 .* -inf"),
    ],
)
def test_a_mix_refuses_weights_that_do_not_fit(weights: Matrix, named: str) -> None:
    with pytest.raises(WeightsError, match=named):
        Mix((A, B), weights)
    with pytest.raises(WeightsError, match=named):
        Mix((A, B), ((1.0, 1.0),)).reweighted(weights)


def test_the_empty_mix_takes_ingredients() -> None:
    mix = Mix().appended((A,), ((0.5,),)).appended((B, C), ((1.0, 2.0), (3.0, 4.0)))
    assert mix == Mix((A, B, C), ((0.5, 1.0, 2.0), (0.5, 3.0, 4.0)))
    assert (Mix().variants, mix.variants) == (1, 2)


def test_appended_refuses_other_row_counts() -> None:
    with pytest.raises(WeightsError, match="2 variants"):
        Mix((A,), ((1.0,), (2.0,))).appended((B,), ((1.0,), (2.0,), (3.0,)))


def test_used_leaves_out_what_is_zero_in_every_variant() -> None:
    mix = Mix((A, B, C), ((0.0, 0.0, 1.0), (0.5, 0.0, 0.0)))
    assert mix.used() == Mix((A, C), ((0.0, 1.0), (0.5, 0.0)))
    assert Mix((A,), ((0.0,),)).used() == Mix()


weights_of_three = st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 1.0, -2.0])] * 3), min_size=1, max_size=3)


@given(weights_of_three, st.permutations(range(3)))
def test_used_goes_with_the_order_and_settles(rows: list[tuple[float, ...]], order: list[int]) -> None:
    ingredients = (A, B, C)
    used = Mix(ingredients, tuple(rows)).used()
    shuffled = Mix(tuple(ingredients[k] for k in order), tuple(tuple(row[k] for k in order) for row in rows)).used()
    assert used.used() == used
    columns = {i: tuple(row[k] for row in used.weights) for k, i in enumerate(used.ingredients)}
    assert columns == {i: tuple(row[k] for row in shuffled.weights) for k, i in enumerate(shuffled.ingredients)}
    assert set(columns) == {i for k, i in enumerate(ingredients) if any(row[k] for row in rows)}


@pytest.mark.parametrize(
    ("pad", "weights", "matrix"),
    [
        ("0.5, 0.7", None, ((0.5, 0.5, 0.7),)),
        ("0.5", None, ((0.5, 0.5, 1.0),)),
        ("", None, ((1.0, 1.0, 1.0),)),
        ("9, 9", ((0.1, 0.2), (0.3, 0.4)), ((0.1, 0.1, 0.2), (0.3, 0.3, 0.4))),
    ],
)
def test_mixed_gives_each_image_of_a_batch_its_sockets_weight(pad: str, weights: Matrix | None, matrix: Matrix) -> None:
    assert mixed([(A, B), (C,)], pad, weights) == Mix((A, B, C), matrix)


def test_mixed_keeps_the_weights_of_the_mix_before() -> None:
    before = Mix((C,), ((0.25,),))
    assert mixed([(A,)], "", ((0.0,), (1.0,)), before) == Mix((C, A), ((0.25, 0.0), (0.25, 1.0)))


def test_mixed_counts_sockets() -> None:
    with pytest.raises(WeightsError, match="3 numbers for 2"):
        mixed([(A, B), (C,)], "1,2,3")
    with pytest.raises(WeightsError, match="3 weights for 2"):
        mixed([(A, B), (C,)], "", ((1.0, 2.0, 3.0),))
