"""Method unclip in a real ComfyUI server: its template, with encoders of real shape, and any sampler after Apply Mix."""

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
    return template_of(live, "unclip", width=64, height=64, steps=2)


def report_in(live: Live, outputs: dict[str, Any], save: str) -> dict[str, Any]:
    picture = Image.open(io.BytesIO(live.image(outputs[save]["images"][0])))
    return dict(json.loads(picture.text["image_mixer_report"]))


def test_the_template_runs_and_weights_run_no_tower_again(live: Live, template: dict[str, Any]) -> None:
    save, mix = node_of(template, "ImageMixerSave"), node_of(template, "ImageMixerMix")
    report = report_in(live, live.good(template), save)
    assert report["details"]["method"] == "unclip" and report["details"]["model"] == "SD21UNCLIP"
    before = live.counts()
    template[mix]["inputs"]["pad"] = "1, -0.3"
    again = report_in(live, live.good(template), save)
    assert again["images"][0]["weights"] == [1.0, -0.3]
    assert live.counts()["vision"] == before["vision"]


def test_apply_mix_for_ksampler_and_any_guider(live: Live, template: dict[str, Any]) -> None:
    """Three variants as one batch, through core's own samplers; KSampler's first item is Local's first variant."""
    loader, mix = node_of(template, "unCLIPCheckpointLoader"), node_of(template, "ImageMixerMix")
    prompt = {
        name: node
        for name, node in template.items()
        if node["class_type"] in ("LoadImage", template[mix]["class_type"])
    }
    prompt[loader] = template[loader]
    applied = {
        "model": [loader, 0], "positive": ["text", 0], "negative": ["none", 0], "embeddings": ["encode", 0],
        "weights": ["weights", 0], "method": "unclip", "method.combine": "weighted sum", "method.noise_augmentation": 0.1,
        "method.noise_seed": 4, "strength": 0.8,
    }  # fmt: skip
    prompt |= graph(
        weights=("ImageMixerBlendWeights", {"from": "1, 0", "to": "0, 1", "variants": 3, "easing": "linear"}),
        encode=("ImageMixerEncode", {"mix": [mix, 0], "clip_vision": [loader, 3], "preparation": "centre crop"}),
        text=("CLIPTextEncode", {"text": "a cat", "clip": [loader, 1]}),
        none=("CLIPTextEncode", {"text": "", "clip": [loader, 1]}),
        apply=("ImageMixerApply", applied),
        empty=("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 3}),
        ksampler=(
            "KSampler",
            {
                "model": ["apply", 0], "positive": ["apply", 1], "negative": ["apply", 2], "latent_image": ["empty", 0],
                "seed": 5, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            },
        ),
        noise=("RandomNoise", {"noise_seed": 5}),
        sampler=("KSamplerSelect", {"sampler_name": "euler"}),
        sigmas=("BasicScheduler", {"model": ["apply", 0], "scheduler": "normal", "steps": 2, "denoise": 1.0}),
        cfg=("CFGGuider", {"model": ["apply", 0], "positive": ["apply", 1], "negative": ["apply", 2], "cfg": 3.0}),
        basic=("BasicGuider", {"model": ["apply", 0], "conditioning": ["apply", 1]}),
    )  # fmt: skip
    for guider in ("cfg", "basic"):
        links = {"noise": ["noise", 0], "guider": [guider, 0], "sampler": ["sampler", 0], "sigmas": ["sigmas", 0]}
        prompt |= graph(**{f"by_{guider}": ("SamplerCustomAdvanced", {**links, "latent_image": ["empty", 0]})})
    for source in ("ksampler", "by_cfg", "by_basic"):
        prompt |= graph(**{
            f"decode_{source}": ("VAEDecode", {"samples": [source, 0], "vae": [loader, 2]}),
            f"save_{source}": ("SaveImage", {"images": [f"decode_{source}", 0], "filename_prefix": f"test/{source}"}),
        })  # fmt: skip
    outputs = live.good(prompt)
    pixels = {
        source: [live.image(image) for image in outputs[f"save_{source}"]["images"]]
        for source in ("ksampler", "by_cfg", "by_basic")
    }
    shown = {source: [Image.open(io.BytesIO(one)).tobytes() for one in made] for source, made in pixels.items()}
    assert all(len(set(made)) == 3 for made in shown.values())
    assert shown["ksampler"] == shown["by_cfg"] != shown["by_basic"]


def test_a_message_is_one_line_and_nothing_is_sampled(live: Live, template: dict[str, Any]) -> None:
    local, mix = node_of(template, "ImageMixerLocal"), node_of(template, "ImageMixerMix")
    prompt = json.loads(json.dumps(template))
    prompt[mix]["inputs"]["pad"] = "1, -1"
    prompt[local]["inputs"]["method.combine"] = "spherical mean"
    before = live.counts()["sampled"]
    error = live.error(prompt)
    assert "choose another average" in error["exception_message"] and "\n" not in error["exception_message"].strip()
    assert live.counts()["sampled"] == before
