"""Contact Sheet and Save Mix in a live server: lists, reports, and two engines on one sheet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.placeholder import GROUND
from image_mixer.nodes.output import REPORT_KEY
from image_mixer.tests.standin.state import Fault
from image_mixer.tests.support.live import Live, graph, local_graph, prepared
from image_mixer.tests.support.remote_scene import remote_graph, scene
from image_mixer.tools.comfy_tool.server.server import Server
from PIL import Image


@pytest.fixture(scope="module")
def live(shared: Live) -> Live:
    return shared


def opened(live: Live, saved: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(live.image(saved)))


def seeds_graph(count: int) -> dict[str, Any]:
    """A graph with one recipe per seed, `count` seeds; all pictures go on one sheet, which is saved with the reports."""
    prompt = local_graph()
    prompt |= graph(
        sequence=("ImageMixerSeedSequence", {"seed": 5, "count": count, "mode": "count up"}),
        sheet=("ImageMixerSheet", {"images": ["local", 0], "report": ["local", 2]}),
        kept=(
            "ImageMixerSave",
            {"images": ["sheet", 0], "report": ["local", 2], "filename_prefix": "test/kept"},
        ),
    )
    prompt["recipe"]["inputs"]["seed"] = ["sequence", 0]
    return prompt


def test_a_sheet_of_a_list_is_saved_once_with_all_reports(live: Live) -> None:
    outputs = live.good(seeds_graph(3))
    (sheet,) = outputs["kept"]["images"]
    reports = json.loads(opened(live, sheet).info[REPORT_KEY])
    assert [report["images"][0]["seed"] for report in reports] == [5, 6, 7]
    for number, saved in enumerate(outputs["save"]["images"]):
        report = json.loads(opened(live, saved).info[REPORT_KEY])
        assert report["images"][0]["seed"] == 5 + number


def test_a_sheet_is_told_again_from_the_cache_and_needs_no_save_node(live: Live) -> None:
    prompt = seeds_graph(2)
    del prompt["kept"], prompt["save"]
    # As a page does: older servers send cached outputs only to the client that queued.
    asked = [live.post("/prompt", {"prompt": prompt, "client_id": "a page"})[1]["prompt_id"] for _ in range(2)]
    first, again = (live.ended(one)["outputs"]["sheet"]["image_mixer_sheet"] for one in asked)
    assert first == again
    assert [cell["seed"] for cell in first[0]["cells"]] == [5, 6]


def test_names_go_on_over_the_batches_of_a_list(live: Live) -> None:
    prompt = seeds_graph(2)
    prompt["recipe"]["inputs"]["samples"] = 2
    prompt["save"]["inputs"]["filename_prefix"] = "test/list"
    names = [image["filename"] for image in live.good(prompt)["save"]["images"]]
    assert names == [f"list_{number:05}_.png" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize(("layout", "size"), [("rows", (3, 2)), ("triangle", (3, 3))])
def test_layouts(live: Live, layout: str, size: tuple[int, int]) -> None:
    prompt = local_graph(mix={"images.image2": ["a", 0], "weights": ["sweep", 0]})
    prompt |= graph(
        sweep=("ImageMixerSweepWeights", {"ingredients": 3, "pattern": "simplex", "variants": 6, "seed": 0}),
        sheet=("ImageMixerSheet", {"images": ["local", 0], "layout": layout}),
        kept=("SaveImage", {"images": ["sheet", 0], "filename_prefix": "test/layout"}),
    )
    sheet = opened(live, live.good(prompt)["kept"]["images"][0])
    assert sheet.size == tuple(side * (64 + 8) + 8 for side in size)


def test_samples_stand_in_a_row_and_two_engines_in_rows_of_their_own(live: Live) -> None:
    prompt = local_graph(recipe={"samples": 2}, mix={"weights": ["sweep", 0]})
    prompt["again"] = json.loads(json.dumps(prompt["local"]))
    prompt["again"]["inputs"]["strength"] = 0.5
    prompt |= graph(
        sweep=("ImageMixerSweepWeights", {"ingredients": 2, "pattern": "ramp", "variants": 3, "seed": 0}),
        sheet=(
            "ImageMixerSheet",
            {"images": ["local", 0], "beside": ["again", 0]},
        ),
        told=(
            "ImageMixerSheet",
            {
                "images": ["local", 0], "report": ["local", 2], "beside": ["again", 0], "beside_report": ["again", 2],
            },
        ),
        grid=("ImageMixerSheet", {"images": ["local", 0], "report": ["local", 2]}),
        plain=("SaveImage", {"images": ["sheet", 0], "filename_prefix": "test/plain"}),
        both=("SaveImage", {"images": ["told", 0], "filename_prefix": "test/both"}),
        alone=("SaveImage", {"images": ["grid", 0], "filename_prefix": "test/grid"}),
    )  # fmt: skip
    outputs = live.good(prompt)
    assert opened(live, outputs["plain"]["images"][0]).size == (6 * 72 + 8, 2 * 72 + 8)
    assert opened(live, outputs["both"]["images"][0]).width == 2 * 72 + 8
    assert opened(live, outputs["alone"]["images"][0]).width == 2 * 72 + 8


def test_nothing_of_a_server_that_writes_no_metadata(tmp_path: Path) -> None:
    with Server(base=prepared(tmp_path), extra_args=["--disable-metadata"]) as server:
        live = Live(server)
        (saved,) = live.good(local_graph())["save"]["images"]
        assert not set(opened(live, saved).info) & {REPORT_KEY, "prompt", "workflow"}


def test_a_placeholder_is_shown_and_saved_as_what_it_is(tmp_path: Path) -> None:
    prompt = remote_graph(
        recipe={"samples": 3, "seed": 2**52 + 11},
        remote={"missing": "placeholder"},
        save={"filename_prefix": "test/gap"},
    )
    prompt |= graph(
        sheet=("ImageMixerSheet", {"images": ["remote", 0], "report": ["remote", 1]}),
        one=("ImageMixerSheet", {"images": ["remote", 0]}),
        bare=("SaveImage", {"images": ["one", 0], "filename_prefix": "test/bare"}),
    )
    with scene(tmp_path / "base") as live:
        live.service.state.faults.append(
            Fault("mix", status=400, body='{"status":"error","message":"an odd picture"}', skip=1)
        )
        outputs = live.good(prompt)
        saved = outputs["save"]["images"]
        reports = [json.loads(opened(live, one).info[REPORT_KEY]) for one in saved]
        assert reports == [reports[0]] * 3
        reasons = [image["missing"] for image in reports[0]["images"]]
        (gap,) = (j for j in range(3) if reasons[j])
        assert "an odd picture" in reasons[gap]
        names = [one["filename"] for one in saved]
        assert names == [f"gap_{1 + j:05}_{'missing' * (j == gap)}.png" for j in range(3)]
        grounds = [opened(live, one).convert("RGB").getpixel((128, 12)) == GROUND for one in saved]
        assert grounds == [j == gap for j in range(3)]

        cells = outputs["sheet"]["image_mixer_sheet"][0]["cells"]
        assert [(cell["weights"], cell["seed"]) for cell in cells] == [([0.5, 0.7], 2**52 + 11 + j) for j in range(3)]
        assert opened(live, outputs["bare"]["images"][0]).getpixel((8 + 264 * gap + 128, 8 + 12)) == GROUND

        names = [one["filename"] for one in live.good(prompt)["save"]["images"]]
        assert names == [f"gap_{number:05}_.png" for number in (4, 5, 6)]
        assert live.paid == 3
