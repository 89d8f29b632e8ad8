"""Method redux in a real ComfyUI server: its template at the real widths of Flux, SigLIP and the style model."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from image_mixer.tests.support.live import Live, graph, node_of, template_of
from PIL import Image


@pytest.fixture(scope="module")
def live(shared: Live) -> Live:
    return shared


@pytest.fixture(scope="module")
def template(live: Live) -> dict[str, Any]:
    return template_of(live, "redux", width=64, height=64, steps=2)


def test_the_template_runs_and_weights_run_no_tower_again(live: Live, template: dict[str, Any]) -> None:
    save, mix, local = (node_of(template, f"ImageMixer{kind}") for kind in ("Save", "Mix", "Local"))
    digests, reports = set(), []
    for changes in ({mix: {"pad": "1, 0.7"}}, {mix: {"pad": "0, 2"}}, {local: {"method.combine": "weighted sum"}}):
        for node, inputs in changes.items():
            template[node]["inputs"].update(inputs)
        before = live.counts()["vision"]
        saved = live.image(live.good(template)[save]["images"][0])
        picture = Image.open(io.BytesIO(saved))
        digests.add(picture.tobytes())
        reports.append((json.loads(picture.text["image_mixer_report"]), live.counts()["vision"] - before))
    assert [seen for _, seen in reports] == [2, 0, 0]
    assert {report["details"]["method"] for report, _ in reports} == {"redux"}
    assert reports[1][0]["images"][0]["weights"] == [0.0, 2.0]
    assert len(digests) == 3


def test_apply_mix_beside_a_reference_latent(live: Live, template: dict[str, Any]) -> None:
    """Two variants as one batch through SamplerCustomAdvanced, where core's attn_bias fails."""
    mix, loader, tower, style = (
        node_of(template, kind)
        for kind in ("ImageMixerMix", "CheckpointLoaderSimple", "CLIPVisionLoader", "StyleModelLoader")
    )
    kept = {mix, loader, tower, style, *(name for name, node in template.items() if node["class_type"] == "LoadImage")}
    picture = next(name for name, node in template.items() if node["class_type"] == "LoadImage")
    prompt = {name: template[name] for name in kept}
    links = {"noise": ["noise", 0], "guider": ["guider", 0], "sampler": ["sampler", 0], "sigmas": ["sigmas", 0]}
    prompt |= graph(
        weights=("ImageMixerBlendWeights", {"from": "1, 0.5", "to": "0, 2", "variants": 2, "easing": "linear"}),
        encode=("ImageMixerEncode", {"mix": [mix, 0], "clip_vision": [tower, 0], "preparation": "centre crop"}),
        text=("CLIPTextEncode", {"text": "a cat", "clip": [loader, 1]}),
        latent=("VAEEncode", {"pixels": [picture, 0], "vae": [loader, 2]}),
        beside=("ReferenceLatent", {"conditioning": ["text", 0], "latent": ["latent", 0]}),
        apply=(
            "ImageMixerApply",
            {
                "model": [loader, 0], "positive": ["beside", 0], "embeddings": ["encode", 0], "weights": ["weights", 0],
                "adapter": [style, 0], "method": "redux", "method.combine": "concatenate", "method.grid": 5, "strength": 1.0,
            },
        ),
        empty=("EmptySD3LatentImage", {"width": 64, "height": 64, "batch_size": 2}),
        noise=("RandomNoise", {"noise_seed": 5}),
        sampler=("KSamplerSelect", {"sampler_name": "euler"}),
        sigmas=("BasicScheduler", {"model": ["apply", 0], "scheduler": "simple", "steps": 2, "denoise": 1.0}),
        guider=("BasicGuider", {"model": ["apply", 0], "conditioning": ["apply", 1]}),
        sampled=("SamplerCustomAdvanced", {**links, "latent_image": ["empty", 0]}),
        decode=("VAEDecode", {"samples": ["sampled", 0], "vae": [loader, 2]}),
        save=("SaveImage", {"images": ["decode", 0], "filename_prefix": "test/redux"}),
    )  # fmt: skip
    made = [Image.open(io.BytesIO(live.image(image))) for image in live.good(prompt)["save"]["images"]]
    assert [one.size for one in made] == [(64, 64)] * 2 and made[0].tobytes() != made[1].tobytes()


def test_a_message_is_one_line_and_nothing_is_sampled(live: Live, template: dict[str, Any]) -> None:
    local = node_of(template, "ImageMixerLocal")
    prompt = json.loads(json.dumps(template))
    del prompt[local]["inputs"]["adapter"]
    before = live.counts()["sampled"]
    error = live.error(prompt)
    assert "connect adapter" in error["exception_message"] and "\n" not in error["exception_message"].strip()
    assert live.counts()["sampled"] == before
