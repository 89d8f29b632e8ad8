"""Method unclip on micro SD2.1-unCLIP l and h and SDXL: its noise, its negative mix, and what it refuses.

test_methods.py tries what every method promises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import micro
import micro_unclip
import pytest
import torch
from image_mixer.local import batches, engine, sampling
from image_mixer.local.methods import choose
from image_mixer.local.methods.unclip import AVERAGE, COMBINES, SPHERICAL, UNCLIP
from image_mixer.mixing.errors import EngineError, InputError, MixError
from image_mixer.mixing.mix import Mix, Region
from image_mixer.tests.parity.diffusers_unclip import applied, embeddings_of, vector_in, vectors_of
from image_mixer.tests.support.methods import unclip_models
from image_mixer.tests.support.mixes import mix_of, recipe_of
from image_mixer.tests.support.pictures import picture

KINDS = ("l", "h", "sdxl")
NEAR = 1e-4
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def made(micro_models: Any) -> dict[str, engine.Models]:
    return {kind: unclip_models(kind, micro_models.vae) for kind in KINDS}


@pytest.fixture
def models(made: dict[str, engine.Models], kind: str) -> engine.Models:
    return made[kind]


def latents_of(mix: Mix, models: engine.Models, changes: Any = None, **options: Any) -> torch.Tensor:
    recipe = recipe_of(mix, **{"steps": 3, **(changes or {})})
    return engine.generate(recipe, models, engine.Options(**options)).latents


@each_kind
def test_strength_goes_from_the_plain_model_to_the_mix(models: engine.Models, kind: str) -> None:
    embeddings = embeddings_of(vectors_of(kind), (1.0, 0.5, 0.2))
    whole = vector_in(kind, applied(models.model, kind, embeddings)[1][0])
    plain = micro_unclip.text(kind)[0][1]["pooled_output"] if kind == "sdxl" else torch.zeros_like(whole)
    half = vector_in(kind, applied(models.model, kind, embeddings, strength=0.5)[1][0])
    assert torch.allclose(half, (plain + whole) / 2, atol=1e-6)


@each_kind
def test_the_noise_has_its_own_seed(models: engine.Models, kind: str) -> None:
    def made(level: float, seed: int) -> torch.Tensor:
        return latents_of(
            mix_of(1.0, 0.5), models, method="unclip", settings={"noise_augmentation": level, "noise_seed": seed}
        )

    assert torch.equal(made(0.5, 1), made(0.5, 1))
    assert not torch.allclose(made(0.5, 1), made(0.5, 2), atol=1e-2)
    assert not torch.allclose(made(0.5, 1), made(0.2, 1), atol=1e-2)


@each_kind
def test_a_negative_mix_is_what_the_sampling_goes_away_from(models: engine.Models, kind: str) -> None:
    avoided = Mix((picture(2),), ((1.0,),))
    plain = latents_of(mix_of(1.0, 0.5), models)
    away = latents_of(mix_of(1.0, 0.5), models, negative_mix=avoided)
    assert not torch.allclose(plain, away, atol=1e-2)
    embeddings = engine.embed_all(mix_of(1.0, 0.5), engine.Encoders(models.clip_vision), negative_mix=avoided)
    text, negative = (models.clip.encode_from_tokens_scheduled(prompt) for prompt in ("a cat", ""))
    model, *conditioned = engine.apply(engine.Target(models.model, text, negative), embeddings)
    settings = sampling.Settings("euler", "normal", 3, 3.0)
    assert torch.equal(
        sampling.sample(
            sampling.Conditioned(model, *conditioned), sampling.Start(torch.zeros(1, 4, 8, 8), [7]), settings
        ),
        away,
    )


@each_kind
def test_two_mixes_on_one_model(models: engine.Models, kind: str) -> None:
    """The second starts from the first: at strength 0.5 the model gets the midpoint of both."""
    first, second = (embeddings_of(part[None], (1.0,)) for part in vectors_of(kind, 2))
    model, positive, negative = applied(models.model, kind, first)
    both = engine.apply(engine.Target(model, positive, negative), second, "unclip", 0.5)
    expected = (vector_in(kind, positive[0]) + vector_in(kind, applied(models.model, kind, second)[1][0])) / 2
    assert torch.allclose(vector_in(kind, both[1][0]), expected, atol=1e-6)
    latent, settings = torch.zeros(1, 4, 8, 8), sampling.Settings("euler", "normal", 2, 3.0)
    one, two = (
        sampling.sample(sampling.Conditioned(*conditioned), sampling.Start(latent, [1]), settings)
        for conditioned in ((model, positive, negative), both)
    )
    assert not torch.allclose(one, two, atol=1e-3)


@each_kind
def test_regional_prompts_and_regional_pictures_meet(models: engine.Models, kind: str) -> None:
    """With a prompt on the left and a picture on the upper half, each quarter equals its run alone."""
    left, upper = torch.zeros(8, 8), torch.zeros(8, 8)
    left[:, :4], upper[:4] = 1.0, 1.0
    cat, dog = micro_unclip.text(kind, 10), micro_unclip.text(kind, 11)
    prompts = [[cat[0][0], {**cat[0][1], "mask": left[None]}], [dog[0][0], {**dog[0][1], "mask": 1 - left[None]}]]
    regional = Mix((replace(picture(0), region=Region("upper", upper)),), ((1.0,),))
    latent, settings = torch.zeros(1, 4, 8, 8), sampling.Settings("euler", "normal", 1, 1.0)

    def made(text: Any, mix: Mix) -> torch.Tensor:
        embeddings = engine.embed_all(mix, engine.Encoders(models.clip_vision))
        conditioned = engine.apply(engine.Target(models.model, text, text), embeddings, "unclip")
        return sampling.sample(sampling.Conditioned(*conditioned), sampling.Start(latent, [7]), settings)

    whole = made(prompts, regional)
    for text, columns in ((cat, slice(0, 4)), (dog, slice(4, 8))):
        for mix, rows in ((mix_of(1.0), slice(0, 4)), (mix_of(0.0), slice(4, 8))):
            part = made(text, mix)
            assert torch.allclose(whole[..., rows, columns], part[..., rows, columns], atol=NEAR, rtol=0)


@pytest.mark.parametrize("kind", ["l"])
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.soak)])
def test_a_compiled_model_makes_the_same_without_graph_breaks(
    models: engine.Models, monkeypatch: pytest.MonkeyPatch, kind: str, backend: str
) -> None:
    import comfy.ldm.modules.attention as attention
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    from torch._dynamo.utils import counters

    # On a CPU core's attention asks the system for free memory, which breaks graphs even without a mix.
    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    compiled = models.model.clone()
    torch._dynamo.reset()
    counters.clear()
    set_torch_compile_wrapper(compiled, backend=backend)
    for weights in ((1.0, 0.5), (0.2, 1.0)):
        expected = latents_of(mix_of(*weights), models, {"steps": 2})
        made = latents_of(mix_of(*weights), replace(models, model=compiled), {"steps": 2})
        assert torch.allclose(made, expected, atol=NEAR, rtol=0)
    assert counters["stats"]["unique_graphs"] and not counters["graph_break"]


# What it refuses


@each_kind
def test_auto_takes_it(models: engine.Models, kind: str) -> None:
    assert choose("auto", models.model, None) is UNCLIP


BAD: list[tuple[str, Mix, dict[str, Any], str]] = [
    (
        "a combine",
        mix_of(1.0),
        {"settings": {"combine": "sum"}},
        "Unknown value 'sum' for combine: choose one of norm-preserving average",
    ),
    (
        "noise",
        mix_of(1.0),
        {"settings": {"noise_augmentation": 1.5}},
        "Noise augmentation must be from 0 to 1, not 1.5",
    ),
    ("a seed", mix_of(1.0), {"settings": {"noise_seed": -1}}, "Noise seed must be a whole number from 0"),
    ("an adapter", mix_of(1.0), {"adapter": object()}, "takes no adapter"),
    ("no text tower", mix_of(1.0), {"clip": None}, "connect clip"),
    ("no vision tower", mix_of(1.0), {"clip_vision": None}, "connect clip_vision"),
    (
        "negative on the sphere, in a later variant",
        mix_of(rows=((1.0, 1.0), (1.0, -1.0))),
        {"settings": {"combine": SPHERICAL}},
        "spherical mean takes weights from 0, not -1",
    ),
]


@pytest.mark.parametrize(("name", "mix", "changes", "line"), BAD, ids=[case[0] for case in BAD])
def test_one_line_before_sampling(
    made: dict[str, engine.Models],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    mix: Mix,
    changes: dict[str, Any],
    line: str,
) -> None:
    monkeypatch.setattr(sampling, "sample", lambda *a, **k: pytest.fail("it sampled"))
    monkeypatch.setattr(batches, "PIXELS_PER_BATCH", 64 * 64)
    settings = changes.pop("settings", {}) if "settings" in (changes := dict(changes)) else {}
    with pytest.raises(MixError) as caught:
        latents_of(mix, replace(made["h"], **changes), method="unclip", settings=settings)
    assert line in str(caught.value) and "\n" not in str(caught.value)


@each_kind
def test_a_wrong_tower_names_the_one_it_needs(models: engine.Models, kind: str) -> None:
    narrow = replace(models, clip_vision=micro.vision_tower(3, projection_dim=512))
    with pytest.raises(EngineError, match=rf"\({micro_unclip.WIDTHS[kind]} numbers\).* makes 512"):
        latents_of(mix_of(1.0), narrow)


def test_a_model_of_another_family(micro_models: Any) -> None:
    with pytest.raises(EngineError, match=r"needs an SD2\.1-unCLIP or an SDXL model, not BaseModel") as caught:
        choose("unclip", micro_models.model, None).check_model(micro_models.model, None)
    assert caught.value.cause == "wrong model"


def test_conditioning_it_cannot_work_with(made: dict[str, engine.Models]) -> None:
    models, embeddings = made["l"], embeddings_of(vectors_of("l", 1), (1.0,))
    with pytest.raises(InputError, match="connect positive"):
        engine.apply(engine.Target(models.model), embeddings, "unclip")
    seen = [{"clip_vision_output": None, "strength": 1.0, "noise_augmentation": 0.0}]
    cores = [[context, {**options, "unclip_conditioning": seen}] for context, options in micro_unclip.text("l")]
    with pytest.raises(InputError, match="leave that node out"):
        engine.apply(engine.Target(models.model, cores), embeddings, "unclip")


def test_without_a_negative_its_text_is_zeros(made: dict[str, engine.Models]) -> None:
    embeddings = embeddings_of(vectors_of("sdxl", 1), (1.0,))
    _, _, negative = engine.apply(engine.Target(made["sdxl"].model, micro_unclip.text("sdxl")), embeddings)
    assert not negative[0][0].any() and not negative[0][1]["pooled_output"].any()


def test_the_average_is_the_default() -> None:
    assert COMBINES[0] == AVERAGE
