"""The runner's conversion of a workflow against the page's own, template by template."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from image_mixer.tests.browser.graphs import sent
from image_mixer.tests.browser.pages import WORKFLOWS, ComfyPage
from image_mixer.tools.comfy_tool.server.server import Server
from image_mixer.tools.comfy_tool.workflow.convert import convert

SMOKE = "regions_and_text"


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, id=file.stem, marks=[pytest.mark.smoke] if file.stem == SMOKE else []) for file in WORKFLOWS],
)
def test_the_runner_sends_what_the_page_sends(page_of: Callable[[str], ComfyPage], server: Server, file: Path) -> None:
    page = page_of("classic")
    page.open_workflow(file)
    converted = convert(json.loads(file.read_text(encoding="utf-8")), server.client.get("/object_info"))
    assert sent(converted) == sent(page.prompt())
