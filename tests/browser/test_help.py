"""Every node has a help page, and the page shows it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from image_mixer.tests.browser.pages import MODES, comfy_page
from image_mixer.tools.comfy_tool.paths import ROOT
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser

PAGES = ROOT / "web" / "docs"


def nodes_of(server: Server) -> dict[str, Any]:
    return {name: node for name, node in server.client.get("/object_info").items() if name.startswith("ImageMixer")}


def test_every_node_has_a_page_and_every_page_a_node(server: Server) -> None:
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted(nodes_of(server))


def test_pages_name_every_input_and_output(server: Server) -> None:
    for name, node in nodes_of(server).items():
        text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        first = text.splitlines()[0]
        assert first == f"# {node['display_name']}", name
        assert f"(pictures/{name}.webp)" in text and (PAGES / "pictures" / f"{name}.webp").is_file(), name
        inputs = [key for group in ("required", "optional") for key in node["input"].get(group, ())]
        for key in inputs + node["output_name"]:
            assert re.search(rf"`{re.escape(key)}`", text), (name, key)


@pytest.mark.parametrize("mode", MODES)
def test_the_help_panel_shows_a_page(browser: Browser, server: Server, mode: str) -> None:
    """On a separate page: in Vue mode, front end 1.47.12 sometimes stops drawing all nodes, core's too, if the graph is
    cleared while the panel is open."""
    with comfy_page(browser, server, mode) as shown:
        page = shown.page
        page.evaluate("""() => {
          app.graph.clear();
          const node = LiteGraph.createNode('ImageMixerMix');
          node.pos = [300, 300];
          app.graph.add(node);
          app.canvas.ds.reset();
          app.canvas.selectItems([node]);
        }""")
        page.get_by_test_id("info-button").first.click()
        page.get_by_role("heading", name="Image Mix", exact=True).first.wait_for(timeout=10_000)
        page.get_by_text("The images to mix and how much of each.", exact=False).first.wait_for(timeout=10_000)
        # The server remembers that the panel is open, and the pages of later tests would open with it.
        page.evaluate("() => app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', false)")
