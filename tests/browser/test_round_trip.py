"""Every template there and back: opened in the template browser, run, its PNG dropped on another server's page, run again.

The other server is a separate process that has run nothing else: its outputs, history and caches start empty. It
shares the models, the inputs and the user's private folder, in which what was paid for is kept.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from image_mixer.tests.browser.pages import LARGEST_FOR_TESTS, MODES, ROOT, WORKFLOWS, ComfyPage, comfy_page, server_in
from image_mixer.tests.browser.test_workflows import IMAGES, SMALLEST
from image_mixer.tests.standin.app import Service
from image_mixer.tools.comfy_tool.server.server import Server
from PIL import Image
from playwright.sync_api import Browser

SMOKE = {("classic", "remote_mix"), ("vue", "triangle")}
TIMED = "side_by_side"
"""The template whose sheet has the engines' seconds in its captions: of it the pictures alone are compared."""

FILM = ROOT / "workflows" / "interpolation.json"
WORKING = {
    "ImageMixerLocal", "ImageMixerRemote", "ImageMixerApply", "ImageMixerSheet", "ImageMixerSave", "KSampler",
    "VAEDecode", "CreateVideo", "SaveVideo",
}  # fmt: skip
"""Nodes that make the pictures: none of them may come from a cache of the other server."""

SHARED = ("models", "input", "user/__image_mixer")
EMBEDS = "output/mix_embeds"
_seeds = itertools.count(2000)
_RANDOMIZE = """
() => {
  for (const node of app.graph.nodes)
    for (const widget of node.widgets ?? [])
      if (widget.name === 'control_after_generate') { widget.value = 'randomize'; widget.callback?.(widget.value) }
}
"""


@pytest.fixture(scope="module")
def other(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("other")
    fresh = server_in(base)
    for name in SHARED:
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).symlink_to(server.base / name, target_is_directory=True)
    # Load Embeds reads from the outputs: this one file is an input of its template.
    (base / EMBEDS).mkdir(parents=True)
    shutil.copy(server.base / EMBEDS / "embeds_00001_.safetensors", base / EMBEDS)
    with fresh:
        yield fresh


def first_run(shown: ComfyPage, file: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(the widgets as they were queued, the record of the run) of a template made small, with seeds that change by
    themselves afterwards."""
    shown.open_template(file)
    shown.set_numbers({**LARGEST_FOR_TESTS, **SMALLEST.get(file.stem, {}), "seed": next(_seeds) * 100})
    shown.page.evaluate(_RANDOMIZE)
    queued = shown.widgets()
    record = shown.record()
    assert shown.faults == [] and shown.foreign == []
    drawn = any(widget["name"] == "control_after_generate" for node in queued for widget in node["widgets"])
    assert (shown.widgets() != queued) == drawn, "the page has gone on to another seed"
    return queued, record


def saved(server: Server, record: dict[str, Any], suffix: str) -> list[Path]:
    """The files of an ending that a run saved, by node."""
    return [
        server.base / "output" / image["subfolder"] / image["filename"]
        for _, output in sorted(record["outputs"].items())
        for image in output.get("images", [])
        if image["type"] == "output" and image["filename"].endswith(suffix)
    ]


def pixels(file: Path) -> tuple[tuple[int, int], bytes]:
    with Image.open(file) as image:
        return image.size, image.convert("RGB").tobytes()


def pictures_on(sheet: Path, record: dict[str, Any], side: int) -> list[bytes]:
    """The pixels of a sheet's pictures, `side` high, without their captions."""
    (shown,) = (
        output["image_mixer_sheet"][0] for output in record["outputs"].values() if "image_mixer_sheet" in output
    )
    with Image.open(sheet) as image:
        boxes = [cell["box"] for cell in shown["cells"]]
        return [image.crop((left, top, left + width, top + side)).tobytes() for left, top, width, _ in boxes]


def frames(film: Path) -> list[bytes]:
    with av.open(str(film)) as opened:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in opened.decode(video=0)]


def from_cache(record: dict[str, Any]) -> set[str]:
    """Return the classes of the nodes that did not run."""
    prompt = record["prompt"][2]
    messages = record["status"]["messages"]
    return {
        prompt[node]["class_type"] for kind, said in messages if kind == "execution_cached" for node in said["nodes"]
    }


def nodes_of(file: Path) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["nodes"]
    return nodes


@pytest.mark.parametrize(
    ("mode", "file"),
    [
        pytest.param(
            mode,
            file,
            id=f"{mode}-{file.stem}",
            marks=[pytest.mark.smoke if (mode, file.stem) in SMOKE else pytest.mark.soak],
        )
        for mode in MODES
        for file in WORKFLOWS
    ],
)
def test_a_dropped_png_makes_the_same_pixels_and_pays_nothing(
    page_of: Callable[[str], ComfyPage],
    browser: Browser,
    server: Server,
    other: Server,
    service: Service,
    mode: str,
    file: Path,
) -> None:
    before = len(service.state.paid)
    queued, made = first_run(page_of(mode), file)
    pngs = saved(server, made, ".png")
    paid = len(service.state.paid)
    assert (paid > before) == any(node["type"] == "ImageMixerRemote" for node in queued)

    with comfy_page(browser, other, mode) as page:
        page.drop(pngs[0])
        page.wait_for(nodes_of(file))
        assert page.widgets() == queued
        again = page.record()
        assert page.faults == [] and page.foreign == []

    assert again["prompt"][2] == made["prompt"][2]
    assert not from_cache(again) & WORKING
    assert len(service.state.paid) == paid and service.state.violations == []
    copies = saved(other, again, ".png")
    assert len(copies) == len(pngs) == IMAGES[file.stem]
    if file.stem == TIMED:
        side = SMALLEST[TIMED]["height"]
        assert pictures_on(copies[0], again, side) == pictures_on(pngs[0], made, side)
    else:
        assert [pixels(one) for one in copies] == [pixels(one) for one in pngs]
    assert [frames(one) for one in saved(other, again, ".mp4")] == [frames(one) for one in saved(server, made, ".mp4")]


@pytest.mark.soak
@pytest.mark.parametrize("mode", MODES)
def test_a_dropped_film_brings_its_graph(
    page_of: Callable[[str], ComfyPage], browser: Browser, server: Server, other: Server, mode: str
) -> None:
    """Core's Save Video keeps the graph in the MP4, as a PNG does."""
    queued, made = first_run(page_of(mode), FILM)
    (film,) = saved(server, made, ".mp4")
    with comfy_page(browser, other, mode) as page:
        page.drop(film)
        page.wait_for(nodes_of(FILM))
        assert page.widgets() == queued
        assert page.faults == [] and page.foreign == []
