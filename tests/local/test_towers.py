"""Encoding: preparation of pictures, the projected text, the check for its projection, and reuse from the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.sd
import micro
import pytest
import random_model
import torch
from image_mixer.local.encoders import Encoders, encode
from image_mixer.mixing import images
from image_mixer.mixing.errors import EngineError, InputError
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.tests.support.pictures import picture
from safetensors.torch import save_file


def one(ingredient: Ingredient) -> Mix:
    return Mix((ingredient,), ((1.0,),))


def test_a_vector_is_cores_projected_embedding(micro_models: Any) -> None:
    square = picture(1)
    vector = encode(one(square), Encoders(micro_models.clip_vision), "centre crop").vectors[0]
    core = micro_models.clip_vision.encode_image(square.content.pixels)["image_embeds"][0]
    assert torch.equal(vector, core)
    assert vector.shape == (768,) and vector.dtype == torch.float32


def test_preparations_differ_for_long_pictures_only(micro_models: Any) -> None:
    def vector(ingredient: Ingredient, how: str) -> torch.Tensor:
        return encode(one(ingredient), Encoders(micro_models.clip_vision), how).vectors[0]

    for how in images.PREPARATIONS[1:]:
        assert torch.allclose(vector(picture(2), how), vector(picture(2), "centre crop"), atol=1e-5)
        assert not torch.allclose(
            vector(picture(2, 60, 150), how), vector(picture(2, 60, 150), "centre crop"), atol=1e-3
        )


def test_text_is_the_projected_pooled_embedding(micro_models: Any) -> None:
    clip = micro_models.clip
    vector = encode(one(Ingredient("text", "a red cat")), Encoders(clip=clip), "centre crop").vectors[0]
    inner = clip.cond_stage_model.clip_l
    clip.cond_stage_model.reset_clip_options()
    pooled = inner.encode_token_weights(clip.tokenize("a red cat")["l"])[1]
    inner.set_clip_options({"projected_pooled": True})
    projected = inner.encode_token_weights(clip.tokenize("a red cat")["l"])[1]
    clip.cond_stage_model.reset_clip_options()
    assert torch.equal(vector, projected[0])
    assert not torch.allclose(vector, pooled[0], atol=1e-2)
    again = clip.encode_from_tokens(clip.tokenize("a red cat"), return_pooled=True)[1]
    assert torch.equal(again, pooled), "the clip's options were not put back"


def write_text_tower(path: Path, projection: bool) -> None:
    state = random_model.random_state(micro.text_tower(9).cond_stage_model.clip_l.transformer, 9)
    layers = {key: value for key, value in state.items() if projection or not key.startswith("text_projection")}
    save_file({key: value.contiguous() for key, value in layers.items()}, str(path))


def test_a_file_without_projection_is_refused(tmp_path: Path) -> None:
    for projection in (True, False):
        path = tmp_path / f"clip_{projection}.safetensors"
        write_text_tower(path, projection)
        clip = micro.text_tower(9)
        clip.patcher.cached_patcher_init = (comfy.sd.load_clip, ([str(path)],))
        if projection:
            encode(one(Ingredient("text", "a cat")), Encoders(clip=clip), "centre crop")
        else:
            with pytest.raises(EngineError, match=r"clip_False\.safetensors does not have one") as caught:
                encode(one(Ingredient("text", "a cat")), Encoders(clip=clip), "centre crop")
            assert caught.value.cause == "no tower"


@pytest.mark.parametrize("numbers", [0.0, float("nan"), 5244.0])
def test_a_projection_of_no_file_is_judged_by_its_numbers(numbers: float) -> None:
    clip = micro.text_tower(9)
    weight = clip.cond_stage_model.clip_l.transformer.text_projection.weight
    weight.copy_(torch.randn(weight.shape) * numbers)
    with pytest.raises(EngineError, match="text projection"):
        encode(one(Ingredient("text", "a cat")), Encoders(clip=clip), "centre crop")


def test_a_missing_tower_is_named_before_any_runs(micro_models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(micro_models.clip_vision), "encode_image", lambda *a: pytest.fail("a tower ran"))
    both = Mix((picture(77), Ingredient("text", "a cat")), ((1.0, 1.0),))
    with pytest.raises(EngineError, match="connect clip "):
        encode(both, Encoders(micro_models.clip_vision), "centre crop")
    with pytest.raises(EngineError, match="connect clip_vision"):
        encode(both, Encoders(clip=micro_models.clip), "centre crop")
    with pytest.raises(InputError, match="does not fetch"):
        encode(one(Ingredient("url", "https://example.com/a.png")), Encoders(), "centre crop")


def test_vectors_are_kept_and_given_back() -> None:
    tower, calls = micro.vision_tower(6), []
    encode_image = tower.encode_image
    tower.encode_image = lambda *a, **k: (calls.append(1), encode_image(*a, **k))[1]
    first = encode(Mix((picture(1), picture(2)), ((1.0, 1.0),)), Encoders(tower), "centre crop")
    again = encode(Mix((picture(2), picture(1)), ((0.1, 0.3),)), Encoders(tower), "centre crop")
    assert len(calls) == 2
    assert torch.equal(first.vectors[0], again.vectors[1])
    encode(one(picture(1)), Encoders(tower), "pad")
    assert len(calls) == 3, "another preparation is another vector"


def test_a_patched_tower_is_another_tower() -> None:
    tower = micro.vision_tower(6)
    before = encode(one(picture(1)), Encoders(tower), "centre crop").vectors[0]
    weight = tower.model.visual_projection.weight
    tower.patcher.add_patches({"visual_projection.weight": (torch.ones_like(weight),)}, 1.0)
    after = encode(one(picture(1)), Encoders(tower), "centre crop").vectors[0]
    assert not torch.allclose(before, after)
