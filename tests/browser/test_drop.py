"""Files dropped on the canvas: PNGs of both savers, a workflow and a prompt in API format bring their graph back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.browser.graphs import Link, Spec, build, sent, weights_in_prompt, weights_on_screen
from image_mixer.tests.browser.pages import MODES, ROOT, ComfyPage

TEMPLATE = ROOT / "workflows" / "unclip.json"
SHARES = [0.35, 0.8]
GRAPH: list[Spec] = [
    ("a", "LoadImage", (20, 60), {"image": "cat.jpg"}),
    ("b", "LoadImage", (20, 500), {"image": "rocket.jpg"}),
    ("demo", "ImageMixerDemoModel", (400, 600), {}),
    ("mix", "ImageMixerMix", (400, 60), {"pad": "0.35, 0.8"}),
    ("recipe", "ImageMixerRecipe", (900, 60), {"width": 64, "height": 64, "steps": 1}),
    ("engine", "ImageMixerLocal", (1300, 60), {"strength": 0.9}),
    ("ours", "ImageMixerSave", (1700, 60), {"filename_prefix": "dropped/ours"}),
    ("core", "SaveImage", (1700, 500), {"filename_prefix": "dropped/core"}),
]
LINKS: list[Link] = [
    ("a", 0, "mix", "images.image0"),
    ("b", 0, "mix", "images.image1"),
    ("mix", 0, "recipe", "mix"),
    ("recipe", 0, "engine", "recipe"),
    ("demo", 0, "engine", "model"),
    ("demo", 2, "engine", "vae"),
    ("demo", 3, "engine", "clip_vision"),
    ("engine", 0, "ours", "images"),
    ("engine", 2, "ours", "report"),
    ("engine", 0, "core", "images"),
]
_seeds = itertools.count(3000)
"""A run that the server has in its cache saves no PNG."""


@pytest.fixture
def shown(page_of: Callable[[str], ComfyPage], mode: str) -> ComfyPage:
    return page_of(mode)


def emptied(shown: ComfyPage) -> None:
    """Clear the canvas."""
    shown.page.evaluate(
        "() => { app.canvas.setGraph(app.rootGraph); app.graph.clear(); app.canvas.setDirty(true, true) }"
    )
    shown.page.wait_for_timeout(200)


def built(shown: ComfyPage) -> list[dict[str, Any]]:
    """Build the graph of these tests on the canvas; return its nodes as a workflow names them."""
    ids = build(shown, GRAPH, LINKS)
    return [{"id": ids[name], "type": kind} for name, kind, _, _ in GRAPH]


@pytest.mark.parametrize("saver", ["ImageMixerSave", "SaveImage"])
@pytest.mark.parametrize("mode", MODES)
def test_a_png_of_either_saver(shown: ComfyPage, mode: str, saver: str) -> None:
    nodes = built(shown)
    shown.set_numbers({"seed": next(_seeds)})
    queued, prompt = shown.widgets(), shown.prompt()
    record = shown.record()
    (node,) = (str(one["id"]) for one in nodes if one["type"] == saver)
    (image,) = record["outputs"][node]["images"]
    emptied(shown)
    shown.drop(shown.server.base / "output" / image["subfolder"] / image["filename"])
    shown.wait_for(nodes)
    assert shown.widgets() == queued
    assert sent(shown.prompt()) == sent(prompt) == sent(record["prompt"][2])
    assert weights_on_screen(shown) == weights_in_prompt(shown) == SHARES
    assert shown.faults == [] and shown.foreign == []


@pytest.mark.parametrize("mode", MODES)
def test_a_workflow_file(shown: ComfyPage, mode: str) -> None:
    nodes = json.loads(TEMPLATE.read_text(encoding="utf-8"))["nodes"]
    shown.open_workflow(TEMPLATE)
    opened, prompt = shown.widgets(), shown.prompt()
    emptied(shown)
    shown.drop(TEMPLATE)
    shown.wait_for(nodes)
    assert shown.widgets() == opened
    assert sent(shown.prompt()) == sent(prompt)
    (pad,) = (node["widgets_values"][0] for node in nodes if node["type"] == "ImageMixerMix")
    assert weights_on_screen(shown) == weights_in_prompt(shown) == [float(one) for one in pad.split(",")]
    assert shown.faults == [] and shown.foreign == []


@pytest.mark.parametrize("mode", ["classic", pytest.param("vue", marks=pytest.mark.smoke)])
def test_a_prompt_in_api_format(shown: ComfyPage, mode: str, tmp_path: Path) -> None:
    nodes = built(shown)
    prompt = shown.prompt()
    file = tmp_path / "prompt.json"
    file.write_text(json.dumps(prompt), encoding="utf-8")
    emptied(shown)
    shown.drop(file)
    shown.wait_for(nodes)
    assert sent(shown.prompt()) == sent(prompt)
    assert weights_on_screen(shown) == weights_in_prompt(shown) == SHARES
    assert shown.faults == [] and shown.foreign == []
