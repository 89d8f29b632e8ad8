"""A sheet that the server has in its cache comes back to a page that has been loaded anew."""

from __future__ import annotations

import pytest
from image_mixer.tests.browser.graphs import Link, Spec, build
from image_mixer.tests.browser.pages import MODES, comfy_page
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser

GRAPH: list[Spec] = [
    ("demo", "ImageMixerDemoModel", (20, 60), {}),
    ("sheet", "ImageMixerSheet", (400, 60), {"captions": "heart"}),
]
LINKS: list[Link] = [("demo", 4, "sheet", "images")]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_from_the_cache_shows_its_sheet_without_a_save_node(browser: Browser, server: Server, mode: str) -> None:
    for _ in range(2):
        with comfy_page(browser, server, mode) as shown:
            ids = build(shown, GRAPH, LINKS)
            (output,) = shown.run()[str(ids["sheet"])]["image_mixer_sheet"]
            shown.page.locator(".imx-cell").first.wait_for(state="attached")
            picture = shown.page.locator(".imx-frame img")
            shown.page.wait_for_function("one => one.naturalWidth > 0", arg=picture.element_handle())
            assert output["filename"] in str(picture.get_attribute("src"))
            assert shown.faults == [] and shown.foreign == []
