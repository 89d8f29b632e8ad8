"""Prompts as text conditioning: which text and pictures a text encoder receives, and what is cached."""

from __future__ import annotations

from typing import Any

import edit_models
import pytest
import torch
from comfy.text_encoders.qwen_image import QwenImageTokenizer
from comfy_extras.nodes_qwen import TextEncodeQwenImageEditPlus
from image_mixer.local import engine, prompts
from image_mixer.mixing.mix import Ingredient, Mix, Picture
from image_mixer.mixing.recipe import Recipe
from image_mixer.tests.support.pictures import picture


class SeeingCLIP(edit_models.MicroCLIP):
    """Qwen-Image-Edit's own tokenizer, and an encoder that returns its input."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = QwenImageTokenizer()

    def tokenize(self, text: str, **given: Any) -> Any:
        return self.tokenizer.tokenize_with_weights(text, **given)

    def encode_from_tokens_scheduled(self, tokens: Any) -> Any:
        self.calls += 1
        self.asked = tokens
        return [[torch.full((1, 7, edit_models.TEXT), float(self.calls)), {"pooled_output": None}]]


@pytest.fixture(scope="module")
def seeing() -> SeeingCLIP:
    return SeeingCLIP()


def content(seed: int, height: int = 40) -> Picture:
    made: Picture = picture(seed, height, 64).content
    return made


def same(one: Any, other: Any) -> bool:
    """Return whether two lists of tokens, which may contain pictures, are equal."""
    if torch.is_tensor(one):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pictures_are_shown_as_cores_node_shows_them(seeing: SeeingCLIP, count: int) -> None:
    pictures = [content(seed, 40 + 8 * seed) for seed in range(count)]
    given = {f"image{number}": shown.pixels for number, shown in enumerate(pictures, 1)}
    TextEncodeQwenImageEditPlus.execute(seeing, "make it {warm}", **given)
    core = seeing.asked
    prompts.conditioning_of(seeing, "make it {warm}", pictures)
    assert same(seeing.asked, core)


def test_more_than_three_pictures_are_shown(seeing: SeeingCLIP) -> None:
    prompts.conditioning_of(seeing, "x", [content(seed) for seed in range(5)])
    seen = [token for row in seeing.asked["qwen25_7b"] for token, *_ in row if isinstance(token, dict)]
    assert len(seen) == 5


def test_other_towers_get_the_text_alone() -> None:
    clip = edit_models.MicroCLIP()
    with_picture = prompts.conditioning_of(clip, "a cat", [content(0)])
    assert torch.equal(with_picture[0][0], prompts.conditioning_of(clip, "a cat")[0][0])
    assert clip.calls == 1


def test_conditioning_is_kept_by_text_pictures_and_tower(seeing: SeeingCLIP) -> None:
    first = prompts.conditioning_of(seeing, "kept", [content(0), content(1)])
    before = seeing.calls
    again = prompts.conditioning_of(seeing, "kept", [content(0), content(1)])
    assert seeing.calls == before and torch.equal(first[0][0], again[0][0])
    again[0][1]["more"] = 1
    assert "more" not in prompts.conditioning_of(seeing, "kept", [content(0), content(1)])[0][1]
    for text, shown in (("other", [content(0), content(1)]), ("kept", [content(1), content(0)]), ("kept", [])):
        before = seeing.calls
        prompts.conditioning_of(seeing, text, shown)
        assert seeing.calls == before + 1, (text, len(shown))
    seeing.layer_idx = -2
    prompts.conditioning_of(seeing, "kept", [content(0), content(1)])
    seeing.layer_idx = None
    assert seeing.calls == before + 2, "another layer is another conditioning"


def test_scheduled_conditioning_is_not_kept() -> None:
    clip = edit_models.MicroCLIP()
    clip.use_clip_schedule = True
    prompts.conditioning_of(clip, "a"), prompts.conditioning_of(clip, "a")
    assert clip.calls == 2


def test_local_shows_each_variant_its_own_pictures(seeing: SeeingCLIP) -> None:
    pictures = tuple(Ingredient("image", content(seed)) for seed in range(40, 43))
    model, vae = edit_models.build("qwen_image"), edit_models.MicroVAE(video=True)
    models = engine.Models(model, vae, seeing)
    recipe = Recipe(
        Mix(pictures, ((1.0, 0.5, 0.0), (0.2, 1.0, 0.0), (0.0, 0.0, 1.0))), "a", width=64, height=64, steps=1, seed=1
    )

    def shown(settings: dict[str, Any]) -> list[int]:
        counts: list[int] = []
        tokens = prompts._tokens
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prompts, "_tokens", lambda c, t, seen: (counts.append(len(seen)), tokens(c, t, seen))[1])
            engine.generate(recipe, models, engine.Options(settings={"megapixels": 0.05, **settings}))
        return counts

    assert shown({}) == [2, 2, 1, 1], "prompt and negative prompt, for each set of pictures once"
    assert shown({}) == [], "kept"
    assert shown({"pictures_in_prompt": False}) == [0, 0]
