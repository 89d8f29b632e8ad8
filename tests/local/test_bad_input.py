"""Bad input raises one of the pack's own errors, in one line, before anything is sampled."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import micro
import pytest
import random_model
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_mixer.local import checkpoint, embeds_file, engine, sampling
from image_mixer.local.methods import choose
from image_mixer.local.methods.base import check_mix
from image_mixer.local.methods.image_mixer import IMAGE_MIXER
from image_mixer.mixing import images
from image_mixer.mixing.errors import EngineError, InputError, MixError
from image_mixer.mixing.mix import Ingredient, Mix, Region
from image_mixer.mixing.recipe import Recipe
from image_mixer.tests.support.mixes import mix_of
from image_mixer.tests.support.pictures import picture
from safetensors.torch import save_file


def models_of(made: micro.MicroModels, **changes: Any) -> engine.Models:
    return engine.Models(
        **{"model": made.model, "vae": made.vae, "clip": made.clip, "clip_vision": made.clip_vision, **changes}
    )


CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ("no ingredient", {"mix": Mix()}, {}, {}, "no ingredient: connect at least one image"),
    (
        "six ingredients",
        {"mix": mix_of(1, 1, 1, 1, 1, 1)},
        {},
        {},
        "at most 5 ingredients, the prompt counted; the mix has 6",
    ),
    ("five and a prompt", {"mix": mix_of(1, 1, 1, 1, 1), "prompt": "a"}, {}, {}, "the mix has 6"),
    ("a negative weight", {"mix": mix_of(1, -0.5)}, {}, {}, "Ingredient 2 has weight x strength -0.5"),
    (
        "a weight too large",
        {"mix": mix_of(3, 1)},
        {},
        {"strength": 2.0},
        "weight x strength 6; image mixer takes 0 to 5",
    ),
    ("seed -1", {"seed": -1}, {}, {}, "lets a remote service draw one"),
    ("a URL", {"mix": Mix((Ingredient("url", "https://a.b/c"),), ((1.0,),))}, {}, {}, "does not fetch image URLs"),
    ("no vision tower", {}, {"clip_vision": None}, {}, "connect clip_vision"),
    ("no text tower", {"prompt": "a cat"}, {"clip": None}, {}, "connect clip "),
    ("no text tower for the negative", {"negative_prompt": "fog"}, {"clip": None}, {}, "connect clip "),
    ("an adapter", {}, {"adapter": object()}, {"method": "image mixer"}, "takes no adapter"),
    ("no such method", {}, {}, {"method": "collage"}, "Unknown method 'collage'"),
    (
        "a negative region",
        {},
        {},
        {"negative_mix": Mix((Ingredient("image", picture().content, Region("r", torch.ones(2, 2))),), ((1.0,),))},
        "negative mix has a region",
    ),
    ("negative variants", {}, {}, {"negative_mix": Mix((picture(),), ((1.0,), (0.5,)))}, "2 variants and the mix 1"),
    ("a latent batch", {}, {}, {"latent": {"samples": torch.zeros(3, 4, 8, 8)}}, "a batch of 3 for 1 images"),
]


@pytest.mark.parametrize(("name", "recipe", "models", "options", "line"), CASES, ids=[case[0] for case in CASES])
def test_one_line_before_sampling(
    micro_models: micro.MicroModels,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    recipe: dict[str, Any],
    models: dict[str, Any],
    options: dict[str, Any],
    line: str,
) -> None:
    monkeypatch.setattr(sampling, "sample", lambda *a, **k: pytest.fail("it sampled"))
    with pytest.raises(MixError) as caught:
        engine.generate(
            Recipe(**{"mix": mix_of(1.0), "width": 64, "height": 64, "steps": 2, **recipe}),
            models_of(micro_models, **models),
            engine.Options(**options),
        )
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_of_another_family_is_refused(micro_models: micro.MicroModels) -> None:
    class Flux:
        model_config = SimpleNamespace(unet_config={"image_model": "flux"})

    class SDXL:
        model_config = SimpleNamespace(unet_config={"context_dim": 2048, "adm_in_channels": 2816})

    for family in (Flux, SDXL):
        model = SimpleNamespace(model=family(), get_attachment=lambda key: True)
        with pytest.raises(EngineError, match=f"not {family.__name__}") as caught:
            IMAGE_MIXER.check_model(model, None)
        assert caught.value.cause == "wrong model"


def test_auto_takes_only_a_tagged_model_and_says_what_to_do() -> None:
    untagged = micro.build(tagged=False).model
    with pytest.raises(EngineError, match="Load Image Mixer Checkpoint") as caught:
        choose("auto", untagged, None)
    assert caught.value.cause == "wrong model"
    (warning,) = choose("image mixer", untagged, None).check_model(untagged, None)
    assert "not loaded by Load Image Mixer Checkpoint" in warning


def test_an_untagged_model_chosen_by_hand_is_a_warning_in_the_report() -> None:
    made = micro.build(tagged=False)
    result = engine.generate(
        Recipe(mix_of(1.0), width=64, height=64, steps=1), models_of(made), engine.Options(method="image mixer")
    )
    assert len(result.report.warnings) == 1


def test_the_tag_survives_clones(micro_models: micro.MicroModels) -> None:
    assert choose("auto", micro_models.model.clone(), None) is IMAGE_MIXER


def test_a_wrong_tower_names_the_one_it_needs(micro_models: micro.MicroModels) -> None:
    wide = micro.vision_tower(3, projection_dim=1024)
    with pytest.raises(
        EngineError, match=r"CLIP ViT-L/14 \(768 numbers\).* makes 1024, as CLIP ViT-H/14 does"
    ) as caught:
        engine.generate(
            Recipe(mix_of(1.0), width=64, height=64, steps=1),
            models_of(micro_models, clip_vision=wide),
            engine.Options(),
        )
    assert caught.value.cause == "no tower"


def test_images_and_texts_of_different_towers(micro_models: micro.MicroModels) -> None:
    wide = micro.vision_tower(3, projection_dim=1024)
    with pytest.raises(InputError, match="768 and 1024"):
        engine.generate(
            Recipe(mix_of(1.0), prompt="a cat", width=64, height=64, steps=1),
            models_of(micro_models, clip_vision=wide),
            engine.Options(),
        )


def test_a_region_of_another_size_is_resized(micro_models: micro.MicroModels) -> None:
    left, right = torch.zeros(11, 7), torch.ones(300, 9)
    regional = (
        Ingredient("image", picture(0).content, Region("l", left + 1)),
        Ingredient("image", picture(1).content, Region("r", right)),
    )
    made = engine.generate(
        Recipe(Mix(regional, ((1.0, 0.5),)), width=64, height=64, steps=1), models_of(micro_models), engine.Options()
    )
    plain = engine.generate(
        Recipe(mix_of(1.0, 0.5), width=64, height=64, steps=1), models_of(micro_models), engine.Options()
    )
    assert torch.equal(made.latents, plain.latents)


def test_weights_given_to_apply_must_match(micro_models: micro.MicroModels) -> None:
    embeddings = engine.embed_all(mix_of(1.0, 1.0), engine.Encoders(micro_models.clip_vision))
    with pytest.raises(InputError, match="3 numbers for 2 ingredients"):
        engine.apply(engine.Target(micro_models.model), embeddings, weights=((1.0, 1.0, 1.0),))


def test_nan_never_passes() -> None:
    with pytest.raises(InputError):
        check_mix(IMAGE_MIXER, Mix((picture(),), ((float("nan"),),)), 1.0)


# Files


def embeddings_of(micro_models: micro.MicroModels) -> Any:
    region = Ingredient("image", picture(1).content, images.region(torch.eye(4)), 0.25, 0.75)
    return engine.embed_all(
        Mix((picture(0), region), ((1.0, 0.5), (0.2, 0.8))),
        engine.Encoders(micro_models.clip_vision),
        negative_mix=mix_of(0.5),
    )


def test_embeddings_come_back_as_they_went(micro_models: micro.MicroModels, tmp_path: Path) -> None:
    saved = embeddings_of(micro_models)
    embeds_file.save(saved, tmp_path / "a.safetensors")
    loaded = embeds_file.load(tmp_path / "a.safetensors")
    assert loaded.mix.weights == saved.mix.weights
    assert [i.digest for i in loaded.mix.ingredients] == [i.digest for i in saved.mix.ingredients]
    assert loaded.mix.ingredients[1].region == saved.mix.ingredients[1].region
    assert (loaded.mix.ingredients[1].start, loaded.mix.ingredients[1].end) == (0.25, 0.75)
    assert all(torch.equal(a, b) for a, b in zip(loaded.vectors, saved.vectors, strict=True))
    assert torch.equal(loaded.negative.vectors[0], saved.negative.vectors[0])
    assert torch.equal(loaded.blank().penultimate, saved.blank().penultimate)
    one = engine.apply(engine.Target(micro_models.model), saved)[1]
    two = engine.apply(engine.Target(micro_models.model), loaded)[1]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, two, strict=True))


def test_no_pixels_in_the_embeddings_file(micro_models: micro.MicroModels, tmp_path: Path) -> None:
    saved = embeddings_of(micro_models)
    embeds_file.save(saved, tmp_path / "a.safetensors")
    assert saved.negative is not None and saved.blank is not None
    made = sum(one.nbytes for one in (*saved.encoded, *saved.negative.encoded, saved.blank()))
    assert (tmp_path / "a.safetensors").stat().st_size < made + 4096


def test_embeddings_that_are_not_safetensors(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="not a safetensors file"):
        embeds_file.load(tmp_path / "a.safetensors")
    save_file({"a": torch.zeros(1)}, str(tmp_path / "b.safetensors"))
    with pytest.raises(InputError, match="not an embeddings file of Save Embeds"):
        embeds_file.load(tmp_path / "b.safetensors")


def test_embeddings_of_another_tower(micro_models: micro.MicroModels, tmp_path: Path) -> None:
    wide = micro.vision_tower(3, projection_dim=1024)
    embeds_file.save(engine.embed_all(mix_of(1.0), engine.Encoders(wide)), tmp_path / "a.safetensors")
    with pytest.raises(EngineError, match="CLIP ViT-H/14"):
        engine.apply(engine.Target(micro_models.model), embeds_file.load(tmp_path / "a.safetensors"))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["mix", "negative", "ingredients", "weights", "kind", "digest", "start", "end"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=JSON, flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4))
def test_hostile_embeddings_files_end_in_the_packs_own_errors(
    tmp_path: Path, parts: Any, flips: list[tuple[int, int]]
) -> None:
    path = tmp_path / "hostile.safetensors"
    described = parts if isinstance(parts, dict) else {"mix": parts}
    save_file(
        {"mix.vector.0": torch.ones(4), "mix.region.0": torch.ones(2)},
        str(path),
        metadata={"format": embeds_file.FORMAT, "parts": json.dumps(described)},
    )
    data = bytearray(path.read_bytes())
    for place, value in flips:
        data[place % len(data)] = value
    path.write_bytes(bytes(data))
    try:
        embeds_file.load(path)
    except MixError as error:
        assert "\n" not in str(error)


def test_a_checkpoint_gives_model_vae_and_its_own_tower(tmp_path: Path) -> None:
    micro.register()
    micro.write_checkpoint(tmp_path / "mixer.ckpt")
    model, vae, clip_vision = checkpoint.load_image_mixer(str(tmp_path / "mixer.ckpt"))
    assert model.get_attachment("image_mixer") and choose("auto", model, None) is IMAGE_MIXER
    made = engine.generate(
        Recipe(mix_of(1.0, 0.5), width=64, height=64, steps=1),
        engine.Models(model, vae, None, clip_vision),
        engine.Options(),
    )
    assert made.images.shape == (1, 64, 64, 3)
    assert clip_vision.config["num_hidden_layers"] == 24
    expected = random_model.open_clip_visual("")["proj"]
    assert torch.equal(clip_vision.model.visual_projection.weight.float(), expected.T)
    reload, arguments, place = model.cached_patcher_init
    again = reload(*arguments)[place]
    assert torch.equal(again.model.diffusion_model.out[2].weight, model.model.diffusion_model.out[2].weight)


@pytest.mark.parametrize("content", ["junk", "empty", "truncated", "no tower", "no denoiser", "half a tower", "a list"])
def test_bad_checkpoints_get_one_line(tmp_path: Path, content: str) -> None:
    micro.register()
    path = tmp_path / "bad.ckpt"
    if content == "no tower":
        micro.write_checkpoint(path, visual=False)
    elif content == "no denoiser":
        torch.save({"state_dict": {"cond_stage_model.model.visual.proj": torch.zeros(2, 2)}}, path)
    elif content == "half a tower":
        state = {f"model.diffusion_model.{key}": value for key, value in micro.unet_state().items()}
        torch.save({"state_dict": {**state, "cond_stage_model.model.visual.proj": torch.zeros(2, 2)}}, path)
    elif content == "a list":
        torch.save([torch.zeros(2)], path)
    else:
        micro.write_checkpoint(path, visual=False)
        data = {"junk": b"\x80\x04junk" * 50, "empty": b"", "truncated": path.read_bytes()[:9000]}[content]
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        checkpoint.load_image_mixer(str(path))
    assert "\n" not in str(caught.value) and "bad.ckpt" in str(caught.value)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    torch.save({"state_dict": Evil()}, tmp_path / "evil2.ckpt")
    for name in ("evil.ckpt", "evil2.ckpt"):
        with pytest.raises(InputError):
            checkpoint.load_image_mixer(str(tmp_path / name))
    assert not (tmp_path / "ran").exists()
