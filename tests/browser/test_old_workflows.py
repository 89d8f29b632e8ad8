"""Templates of earlier versions in today's page: they open with the values that they were saved with, and run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from image_mixer.tests.browser.pages import LARGEST_FOR_TESTS, MODES, ROOT, ComfyPage

OLD = sorted((ROOT / "tests" / "old_workflows").glob("*/*.json"))
SMOKE = {("classic", "weight_sweep"), ("vue", "local_mix")}
PAID_SIDE = {"width": 256, "height": 256}
"""A service takes no smaller sides."""
_seeds = itertools.count(500)


@pytest.mark.parametrize(
    ("mode", "file"),
    [
        pytest.param(
            mode,
            file,
            id=f"{mode}-{file.parent.name}-{file.stem}",
            marks=[pytest.mark.smoke] if (mode, file.stem) in SMOKE else [],
        )
        for mode in MODES
        for file in OLD
    ],
)
def test_an_old_workflow_opens_as_it_was_saved_and_runs(
    page_of: Callable[[str], ComfyPage], mode: str, file: Path
) -> None:
    page = page_of(mode)
    page.open_workflow(file)
    saved = {str(node["id"]): node for node in json.loads(file.read_text(encoding="utf-8"))["nodes"]}
    shown = page.widgets()
    assert {node["id"]: node["type"] for node in shown} == {key: node["type"] for key, node in saved.items()}
    for node in shown:
        values = saved[node["id"]].get("widgets_values") or []
        assert [widget["value"] for widget in node["widgets"]][: len(values)] == values, node["type"]
    remote = any(node["type"] == "ImageMixerRemote" for node in shown)
    page.set_numbers({**LARGEST_FOR_TESTS, **(PAID_SIDE if remote else {}), "seed": next(_seeds) * 100})
    outputs = page.run()
    assert any(image["type"] == "output" for output in outputs.values() for image in output.get("images", []))
    assert page.faults == [] and page.foreign == []
