"""Load IP-Adapter and the template ip_adapter in a real server: micro models, and once the shapes of the published files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.clip_vision
import comfy.ops
import micro_adapters
import micro_unets
import pytest
import random_model
import torch
from image_mixer.tests.support.live import Live, node_of, template_of
from image_mixer.tests.support.served_models import IP_ADAPTER, write_sd15

SMALL = {"width": 64, "height": 64, "steps": 2}
REAL_FILES = {"ckpt_name": "real_sd15.ckpt", "clip_name": "real_vit_h.pt", "file": "real/ip-adapter_sd15.bin"}
REAL_UNET = {**micro_unets.SD15_LAYOUT, "model_channels": 320}


def write_vit_h(path: Path) -> None:
    """CLIP ViT-H/14 at its real size, strided."""
    config = json.loads(
        Path(comfy.clip_vision.__file__).with_name("clip_vision_config_h.json").read_text(encoding="utf-8")
    )
    tower = comfy.clip_model.CLIPVisionModelProjection(config, torch.float16, "meta", comfy.ops.disable_weight_init)
    shapes = {name: tuple(value.shape) for name, value in tower.state_dict().items() if value.is_floating_point()}
    torch.save({name: value.half() for name, value in random_model.strided_state(shapes).items()}, path)


@pytest.fixture(scope="module")
def live(shared: Live) -> Live:
    return shared


def report_in(live: Live, prompt: dict[str, Any]) -> dict[str, Any]:
    """The report of the template's run."""
    prompt["show"] = {"class_type": "PreviewAny", "inputs": {"source": [node_of(prompt, "ImageMixerLocal"), 2]}}
    return dict(json.loads(live.good(prompt)["show"]["text"][0]))


def test_the_folder_is_listed_without_what_is_no_model(live: Live) -> None:
    info = live.get("/object_info/ImageMixerLoadAdapter")["ImageMixerLoadAdapter"]
    assert info["input"]["required"]["file"][1]["options"] == [IP_ADAPTER["file"], "other.safetensors"]
    assert info["output"] == ["MIX_ADAPTER"]


def test_the_template_runs_and_says_its_method(live: Live) -> None:
    report = report_in(live, template_of(live, "ip_adapter", **SMALL, **IP_ADAPTER))
    assert report["details"]["method"] == "ip-adapter"
    assert report["images"][0]["weights"] == [1.0, 1.0]


def test_auto_and_every_combination_of_its_inputs_run(live: Live) -> None:
    prompt = template_of(live, "ip_adapter", **SMALL, **IP_ADAPTER)
    inputs = prompt[node_of(prompt, "ImageMixerLocal")]["inputs"]
    assert (inputs["method"], inputs["method.combine"], inputs["method.layers"]) == ("ip-adapter", "shared", "all")
    for combine, layers in (("sum", "ease in"), ("shared", "ease in-out")):
        inputs.update({"method.combine": combine, "method.layers": layers})
        live.good(prompt)
    del inputs["method.combine"], inputs["method.layers"]
    inputs["method"] = "auto"
    assert report_in(live, prompt)["details"]["method"] == "ip-adapter"


def test_a_changed_weight_encodes_nothing_again(live: Live) -> None:
    live.good(template_of(live, "ip_adapter", **SMALL, **IP_ADAPTER, pad="1, 0.5"))
    before = live.counts()
    live.good(template_of(live, "ip_adapter", **SMALL, **IP_ADAPTER, pad="0.3, 1"))
    after = live.counts()
    assert (after["vision"], after["sampled"]) == (before["vision"], before["sampled"] + 1)


def test_a_wrong_file_is_one_line_and_nothing_is_sampled(live: Live) -> None:
    before = live.counts()["sampled"]
    error = live.error(template_of(live, "ip_adapter", **SMALL, **{**IP_ADAPTER, "file": "other.safetensors"}))
    assert (
        error["exception_message"].strip()
        == "other.safetensors is not an IP-Adapter file: it does not contain image_proj."
    )
    assert live.counts()["sampled"] == before


def test_apply_mix_gives_it_to_cores_sampler_as_local_does(live: Live) -> None:
    """Encode, apply twice in a chain, and core's KSampler."""
    prompt = template_of(live, "ip_adapter", **SMALL, **IP_ADAPTER)
    checkpoint, tower, adapter = (
        node_of(prompt, kind) for kind in ("CheckpointLoaderSimple", "CLIPVisionLoader", "ImageMixerLoadAdapter")
    )
    text = {"text": "a cat", "clip": [checkpoint, 1]}
    encode = {"mix": [node_of(prompt, "ImageMixerMix"), 0], "clip_vision": [tower, 0], "preparation": "tile"}
    apply = {"embeddings": ["encode", 0], "adapter": [adapter, 0], "method": "auto", "strength": 0.5}
    prompt = {
        name: prompt[name] for name in prompt if prompt[name]["class_type"] not in ("ImageMixerSave", "ImageMixerLocal")
    }
    prompt = {name: node for name, node in prompt.items() if node["class_type"] != "ImageMixerRecipe"}
    prompt |= {
        "text": {"class_type": "CLIPTextEncode", "inputs": text},
        "encode": {"class_type": "ImageMixerEncode", "inputs": encode},
        "one": {"class_type": "ImageMixerApply", "inputs": {
            **apply, "model": [checkpoint, 0], "positive": ["text", 0], "negative": ["text", 0]}},
        "two": {"class_type": "ImageMixerApply", "inputs": {
            **apply, "model": ["one", 0], "positive": ["one", 1], "negative": ["one", 2]}},
        "empty": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 2}},
        "sampler": {"class_type": "KSampler", "inputs": {
            "model": ["two", 0], "positive": ["two", 1], "negative": ["two", 2], "latent_image": ["empty", 0], "seed": 1,
            "steps": 2, "cfg": 3.0, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1.0}},
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": [checkpoint, 2]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "test/ip"}},
    }  # fmt: skip
    assert len(live.good(prompt)["save"]["images"]) == 2


@pytest.mark.soak
def test_the_template_runs_at_the_shapes_of_the_published_files(live: Live) -> None:
    """SD1.5, CLIP ViT-H/14 and ip-adapter_sd15 at their real sizes, of random numbers."""
    folders = {name: live.server.base / "models" / name for name in ("checkpoints", "clip_vision", "ipadapter")}
    unet = random_model.strided_state(random_model.unet_shapes(REAL_UNET))
    write_sd15(folders["checkpoints"] / REAL_FILES["ckpt_name"], unet)
    write_vit_h(folders["clip_vision"] / REAL_FILES["clip_name"])
    (folders["ipadapter"] / "real").mkdir()
    torch.save(micro_adapters.standard(REAL_UNET, 1024), folders["ipadapter"] / REAL_FILES["file"])
    prompt = template_of(live, "ip_adapter", **{**SMALL, "steps": 1}, **REAL_FILES)
    live_prompt = {**prompt, "show": {"class_type": "PreviewAny", "inputs": {
        "source": [node_of(prompt, "ImageMixerLocal"), 2]}}}  # fmt: skip
    entry = live.run(live_prompt, seconds=600.0)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    report = json.loads(entry["outputs"]["show"]["text"][0])
    assert report["details"]["method"] == "ip-adapter"
