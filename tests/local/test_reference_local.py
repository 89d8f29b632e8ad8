"""Method reference through Image Mixer (Local), the sizes of references, and the messages."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import comfy.samplers
import edit_models
import numpy
import pytest
import torch
from image_mixer.local import batches, embeds_file, engine, families, latents, prompts, sampling
from image_mixer.local.embeddings import Embeddings, Encoded
from image_mixer.local.methods import choose
from image_mixer.mixing.errors import EngineError, InputError
from image_mixer.mixing.mix import Mix
from image_mixer.tests.support.mixes import recipe_of as small_recipe
from image_mixer.tests.support.pictures import picture
from image_mixer.tests.support.reference_scene import FAMILIES, applied, embeddings_of, family_of, text


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return edit_models.build(request.param)


@pytest.fixture(scope="module", params=["flux", "qwen_image"])
def models(request: pytest.FixtureRequest) -> engine.Models:
    model = edit_models.build(request.param)
    return engine.Models(model, edit_models.MicroVAE(video=family_of(model) != "flux"), edit_models.MicroCLIP())


SMALL = {"megapixels": 0.05}
recipe_of = partial(small_recipe, guidance_scale=2.0)


def generated(models: engine.Models, mix: Mix, settings: Any = SMALL, **changes: Any) -> torch.Tensor:
    return engine.generate(recipe_of(mix, **changes), models, engine.Options(settings=settings)).latents


PICTURES = tuple(picture(seed, 64, 96) for seed in range(3))


def test_local_gives_each_variant_what_it_would_be_alone(
    models: engine.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    sample = sampling.sample
    monkeypatch.setattr(
        sampling, "sample", lambda *args, **kw: (sizes.append(args[1].latent.shape[0]), sample(*args, **kw))[1]
    )
    rows = ((1.0, 0.4, 0.0), (0.3, 0.9, 0.0), (0.0, 0.7, 1.5))
    batch = generated(models, Mix(PICTURES, rows))
    assert sizes == [2, 1], "cut where the zeros change"
    for index, row in enumerate(rows):
        alone = generated(models, Mix(PICTURES, (row,)))
        assert torch.allclose(batch[index : index + 1], alone, atol=1e-4, rtol=0), index
    assert torch.equal(
        generated(models, Mix(PICTURES, (rows[0],))), generated(models, Mix(PICTURES[:2], ((1.0, 0.4),)))
    )


def test_local_is_encode_apply_ksampler(models: engine.Models) -> None:
    import nodes

    mix = Mix(PICTURES[:2], ((0.6, 1.2),))
    embeddings = engine.embed_all(mix, engine.Encoders(vae=models.vae), megapixels=0.05)
    texts = [prompts.conditioning_of(models.clip, words, (), {"guidance": 2.0}) for words in ("a cat", "")]
    model, positive, negative = engine.apply(engine.Target(models.model, *texts), embeddings, "reference")
    empty = latents.empty_latent(models.model, 64, 64, 1)
    cfg = 1.0 if families.is_distilled(models.model) else 2.0
    arguments = (7, 2, cfg, "euler", "normal", positive, negative, {"samples": empty})
    (expected,) = nodes.common_ksampler(model, *arguments)
    assert torch.equal(generated(models, mix), expected["samples"])


def test_other_weights_seeds_and_prompts_run_no_tower_again_and_leave_the_generators(models: engine.Models) -> None:
    first = generated(models, Mix(PICTURES, ((1.0, 0.5, 0.2),)))
    torch.manual_seed(1), random.seed(2), numpy.random.seed(3)
    states = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
    seen, read = models.vae.calls, models.clip.calls
    generated(models, Mix(PICTURES, ((0.2, 0.5, 1.0),)), seed=8)
    assert (models.vae.calls, models.clip.calls) == (seen, read)
    generated(models, Mix(PICTURES, ((0.2, 0.5, 1.0),)), prompt="a dog")
    assert (models.vae.calls, models.clip.calls) == (seen, read + 1)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert (numpy.random.get_state()[1] == states[2]).all()
    assert torch.equal(generated(models, Mix(PICTURES, ((1.0, 0.5, 0.2),))), first)


def test_references_count_as_pixels_of_a_batch(models: engine.Models, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    sample = sampling.sample
    monkeypatch.setattr(batches, "PIXELS_PER_BATCH", 8 * 64 * 64)
    monkeypatch.setattr(
        sampling, "sample", lambda *args, **kw: (sizes.append(args[1].latent.shape[0]), sample(*args, **kw))[1]
    )
    generated(models, Mix(PICTURES[:1], ((1.0,), (0.5,), (0.2,))), {"megapixels": 0.05})
    generated(models, Mix(PICTURES[:1], ((1.0,), (0.5,), (0.2,))), {"megapixels": 0.02 * 2.5})
    assert sizes and max(sizes) == 1 and len(sizes) == 6


def test_placement_is_cores_reference_latents_method(models: engine.Models) -> None:
    mix = Mix(PICTURES[:2], ((1.0, 1.0),))
    flux, plain = family_of(models.model) == "flux", generated(models, mix)
    other = generated(models, mix, {**SMALL, "placement": "index" if flux else "index_timestep_zero"})
    assert not torch.allclose(plain, other, atol=1e-3)
    default = "offset" if flux else "index"
    assert torch.equal(generated(models, mix, {**SMALL, "placement": default}), plain)


# Sizes and files


@pytest.mark.parametrize(
    ("size", "megapixels", "expected"),
    [
        ((1024, 1024), 1.0, (1024, 1024)),
        ((256, 256), 1.0, (1024, 1024)),
        ((3000, 2000), 1.0, (1248, 832)),
        ((1920, 1080), 1.0, (1376, 768)),
        ((64, 64), 0.05, (224, 224)),
        ((4096, 2), 0.05, (10368, 32)),
    ],
)
def test_the_size_of_a_reference(size: tuple[int, int], megapixels: float, expected: tuple[int, int]) -> None:
    assert latents.reference_size(*size, megapixels) == expected


def test_latents_in_an_embeddings_file(tmp_path: Path) -> None:
    vae = edit_models.MicroVAE(video=True)
    kept = engine.embed_all(Mix(PICTURES[:2], ((1.0, 0.5),)), engine.Encoders(vae=vae), megapixels=0.05)
    embeds_file.save(kept, tmp_path / "a.safetensors")
    again = embeds_file.load(tmp_path / "a.safetensors")
    assert all(torch.equal(one.latent, two.latent) for one, two in zip(kept.encoded, again.encoded, strict=True))
    other = engine.embed_all(Mix(PICTURES[:2], ((1.0, 0.5),)), engine.Encoders(vae=vae), megapixels=0.1)
    assert other.encoded[0].latent.shape != kept.encoded[0].latent.shape, "another size is another latent"


# Bad input


def test_messages_before_anything_is_sampled(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfy.samplers.CFGGuider, "sample", lambda *a, **k: pytest.fail("sampled"))
    good = embeddings_of(model, [[1.0]])

    def refused(line: str, kind: type[Exception], embeddings: Embeddings = good, **changes: Any) -> None:
        given = {
            "positive": text(model),
            "negative": None,
            "adapter": None,
            "strength": 1.0,
            "settings": None,
            **changes,
        }
        with pytest.raises(kind, match=line) as caught:
            engine.apply(
                engine.Target(model, given["positive"], given["negative"], adapter=given["adapter"]),
                embeddings,
                "reference",
                given["strength"],
                settings=given["settings"],
            )
        assert "\n" not in str(caught.value)

    refused("needs text beside the mix: connect positive", InputError, positive=None)
    refused("takes no adapter", EngineError, adapter=object())
    refused("Unknown value 'here' for placement", InputError, settings={"placement": "here"})
    refused("Megapixels must be from 0.05 to 4, not 9.0", InputError, settings={"megapixels": 9.0})
    blind = replace(good, encoded=(Encoded(vector=torch.zeros(4)),))
    refused("with the VAE: connect vae to Encode Mix", EngineError, blind)
    other = replace(good, encoded=(Encoded(latent=torch.zeros(1, 4, 8, 8)),))
    refused("makes latents of 4 channels in 2 dimensions; this model needs", EngineError, other)
    refused(
        "weights for 2 items and the mix for 3",
        InputError,
        embeddings_of(model, [[1.0], [0.5], [0.7]]),
        positive=applied(model, embeddings_of(model, [[0.2], [0.4]]))[1],
    )


def test_a_model_without_references_is_refused(micro_models: Any) -> None:
    with pytest.raises(EngineError, match="needs a model that takes reference images") as caught:
        choose("reference", micro_models.model, None).check_model(micro_models.model, None)
    assert caught.value.cause == "wrong model"


def test_a_placement_that_core_cannot_run_with_flux() -> None:
    model = edit_models.build("flux")
    settings = {"placement": "index_timestep_zero"}
    with pytest.raises(InputError, match="does not support the placement index_timestep_zero"):
        engine.apply(engine.Target(model, text(model)), embeddings_of(model, [[1.0]]), "reference", settings=settings)


def test_krea2_needs_a_placement() -> None:
    if "krea2" not in FAMILIES:
        pytest.skip("this ComfyUI has no Krea2")
    model = edit_models.build("krea2")
    prompt = [[tokens, {}] for tokens, _ in text(model)]
    with pytest.raises(InputError, match="only if their placement is chosen"):
        applied(model, embeddings_of(model, [[1.0]]), positive=prompt)
