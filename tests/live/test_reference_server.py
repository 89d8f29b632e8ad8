"""Method reference in a real server, with the loaders that its template has, on files of random numbers."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from image_mixer.tests.support.live import Live, graph, report_of
from PIL import Image

SIDE = 224
"""Of the pictures: what references of 0.05 megapixels have, so that nothing is resized."""

SAMPLER = {"seed": 3, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
PICTURES = ("noise_a.png", "noise_b.png", "noise_c.png")
SETTINGS = {
    "method": "reference",
    "method.placement": "as the model",
    "method.megapixels": 0.05,
    "method.pictures_in_prompt": True,
}


@pytest.fixture(scope="module")
def live(shared: Live) -> Live:
    for seed, name in enumerate(PICTURES):
        noise = torch.randint(0, 256, (SIDE, SIDE, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        Image.fromarray(noise.numpy()).save(shared.server.base / "input" / name)
    return shared


def local_graph(pad: str = "1, 1", **changes: dict[str, Any]) -> dict[str, Any]:
    """Three pictures, the loaders of Flux, one recipe, Local."""
    prompt = graph(
        a=("LoadImage", {"image": PICTURES[0]}),
        b=("LoadImage", {"image": PICTURES[1]}),
        c=("LoadImage", {"image": PICTURES[2]}),
        mix=("ImageMixerMix", {"images.image0": ["a", 0], "images.image1": ["b", 0], "pad": pad}),
        model=(
            "UNETLoader", {"unet_name": "flux1-dev-kontext_fp8_scaled.safetensors", "weight_dtype": "default"}
        ),
        clip=(
            "DualCLIPLoader",
            {
                "clip_name1": "clip_l.safetensors",
                "clip_name2": "t5xxl_fp8_e4m3fn_scaled.safetensors",
                "type": "flux",
            },
        ),
        vae=("VAELoader", {"vae_name": "ae.safetensors"}),
        recipe=(
            "ImageMixerRecipe",
            {
                "mix": ["mix", 0], "prompt": "a cat", "negative_prompt": "fog", "width": 64, "height": 64, "steps": 2,
                "guidance_scale": 2.0, "seed": 3, "samples": 1,
            },
        ),
        local=(
            "ImageMixerLocal",
            {
                "recipe": ["recipe", 0], "model": ["model", 0], "clip": ["clip", 0], "vae": ["vae", 0],
                "preparation": "centre crop", "strength": 1.0, "sampler": "euler", "scheduler": "simple",
                "denoise": 1.0, **SETTINGS,
            },
        ),
        own=("SaveImage", {"images": ["local", 0], "filename_prefix": "test/own"}),
        show=("PreviewAny", {"source": ["local", 2]}),
    )  # fmt: skip
    for name, inputs in changes.items():
        prompt[name]["inputs"].update(inputs)
    return prompt


def pixels(live: Live, outputs: dict[str, Any], node: str) -> list[bytes]:
    return [Image.open(io.BytesIO(live.image(image))).tobytes() for image in outputs[node]["images"]]


def test_weight_1_is_cores_own_graph(live: Live) -> None:
    prompt = local_graph()
    prompt |= graph(
        encoded=("CLIPTextEncode", {"clip": ["clip", 0], "text": "a cat"}),
        positive=("FluxGuidance", {"conditioning": ["encoded", 0], "guidance": 2.0}),
        negative=("CLIPTextEncode", {"clip": ["clip", 0], "text": "fog"}),
        first=("VAEEncode", {"pixels": ["a", 0], "vae": ["vae", 0]}),
        second=("VAEEncode", {"pixels": ["b", 0], "vae": ["vae", 0]}),
        positive1=("ReferenceLatent", {"conditioning": ["positive", 0], "latent": ["first", 0]}),
        positive2=("ReferenceLatent", {"conditioning": ["positive1", 0], "latent": ["second", 0]}),
        negative1=("ReferenceLatent", {"conditioning": ["negative", 0], "latent": ["first", 0]}),
        negative2=("ReferenceLatent", {"conditioning": ["negative1", 0], "latent": ["second", 0]}),
        empty=("EmptySD3LatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        sampler=(
            "KSampler",
            {
                "model": ["model", 0],
                "positive": ["positive2", 0],
                "negative": ["negative2", 0],
                "latent_image": ["empty", 0],
                **SAMPLER,
            },
        ),
        decode=("VAEDecode", {"samples": ["sampler", 0], "vae": ["vae", 0]}),
        core=("SaveImage", {"images": ["decode", 0], "filename_prefix": "test/core"}),
    )
    outputs = live.good(prompt)
    assert pixels(live, outputs, "own") == pixels(live, outputs, "core")
    details = report_of(outputs)["details"]
    assert details["method"] == "reference" and details["model"] == "Flux"
    other = live.good(local_graph("1, 0.2"))
    assert pixels(live, other, "own") != pixels(live, outputs, "own")


def test_auto_takes_flux_without_an_adapter(live: Live) -> None:
    prompt = local_graph("0.5, 0")
    for name in SETTINGS:
        del prompt["local"]["inputs"][name]
    prompt["local"]["inputs"]["method"] = "auto"
    prompt["mix"]["inputs"]["pad"] = "0, 0"
    assert report_of(live.good(prompt))["details"]["method"] == "reference"


def test_local_is_encode_apply_ksampler_also_with_different_zeros(live: Live) -> None:
    prompt = local_graph(mix={"weights": ["weights", 0], "images.image2": ["c", 0]})
    del prompt["mix"]["inputs"]["pad"]
    prompt |= graph(
        weights=(
            "ImageMixerBlendWeights", {"from": "1, 0.4, 0", "to": "0, 0.7, 1.5", "variants": 2, "easing": "linear"}
        ),
        encoded=("CLIPTextEncode", {"clip": ["clip", 0], "text": "a cat"}),
        positive=("FluxGuidance", {"conditioning": ["encoded", 0], "guidance": 2.0}),
        negative=("CLIPTextEncode", {"clip": ["clip", 0], "text": "fog"}),
        encode=(
            "ImageMixerEncode",
            {"mix": ["mix", 0], "vae": ["vae", 0], "preparation": "centre crop", "reference_megapixels": 0.05},
        ),
        apply=(
            "ImageMixerApply",
            {
                "model": ["model", 0], "embeddings": ["encode", 0], "positive": ["positive", 0],
                "negative": ["negative", 0], "method": "reference", "method.placement": "as the model", "strength": 1.0,
            },
        ),
        noise=("EmptySD3LatentImage", {"width": 64, "height": 64, "batch_size": 2}),
        sampler=(
            "KSampler",
            {
                "model": ["apply", 0],
                "positive": ["apply", 1],
                "negative": ["apply", 2],
                "latent_image": ["noise", 0],
                **SAMPLER,
            },
        ),
        decode=("VAEDecode", {"samples": ["sampler", 0], "vae": ["vae", 0]}),
        core=("SaveImage", {"images": ["decode", 0], "filename_prefix": "test/core"}),
    )  # fmt: skip
    outputs = live.good(prompt)
    ours, core = pixels(live, outputs, "own"), pixels(live, outputs, "core")
    assert len(ours) == len(core) == 2
    # KSampler draws other noise for the second item, so only the first can be equal, up to rounding.
    apart = [abs(x - y) for x, y in zip(ours[0], core[0], strict=True)]
    assert max(apart) <= 1
    assert [image["weights"] for image in report_of(outputs)["images"]] == [[1.0, 0.4, 0.0], [0.0, 0.7, 1.5]]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"local": {"model": ["micro", 0]}}, "needs a model that takes reference images"),
        ({"local": {"strength": 5.0}, "mix": {"pad": "3, 1"}}, "weight x strength 15; reference takes 0 to 10"),
        ({"local": {"vae": ["micro", 2]}}, "makes latents of 4 channels in 2 dimensions; this model needs 16"),
    ],
)
def test_a_message_is_one_line_and_nothing_is_sampled(live: Live, changes: dict[str, Any], line: str) -> None:
    prompt = local_graph(**changes)
    prompt |= graph(micro=("ProbeMicroModels", {"seed": 0, "tagged": False}))
    before = live.counts()
    message = live.error(prompt)["exception_message"].strip()
    assert line in message and "\n" not in message
    assert live.counts()["sampled"] == before["sampled"]
