"""The pack's controls inside a subgraph: if the page has promoted the widget that they set, they set the promoted one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from image_mixer.tests.browser.graphs import Link, Spec, build, weights_in_prompt, weights_on_screen
from image_mixer.tests.browser.pages import MODES, ComfyPage, comfy_page
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser

FIXED = {"width": 64, "height": 64, "steps": 1, "seed": 5, "samples": 2, "control_after_generate": "fixed"}
GRAPH: list[Spec] = [
    ("demo", "ImageMixerDemoModel", (20, 60), {}),
    ("mix", "ImageMixerMix", (350, 60), {}),
    ("recipe", "ImageMixerRecipe", (700, 60), FIXED),
    ("engine", "ImageMixerLocal", (1050, 60), {}),
    ("sheet", "ImageMixerSheet", (1400, 60), {}),
]
LINKS: list[Link] = [
    ("demo", 4, "mix", "images.image0"),
    ("demo", 5, "mix", "images.image1"),
    ("mix", 0, "recipe", "mix"),
    ("recipe", 0, "engine", "recipe"),
    ("demo", 0, "engine", "model"),
    ("demo", 2, "engine", "vae"),
    ("demo", 3, "engine", "clip_vision"),
    ("engine", 0, "sheet", "images"),
    ("engine", 2, "sheet", "report"),
]
INTO_A_SUBGRAPH = "ids => { app.graph.convertToSubgraph(new Set(ids.map(id => app.graph.getNodeById(id)))) }"
PROMOTE = """
([id, name]) => {
  const {subgraph} = app.rootGraph.nodes.find(node => node.subgraph), node = subgraph.getNodeById(id);
  const input = node.inputs.find(input => input.name === name);
  subgraph.addInput(name, String(input.type)).connect(input, node);
}
"""
CAPTURE = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()"
ENTER = """
() => {
  app.canvas.setGraph(app.rootGraph.nodes.find(node => node.subgraph).subgraph);
  app.canvas.ds.reset();
  app.canvas.ds.offset = [-200, 100];
}
"""
LEAVE = "() => { app.canvas.setGraph(app.rootGraph); app.canvas.ds.reset(); app.canvas.ds.offset = [-900, 100] }"
RELOAD = "() => app.loadGraphData(JSON.parse(JSON.stringify(app.rootGraph.serialize())))"
NAMES = "() => app.rootGraph.nodes.find(node => node.subgraph).inputs.map(input => input.name)"


@pytest.fixture(params=MODES)
def shown(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[ComfyPage]:
    """A separate page, because the front end keeps the widgets of a subgraph that was thrown away."""
    with comfy_page(browser, server, request.param) as page:
        yield page
        assert page.foreign == []


def inside(shown: ComfyPage, ids: dict[str, int], names: list[str], promoted: list[tuple[str, str]]) -> None:
    """Put nodes into a subgraph, promote inputs of them, and go in. The front end promotes seeds by itself."""
    shown.page.evaluate(INTO_A_SUBGRAPH, [ids[name] for name in names])
    shown.page.wait_for_timeout(400)
    for name, socket in promoted:
        shown.page.evaluate(PROMOTE, [ids[name], socket])
    shown.page.evaluate(CAPTURE)
    go(shown, ENTER)
    # The front end itself complains of Autogrow sockets here (1.58): its own nodes do so too.
    shown.faults.clear()


def go(shown: ComfyPage, script: str) -> None:
    shown.page.evaluate(script)
    shown.page.wait_for_timeout(900)


def inputs(shown: ComfyPage, kind: str) -> dict[str, Any]:
    """Return what the page would send for the one node of a kind."""
    (found,) = (node["inputs"] for node in shown.prompt().values() if node["class_type"] == kind)
    return dict(found)


def test_the_seed_buttons_set_a_promoted_seed(shown: ComfyPage) -> None:
    ids = build(shown, GRAPH, LINKS)
    inside(shown, ids, ["recipe"], [])
    assert inputs(shown, "ImageMixerRecipe")["seed"] == 5
    shown.page.get_by_role("button", name="new, keep").click()
    kept = inputs(shown, "ImageMixerRecipe")["seed"]
    assert kept != 5
    shown.page.get_by_role("button", name="random", exact=True).click()
    for _ in range(2):
        shown.run()
    shown.page.wait_for_function("() => document.querySelectorAll('.imx-once').length === 2")
    assert inputs(shown, "ImageMixerRecipe")["seed"] != kept
    shown.page.get_by_role("button", name=f"Use seed {kept}").click()
    assert inputs(shown, "ImageMixerRecipe")["seed"] == kept
    shown.run()
    assert inputs(shown, "ImageMixerRecipe")["seed"] == kept
    assert shown.page.evaluate(NAMES) == ["mix", "seed"], "the seed is still promoted"
    assert shown.faults == []


def test_the_seed_buttons_rest_while_a_link_outside_decides(shown: ComfyPage) -> None:
    seed: Spec = ("seed", "ImageMixerSeed", (350, 500), {"seed": 77, "control_after_generate": "fixed"})
    ids = build(shown, [*GRAPH, seed], [*LINKS, ("seed", 0, "recipe", "seed")])
    inside(shown, ids, ["recipe"], [])
    assert shown.page.locator(".imx-seeds:visible .imx-button:disabled").count() == 3
    assert shown.faults == []


def test_the_pad_sets_promoted_weights(shown: ComfyPage) -> None:
    ids = build(shown, GRAPH, LINKS)
    inside(shown, ids, ["mix", "recipe"], [("mix", "pad")])
    shown.page.locator(".imx-corner").nth(1).dblclick()
    shown.page.wait_for_timeout(300)
    assert weights_on_screen(shown) == weights_in_prompt(shown) == [0, 1]
    go(shown, LEAVE)
    assert weights_in_prompt(shown) == [0, 1]
    go(shown, RELOAD)
    go(shown, ENTER)
    assert weights_on_screen(shown) == weights_in_prompt(shown) == [0, 1]
    field = shown.page.locator(".imx-number").first
    field.fill("0.25")
    field.press("Enter")
    shown.page.wait_for_timeout(300)
    assert weights_on_screen(shown) == weights_in_prompt(shown) == [0.25, 1]


def test_a_cell_sets_promoted_weights_seed_and_samples(shown: ComfyPage) -> None:
    ids = build(shown, GRAPH, LINKS)
    inside(shown, ids, ["mix", "recipe"], [("mix", "pad"), ("recipe", "samples")])
    shown.page.locator(".imx-corner").nth(0).dblclick()
    go(shown, LEAVE)
    shown.run()
    shown.page.locator(".imx-cell").first.wait_for()
    assert shown.page.locator(".imx-cell").count() == 2
    go(shown, ENTER)
    shown.page.locator(".imx-corner").nth(1).dblclick()
    go(shown, LEAVE)
    assert weights_in_prompt(shown) == [0, 1]
    shown.page.locator(".imx-cell").nth(1).click()
    shown.page.wait_for_timeout(300)
    recipe = inputs(shown, "ImageMixerRecipe")
    assert (weights_in_prompt(shown), recipe["seed"], recipe["samples"]) == ([1, 0], 6, 1)
    assert shown.page.evaluate(NAMES) == ["images.image0", "images.image1", "seed", "pad", "samples"]


def test_the_drawing_shows_promoted_weights(shown: ComfyPage) -> None:
    blend: Spec = ("blend", "ImageMixerBlendWeights", (20, 400), {"from": "1, 0", "to": "0, 1", "variants": 4})
    ids = build(shown, [*GRAPH, blend], [*LINKS, ("blend", 0, "mix", "weights")])
    inside(shown, ids, ["blend"], [("blend", "variants")])
    shown.page.get_by_text("4 variants of 2 weights").wait_for()
    assert shown.faults == []
