"""The nodes in a real ComfyUI server: registration, every node run, fallback, caching, messages."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.support.live import Live, graph, local_graph, prepared, report_of
from image_mixer.tools.comfy_tool.commands import demo
from image_mixer.tools.comfy_tool.server.server import Server
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
OWN = "ImageMixer"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    base = prepared(tmp_path_factory.mktemp("base"))
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    mask.save(base / "input" / "mask.png")
    with Server(base=base) as server:
        yield Live(server)


def test_every_node_is_registered_with_tooltips_and_a_help_page(live: Live) -> None:
    info = {name: node for name, node in live.get("/object_info").items() if name.startswith(OWN)}
    assert len(info) == 22
    for name, node in info.items():
        assert node["name"] == name and node["display_name"] and node["description"]
        for kind in ("required", "optional"):
            for input_name, spec in node["input"].get(kind, {}).items():
                assert spec[1].get("tooltip"), f"{name}.{input_name} has no tooltip"
        assert all(node["output_tooltips"]), name
        assert (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8").strip(), name


def test_the_log_is_clean(live: Live) -> None:
    log = live.server.log_text()
    assert "IMPORT FAILED" not in log and "Traceback" not in log.split("Starting server")[0]


def test_two_pictures_become_one_with_their_report_in_the_png(live: Live) -> None:
    outputs = live.good(local_graph())
    picture = Image.open(io.BytesIO(live.image(outputs["save"]["images"][0])))
    assert picture.size == (64, 64) and {"prompt", "image_mixer_report"} <= set(picture.text)
    report = json.loads(picture.text["image_mixer_report"])
    assert report == report_of(outputs)
    assert report["engine"] == "local" and report["details"]["method"] == "image mixer"
    assert report["images"] == [
        {"variant": 0, "sample": 0, "seed": 1, "weights": [0.5, 0.7], "missing": "", "uncertain": False}
    ]
    assert str(live.server.base) not in json.dumps(picture.text)


def test_weights_and_seeds_run_no_tower_again(live: Live) -> None:
    live.good(local_graph(recipe={"seed": 2, "prompt": "a cat"}))
    before = live.counts()
    live.good(local_graph(mix={"pad": "0.9, 0.1"}, recipe={"prompt": "a cat", "seed": 2}))
    live.good(local_graph(mix={"pad": "0.9, 0.1"}, recipe={"prompt": "a dog", "seed": 3}))
    after = live.counts()
    assert after["vision"] == before["vision"]
    assert after["sampled"] == before["sampled"] + 2


def test_local_equals_encode_apply_ksampler_and_core_decode(live: Live) -> None:
    prompt = local_graph(mix={"pad": "0.4, 1"})
    prompt |= graph(
        encode=("ImageMixerEncode", {"mix": ["mix", 0], "clip_vision": ["models", 3], "preparation": "centre crop"}),
        apply=(
            "ImageMixerApply",
            {"model": ["models", 0], "embeddings": ["encode", 0], "method": "image mixer", "strength": 1.0},
        ),
        empty=("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        sampler=(
            "KSampler",
            {
                "model": ["apply", 0],
                "positive": ["apply", 1],
                "negative": ["apply", 2],
                "latent_image": ["empty", 0],
                "seed": 1,
                "steps": 2,
                "cfg": 3.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        ),
        decode=("VAEDecode", {"samples": ["sampler", 0], "vae": ["models", 2]}),
        core=("SaveImage", {"images": ["decode", 0], "filename_prefix": "test/core"}),
        own=("SaveImage", {"images": ["local", 0], "filename_prefix": "test/own"}),
        save_embeds=("ImageMixerSaveEmbeds", {"embeddings": ["encode", 0], "filename_prefix": "kept"}),
    )
    outputs = live.good(prompt)
    ours, core = (Image.open(io.BytesIO(live.image(outputs[n]["images"][0]))) for n in ("own", "core"))
    assert ours.tobytes() == core.tobytes()
    info = live.get("/object_info/ImageMixerLoadEmbeds")["ImageMixerLoadEmbeds"]
    (file,) = info["input"]["required"]["file"][1]["options"]
    prompt["load"] = {"class_type": "ImageMixerLoadEmbeds", "inputs": {"file": file}}
    prompt["apply"]["inputs"]["embeddings"] = ["load", 0]
    del prompt["save_embeds"]
    again = Image.open(io.BytesIO(live.image(live.good(prompt)["core"]["images"][0])))
    assert again.tobytes() == core.tobytes()


def test_every_ingredient_weight_and_seed_node(live: Live) -> None:
    prompt = local_graph(recipe={"mix": ["text", 0]}, mix={"weights": ["sweep", 0]})
    prompt |= graph(
        mask=("LoadImageMask", {"image": "mask.png", "channel": "red"}),
        sweep=("ImageMixerSweepWeights", {"ingredients": 2, "pattern": "ramp", "variants": 3, "seed": 0}),
        extra=(
            "ImageMixerAddImage",
            {"mix": ["mix", 0], "image": ["a", 0], "weight": 0.5, "region": ["mask", 0], "start": 0.0, "end": 0.8},
        ),
        text=("ImageMixerAddText", {"mix": ["extra", 0], "text": "a cat", "weight": 0.3, "start": 0.0, "end": 1.0}),
        seed=("ImageMixerSeed", {"seed": 41}),
        sequence=("ImageMixerSeedSequence", {"seed": ["seed", 0], "count": 2, "mode": "count up"}),
        sheet=("ImageMixerSheet", {"images": ["local", 0], "report": ["local", 2], "captions": "", "columns": 0}),
        save_sheet=("SaveImage", {"images": ["sheet", 0], "filename_prefix": "test/sheet"}),
    )
    prompt["recipe"]["inputs"]["seed"] = ["sequence", 0]
    outputs = live.good(prompt)
    reports = [json.loads(text) for text in outputs["show"]["text"]]
    assert [image["seed"] for report in reports for image in report["images"]] == [41] * 3 + [42] * 3
    assert reports[0]["images"][1]["weights"] == [0.5, 0.5, 0.5, 0.3]
    assert len(outputs["save"]["images"]) == 6
    assert len(outputs["save_sheet"]["images"]) == 1
    sheet = Image.open(io.BytesIO(live.image(outputs["save_sheet"]["images"][0])))
    assert sheet.width > 3 * 64 and sheet.height > 64


def test_blend_and_text_weights(live: Live) -> None:
    prompt = local_graph(mix={"weights": ["blend", 0]})
    prompt |= graph(
        start=("ImageMixerWeights", {"text": "2; 1", "normalisation": "max to 1"}),
        blend=("ImageMixerBlendWeights", {"from": ["start", 1], "to": "0 1", "variants": 3, "easing": "linear"}),
    )
    weights = [image["weights"] for image in report_of(live.good(prompt))["images"]]
    assert weights == [[1.0, 0.5], [0.5, 0.75], [0.0, 1.0]]


def test_the_demo_of_the_command_line(live: Live) -> None:
    outputs = live.good(demo.demo_graph())
    assert len(outputs["images"]["images"]) == demo.VARIANTS
    sheet = Image.open(io.BytesIO(live.image(outputs["contact sheet"]["images"][0])))
    assert sheet.width > 4 * 320


def test_negative_mix_and_latent_inputs(live: Live) -> None:
    prompt = local_graph(local={"negative_mix": ["other", 0], "latent": ["encoded", 0], "denoise": 0.6})
    prompt |= graph(
        other=("ImageMixerMix", {"images.image0": ["b", 0], "pad": ""}),
        encoded=("VAEEncode", {"pixels": ["a", 0], "vae": ["models", 2]}),
    )
    outputs = live.good(prompt)
    assert Image.open(io.BytesIO(live.image(outputs["save"]["images"][0]))).size == (96, 64)


# Messages

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("six", {"mix": {f"images.image{i}": ["a", 0] for i in range(6)} | {"pad": "1"}}, "at most 5 ingredients"),
    ("count", {"mix": {"weights": ["three", 0]}}, "3 weights for 2 pictures"),
    ("seed", {"recipe": {"seed": -1}}, "lets a remote service draw one"),
    ("untagged", {"models": {"tagged": False}}, "Load Image Mixer Checkpoint"),
]


@pytest.mark.parametrize(("name", "changes", "line"), BAD, ids=[case[0] for case in BAD])
def test_a_message_is_one_line_and_nothing_is_sampled(
    live: Live, name: str, changes: dict[str, Any], line: str
) -> None:
    prompt = local_graph(**changes)
    prompt |= graph(three=("ImageMixerWeights", {"text": "1, 2, 3", "normalisation": "as given"}))
    before = live.counts()
    error = live.error(prompt)
    assert line in error["exception_message"] and "\n" not in error["exception_message"].strip()
    assert live.counts()["sampled"] == before["sampled"]


@pytest.mark.parametrize(
    ("node", "inputs", "line"),
    [
        ("mix", {"pad": "0.5, x"}, "x"),
        ("weights", {"text": "nan"}, "nan"),
    ],
)
def test_weights_that_do_not_parse_are_refused_at_the_queue(
    live: Live, node: str, inputs: dict[str, Any], line: str
) -> None:
    prompt = local_graph(mix={"weights": ["weights", 0]})
    prompt |= graph(weights=("ImageMixerWeights", {"text": "1, 1", "normalisation": "as given"}))
    prompt[node]["inputs"].update(inputs)
    status, answer = live.post("/prompt", {"prompt": prompt})
    assert status == 400 and line in json.dumps(answer["node_errors"])


# Fallback


def with_fallback(**changes: dict[str, Any]) -> dict[str, Any]:
    prompt = local_graph(local={"fallback": ["plan_b", 0]}, **changes)
    prompt |= graph(other_models=("ProbeMicroModels", {"seed": 3, "tagged": True}))
    plan_b = json.loads(json.dumps(prompt["local"]))
    plan_b["inputs"].update({"model": ["other_models", 0]})
    del plan_b["inputs"]["fallback"]
    prompt["plan_b"] = plan_b
    return prompt


def test_a_fallback_that_is_not_needed_is_not_run(live: Live) -> None:
    live.good(local_graph(recipe={"seed": 50}))
    before = live.counts()
    prompt = with_fallback(recipe={"seed": 51})
    prompt["other_models"]["inputs"]["seed"] = -1
    outputs = live.good(prompt)
    after = live.counts()
    assert after["sampled"] == before["sampled"] + 1
    assert after["loaded"] == before["loaded"], "the unused branch loaded its models"
    assert report_of(outputs)["handed_over"] is None


def test_a_fallback_takes_over_and_the_report_says_why(live: Live) -> None:
    prompt = with_fallback(recipe={"seed": 60}, models={"tagged": False})
    outputs = live.good(prompt)
    report = report_of(outputs)
    assert report["handed_over"].startswith("wrong model: No method fits this model")
    assert report["other"]["engine"] == "local" and report["images"][0]["seed"] == 60
    assert len(outputs["save"]["images"]) == 1
    before = live.counts()["sampled"]
    live.good(prompt)
    assert live.counts()["sampled"] == before, (
        "the first engine was tried again, the second's images came from the cache"
    )


def test_out_of_memory_falls_back_and_its_latent_is_the_images(live: Live) -> None:
    prompt = with_fallback(recipe={"seed": 70})
    prompt["local"]["inputs"]["model"] = ["full", 0]
    prompt |= graph(
        full=("ProbeOutOfMemory", {"model": ["models", 0]}),
        decode=("VAEDecode", {"samples": ["local", 1], "vae": ["models", 2]}),
        core=("PreviewImage", {"images": ["decode", 0]}),
    )
    outputs = live.good(prompt)
    assert report_of(outputs)["handed_over"].startswith("out of memory")
    assert len(outputs["core"]["images"]) == 1


def test_without_a_fallback_the_line_is_shown(live: Live) -> None:
    prompt = local_graph(recipe={"seed": 80}, local={"model": ["full", 0]})
    prompt |= graph(full=("ProbeOutOfMemory", {"model": ["models", 0]}))
    error = live.error(prompt)
    assert (
        error["exception_message"].strip()
        == "The GPU ran out of memory: make the images smaller, or connect a fallback."
    )
    assert error["node_type"] == "ImageMixerLocal"


def test_bad_input_never_falls_back(live: Live) -> None:
    prompt = with_fallback(recipe={"seed": -1})
    assert "lets a remote service draw one" in live.error(prompt)["exception_message"]


def test_interrupt_ends_the_run_and_never_falls_back(live: Live) -> None:
    prompt = with_fallback(recipe={"seed": 90, "steps": 1000, "width": 256, "height": 256})
    before = live.counts()["sampled"]
    status, answer = live.post("/prompt", {"prompt": prompt})
    assert status == 200
    deadline = time.monotonic() + 30
    while live.counts()["sampled"] == before and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    asked = time.monotonic()
    live.post("/interrupt", {})
    while not live.get(f"/history/{answer['prompt_id']}"):
        assert time.monotonic() - asked < 20
        time.sleep(0.05)
    messages = [
        kind for kind, _ in live.get(f"/history/{answer['prompt_id']}")[answer["prompt_id"]]["status"]["messages"]
    ]
    assert "execution_interrupted" in messages
    assert live.counts()["sampled"] == before + 1
