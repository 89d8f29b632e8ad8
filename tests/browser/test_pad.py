"""The pad of Image Mix with a real mouse, keyboard and touch, and through all that a graph goes through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from image_mixer.tests.browser.graphs import build, image_mix, weights_in_prompt, weights_on_screen
from image_mixer.tests.browser.pages import MODES, ComfyPage, comfy_page
from image_mixer.tools.comfy_tool.install.programs import ensure_axe
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser

_SETTLED_MS = 250
_UNCHANGED = """() => { const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker;
  return tracker.constructor.graphEqual(tracker.activeState, JSON.parse(JSON.stringify(app.rootGraph.serialize()))) }"""
_PAD = "([id]) => app.graph.getNodeById(id).widgets.find(widget => widget.name === 'pad')"


@pytest.fixture(params=[pytest.param(mode, marks=pytest.mark.smoke) for mode in MODES])
def shown(page_of: Callable[[str], ComfyPage], request: pytest.FixtureRequest) -> Iterator[ComfyPage]:
    page = page_of(request.param)
    yield page
    assert page.faults == []
    assert page.foreign == []


def settle(shown: ComfyPage) -> None:
    shown.page.wait_for_timeout(_SETTLED_MS)


def shows(shown: ComfyPage, expected: list[float]) -> bool:
    """Return whether the screen comes to show these weights, with the same ones in the prompt."""
    deadline = time.monotonic() + 5
    while weights_on_screen(shown) != expected and time.monotonic() < deadline:
        settle(shown)
    assert both(shown) == expected
    return True


def both(shown: ComfyPage) -> list[float]:
    """Return the weights, after checking that the prompt and the screen agree."""
    settle(shown)
    seen, sent = weights_on_screen(shown), weights_in_prompt(shown)
    assert seen == (sent or [1.0] * len(seen))
    return seen


def at(shown: ComfyPage, selector: str, index: int = 0) -> tuple[float, float]:
    box = shown.page.locator(selector).nth(index).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(shown: ComfyPage, to: tuple[float, float]) -> None:
    mouse = shown.page.mouse
    mouse.move(*at(shown, ".imx-puck"))
    mouse.down()
    mouse.move(*to, steps=6)
    mouse.up()


def puck(shown: ComfyPage) -> tuple[float, float]:
    settle(shown)
    return at(shown, ".imx-puck")


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_puck_sets_the_weights_and_follows_them(shown: ComfyPage, count: int) -> None:
    image_mix(shown, count)
    assert both(shown) == [1.0] * count
    middle = puck(shown)
    corner = at(shown, ".imx-corner", 1)
    drag(shown, corner)
    assert both(shown) == [0.0, 1.0, *[0.0] * (count - 2)]
    half = tuple((a + b) / 2 for a, b in zip(middle, at(shown, ".imx-puck"), strict=True))
    drag(shown, half)  # type: ignore[arg-type]
    weights = both(shown)
    assert max(weights) == weights[1] == 1.0 and min(weights) > 0
    assert puck(shown) == pytest.approx(half, abs=2)


def test_a_double_click_takes_a_picture_alone_and_the_button_all(shown: ComfyPage) -> None:
    image_mix(shown, 4)
    shown.page.mouse.dblclick(*at(shown, ".imx-corner", 2))
    assert both(shown) == [0, 0, 1, 0]
    shown.page.mouse.click(*at(shown, ".imx-corner", 1))
    assert both(shown) == [0, 0, 1, 0], "one click changes nothing"
    shown.page.get_by_role("button", name="equal shares").click()
    assert both(shown) == [1, 1, 1, 1]


def test_the_keyboard_does_all_that_the_mouse_does(shown: ComfyPage) -> None:
    image_mix(shown, 3)
    keyboard = shown.page.keyboard
    shown.page.locator(".imx-puck").focus()
    keyboard.press("ArrowUp")
    first = both(shown)
    assert first[0] == 1 > first[1] == first[2]
    keyboard.press("2")
    assert both(shown) == [0, 1, 0]
    keyboard.press("c")
    assert both(shown) == [1, 1, 1]
    keyboard.press("Tab")
    keyboard.press("ArrowLeft")
    assert both(shown) == [0.99, 1, 1], "the tab key leads to the first slider"
    keyboard.press("Tab")
    keyboard.type("0,25")
    keyboard.press("Enter")
    assert both(shown) == [0.25, 1, 1]
    shown.page.locator(".imx-corner").nth(2).focus()
    keyboard.press("Enter")
    assert both(shown) == [0, 0, 1]


def test_a_slider_and_a_number_set_one_weight(shown: ComfyPage) -> None:
    image_mix(shown, 3)
    box = shown.page.locator(".imx-row input[type=range]").nth(1).bounding_box()
    assert box is not None
    shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    weights = both(shown)
    assert weights[0] == weights[2] == 1 and weights[1] == pytest.approx(0.5, abs=0.03)
    field = shown.page.locator(".imx-number").nth(2)
    field.fill("-0.5")
    field.press("Enter")
    assert both(shown)[2] == -0.5
    field.fill("nonsense")
    field.press("Enter")
    assert both(shown)[2] == -0.5


def test_a_lock_keeps_a_weight(shown: ComfyPage) -> None:
    ids = image_mix(shown, 3)
    field = shown.page.locator(".imx-number").first
    field.fill("0.4")
    field.press("Enter")
    shown.page.get_by_role("button", name="lock picture 1").click()
    drag(shown, at(shown, ".imx-corner", 1))
    assert both(shown) == [0.4, 1, 0]
    shown.page.mouse.dblclick(*at(shown, ".imx-corner", 2))
    assert both(shown) == [0.4, 0, 1]
    shown.page.evaluate("() => app.loadGraphData(app.graph.serialize())")
    settle(shown)
    pressed = shown.page.eval_on_selector_all(".imx-lock", "all => all.map(one => one.ariaPressed)")
    assert pressed == ["true", "false", "false"], ids


@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_it_is_the_same_at_any_zoom(shown: ComfyPage, scale: float) -> None:
    image_mix(shown, 3)
    view = "([k]) => { app.canvas.ds.scale = k; app.canvas.ds.offset = [-500, 60]; app.canvas.setDirty(true, true) }"
    shown.page.evaluate(view, [scale])
    settle(shown)
    first, second = at(shown, ".imx-corner", 0), at(shown, ".imx-corner", 1)
    drag(shown, ((first[0] + second[0]) / 2, (first[1] + second[1]) / 2))
    weights = both(shown)
    assert weights == pytest.approx([1, 1, 0], abs=0.03) and weights[2] == 0


def test_a_weight_stays_with_its_picture(shown: ComfyPage) -> None:
    ids = image_mix(shown, 3)
    for index, text in enumerate(("0.1", "0.2", "0.3")):
        field = shown.page.locator(".imx-number").nth(index)
        field.fill(text)
        field.press("Enter")
    assert both(shown) == [0.1, 0.2, 0.3]
    connect = """([from, to, socket]) => { const node = app.graph.getNodeById(to);
      app.graph.getNodeById(from).connect(0, node, node.inputs.findIndex(one => one.name === socket)); }"""
    remove = """([id, socket]) => { const node = app.graph.getNodeById(id);
      node.disconnectInput(node.inputs.findIndex(one => one.name === socket)) }"""

    shown.page.evaluate(remove, [ids["mix"], "images.image0"])
    assert both(shown) == [0.2, 0.3]
    shown.page.evaluate(connect, [ids["p0"], ids["mix"], "images.image2"])
    assert both(shown) == [0.2, 0.3, 1.0]
    # Another picture on a used socket takes its weight; the others keep theirs.
    shown.page.evaluate(connect, [ids["p0"], ids["mix"], "images.image0"])
    assert both(shown) == [1.0, 0.3, 1.0]
    shown.page.evaluate("([id]) => app.graph.remove(app.graph.getNodeById(id))", [ids["p2"]])
    assert both(shown)[1:] == [1.0]


def test_undo_and_redo(shown: ComfyPage) -> None:
    image_mix(shown, 3)
    shown.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()")
    drag(shown, at(shown, ".imx-corner", 1))
    assert both(shown) == [0, 1, 0]
    drag(shown, at(shown, ".imx-corner", 2))
    assert both(shown) == [0, 0, 1]
    for key, expected in (("z", [0, 1, 0]), ("z", [1, 1, 1]), ("y", [0, 1, 0]), ("y", [0, 0, 1])):
        shown.page.keyboard.press(f"Control+{key}")
        assert shows(shown, expected)
        # A graph that differs from the state it was loaded from would count as a change by hand, and redo be gone.
        assert shown.page.evaluate(_UNCHANGED)


def test_undo_gives_a_picture_back_with_its_weight(shown: ComfyPage) -> None:
    ids = image_mix(shown, 3)
    shown.page.mouse.dblclick(*at(shown, ".imx-corner", 0))
    field = shown.page.locator(".imx-number").nth(2)
    field.fill("0.3")
    field.press("Enter")
    assert both(shown) == [1, 0, 0.3]
    shown.page.evaluate(
        """([id]) => { app.canvas.emitBeforeChange(); app.graph.getNodeById(id).disconnectInput(0);
                       app.canvas.emitAfterChange() }""",
        [ids["mix"]],
    )
    assert both(shown) == [0, 0.3]
    shown.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()")
    for _ in range(3):
        shown.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.undo()")
        shown.page.wait_for_timeout(600)
        if len(weights_on_screen(shown)) == 3:
            break
    assert both(shown) == [1, 0, 0.3]


def test_save_reload_copy_and_a_switch_of_mode(shown: ComfyPage) -> None:
    image_mix(shown, 2)
    drag(shown, at(shown, ".imx-corner", 1))
    assert both(shown) == [0, 1]
    saved = shown.page.evaluate("() => JSON.stringify(app.graph.serialize())")
    assert '"0, 1"' in saved
    shown.page.evaluate("() => app.graph.clear()")
    shown.page.evaluate("text => app.loadGraphData(JSON.parse(text))", saved)
    settle(shown)
    assert both(shown) == [0, 1]

    copied: list[Any] = shown.page.evaluate("""() => {
      app.canvas.copyToClipboard(app.graph.nodes);
      app.canvas.pasteFromClipboard();
      return new Promise(done => setTimeout(() => done(app.graph.nodes.filter(node => node.type === 'ImageMixerMix')
        .map(node => node.widgets.find(widget => widget.name === 'pad').value)), 300));
    }""")
    assert copied == ["0, 1", "0, 1"]

    shown.page.evaluate("text => app.loadGraphData(JSON.parse(text))", saved)
    switch = "on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    was = shown.page.evaluate("() => LiteGraph.vueNodesMode")
    for mode in (not was, was):
        shown.page.evaluate(switch, mode)
        shown.page.wait_for_timeout(900)
        assert both(shown) == [0, 1]
    drag(shown, at(shown, ".imx-corner", 0))
    assert both(shown) == [1, 0]


@pytest.mark.parametrize("mode", MODES)
def test_a_subgraph_keeps_the_pad(browser: Browser, server: Server, mode: str) -> None:
    # On a separate page, because the front end keeps the widgets of a subgraph that was thrown away.
    with comfy_page(browser, server, mode) as shown:
        ids = image_mix(shown, 2)
        recipe = """([id]) => { const node = LiteGraph.createNode('ImageMixerRecipe'); node.pos = [1100, 60];
          app.graph.add(node); app.graph.getNodeById(id).connect(0, node, 0) }"""
        shown.page.evaluate(recipe, [ids["mix"]])
        drag(shown, at(shown, ".imx-corner", 1))
        assert both(shown) == [0, 1]
        # The front end itself complains of Autogrow sockets here (1.58): its own nodes do so too.
        shown.page.evaluate(
            "([id]) => { const node = app.graph.getNodeById(id); app.canvas.selectItems([node]);"
            " app.graph.convertToSubgraph(new Set([node])) }",
            [ids["mix"]],
        )
        settle(shown)
        shown.faults.clear()
        assert weights_in_prompt(shown) == [0, 1]
        shown.page.evaluate("""() => {
          const host = app.graph.nodes.find(node => node.subgraph);
          app.canvas.setGraph(host.subgraph); app.canvas.ds.reset(); app.canvas.ds.offset = [-400, 100];
        }""")
        shown.page.wait_for_timeout(700)
        assert weights_on_screen(shown) == [0, 1]
        assert shown.page.locator(".imx-corner img").count() == 2, "pictures are found outside of the subgraph"
        drag(shown, at(shown, ".imx-corner", 0))
        settle(shown)
        assert weights_on_screen(shown) == weights_in_prompt(shown) == [1, 0]
        assert shown.foreign == []


def test_connected_weights_put_the_pad_out_of_use(shown: ComfyPage) -> None:
    build(
        shown,
        [
            ("mix", "ImageMixerMix", (500, 60), {}),
            ("w", "ImageMixerWeights", (100, 60), {}),
            ("p", "LoadImage", (100, 300), {"image": "cat.jpg"}),
        ],
        [("p", 0, "mix", "images.image0"), ("w", 0, "mix", "weights")],
    )
    shown.page.get_by_text("The connected input weights sets the weights.").wait_for()
    assert shown.page.locator(".imx-pad").get_attribute("inert") is not None


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_axe_finds_no_fault_in_the_pad(shown: ComfyPage, palette: str) -> None:
    image_mix(shown, 4)
    shown.page.evaluate("name => app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
    settle(shown)
    shown.page.evaluate(ensure_axe().read_text(encoding="utf-8"))
    found: dict[str, Any] = shown.page.evaluate("() => axe.run('.imx-pad')")
    faults = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    shown.page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
    assert faults == []
    assert len(found["passes"]) > 5


@pytest.mark.parametrize("mode", MODES)
def test_touch(browser: Browser, server: Server, mode: str) -> None:
    with comfy_page(browser, server, mode, touch=True) as shown:
        image_mix(shown, 3)
        start, end = at(shown, ".imx-puck"), at(shown, ".imx-corner", 2)
        finger = shown.page.context.new_cdp_session(shown.page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            places = [{"x": x, "y": y} for x, y in points]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
            shown.page.wait_for_timeout(30)

        touch("touchStart", start)
        for step in range(1, 6):
            touch("touchMove", tuple(a + (b - a) * step / 5 for a, b in zip(start, end, strict=True)))  # type: ignore[arg-type]
        touch("touchEnd")
        assert both(shown) == [0, 0, 1]
        corner = at(shown, ".imx-corner", 1)
        shown.page.touchscreen.tap(*corner)
        shown.page.touchscreen.tap(*corner)
        assert both(shown) == [0, 1, 0]
        assert shown.faults == []


def test_the_server_gets_what_the_pad_shows(shown: ComfyPage) -> None:
    image_mix(shown, 2)
    drag(shown, at(shown, ".imx-corner", 0))
    shown.page.evaluate("""() => {
      const mix = app.graph.nodes.find(node => node.type === 'ImageMixerMix');
      const probe = LiteGraph.createNode('ProbeMix');
      probe.pos = [1100, 60]; app.graph.add(probe); mix.connect(0, probe, 0);
    }""")
    assert both(shown) == [1, 0]
    outputs = shown.run()
    assert [text for output in outputs.values() for text in output.get("text", [])] == ["1, 0"]
