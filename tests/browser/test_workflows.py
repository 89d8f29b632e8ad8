"""Every template in the page, classic and Vue: opened, read back, drawn and run to the end."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.browser.pages import LARGEST_FOR_TESTS, MODES, WORKFLOWS, ComfyPage
from image_mixer.tools.comfy_tool.server.server import Server

SMOKE = {("classic", "local_mix"), ("vue", "weight_sweep")}
NOTES = {"Note", "MarkdownNote"}
BYPASSED, MUTED = 4, 2
NOT_FOR_GRAPHS = {"ImageMixerHandOver"}
IMAGES = {
    "demo": 2,
    "local_mix": 1,
    "weight_sweep": 1,
    "interpolation": 1,
    "regions_and_text": 1,
    "seed_explorer": 5,
    "advanced_apply": 1,
    "saved_embeds": 1,
    "remote_mix": 1,
    "fallback": 1,
    "side_by_side": 1,
    "triangle": 1,
    "weights_and_seeds": 1,
    "ip_adapter": 1,
    "unclip": 1,
    "redux": 1,
    "reference": 1,
}
"""PNGs that a run of each template saves; a sheet of many is one."""

SMALLEST = {
    **{name: {"width": 256, "height": 256} for name in ("remote_mix", "fallback", "side_by_side")},
    "reference": {"method.megapixels": 0.05},
}
"""Sides below which a service takes no recipe, and small references."""

each_workflow_in_each_mode = pytest.mark.parametrize(
    ("mode", "file"),
    [
        pytest.param(
            mode, file, id=f"{mode}-{file.stem}", marks=[pytest.mark.smoke] if (mode, file.stem) in SMOKE else []
        )
        for mode in MODES
        for file in WORKFLOWS
    ],
)
_seeds = itertools.count(1000)


@pytest.fixture
def opened(page_of: Callable[[str], ComfyPage], mode: str, file: Path) -> ComfyPage:
    page = page_of(mode)
    page.open_workflow(file)
    return page


@each_workflow_in_each_mode
def test_a_template_opens_as_it_was_saved(opened: ComfyPage, server: Server, mode: str, file: Path) -> None:
    saved = {str(node["id"]): node for node in json.loads(file.read_text(encoding="utf-8"))["nodes"]}
    known = server.client.get("/object_info")
    assert {node["type"] for node in saved.values()} <= known.keys() | NOTES
    shown = opened.widgets()
    assert {node["id"]: node["type"] for node in shown} == {key: node["type"] for key, node in saved.items()}
    for node in shown:
        values = saved[node["id"]].get("widgets_values") or []
        assert [widget["value"] for widget in node["widgets"]] == values[: len(node["widgets"])], node["type"]
    assert opened.faults == []
    assert opened.foreign == []


@each_workflow_in_each_mode
def test_the_prompt_holds_what_the_widgets_show(opened: ComfyPage, mode: str, file: Path) -> None:
    prompt = opened.prompt()
    expected = [
        node for node in opened.widgets() if node["type"] not in NOTES and node["mode"] not in (BYPASSED, MUTED)
    ]
    assert set(prompt) == {str(node["id"]) for node in expected}
    for node in expected:
        inputs = prompt[str(node["id"])]["inputs"]
        for widget in node["widgets"]:
            if widget["name"] in node["linked"] or not widget["inPrompt"]:
                continue
            assert inputs[widget["name"]] == widget["value"], (node["type"], widget["name"])
        # A link to a bypassed node leads on to what is connected to that node, so the prompt holds it too.
        assert all(isinstance(inputs.get(name), list) for name in node["linked"]), node["type"]


@each_workflow_in_each_mode
def test_nothing_overlaps(opened: ComfyPage, mode: str, file: Path) -> None:
    for one, other in itertools.combinations(opened.boxes(), 2):
        apart = (
            one["right"] <= other["x"]
            or other["right"] <= one["x"]
            or one["bottom"] <= other["y"]
            or other["bottom"] <= one["y"]
        )
        assert apart, f"{one['type']} {one['id']} and {other['type']} {other['id']}"


@each_workflow_in_each_mode
def test_a_template_runs_to_the_end(opened: ComfyPage, server: Server, mode: str, file: Path) -> None:
    opened.set_numbers({**LARGEST_FOR_TESTS, **SMALLEST.get(file.stem, {}), "seed": next(_seeds) * 100})
    outputs = opened.run()
    saved = [image for output in outputs.values() for image in output.get("images", []) if image["type"] == "output"]
    pictures = [image for image in saved if image["filename"].endswith(".png")]
    assert len(pictures) == IMAGES[file.stem]
    for image in pictures:
        width, height = png_size(server.client.view(image))
        assert width >= LARGEST_FOR_TESTS["width"] and height >= LARGEST_FOR_TESTS["height"]
    for video in (image for image in saved if image["filename"].endswith(".mp4")):
        assert len(server.client.view(video)) > 0
    assert any(image["filename"].endswith(".mp4") for image in saved) == (file.stem == "interpolation")
    assert opened.faults == []
    assert opened.foreign == []


def test_every_node_is_in_some_template(server: Server) -> None:
    ours = {name for name, node in server.client.get("/object_info").items() if name.startswith("ImageMixer")}
    used = {node["type"] for file in WORKFLOWS for node in json.loads(file.read_text(encoding="utf-8"))["nodes"]}
    assert ours - NOT_FOR_GRAPHS <= used


def test_comfyui_lists_the_templates_with_their_pictures(server: Server) -> None:
    listed: dict[str, Any] = server.client.get("/workflow_templates")
    assert sorted(listed["image-mixer"]) == [file.stem for file in WORKFLOWS]
    for file in WORKFLOWS:
        picture = server.client.request("GET", f"/api/workflow_templates/image-mixer/{file.stem}.jpg")
        assert picture.startswith(b"\xff\xd8"), file.stem


def png_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a PNG's bytes."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    return width, height
