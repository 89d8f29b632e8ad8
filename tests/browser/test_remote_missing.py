"""Missing pictures: the badge of the paid node, and the button that pays again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from image_mixer.tests.browser.graphs import Link, Spec, build
from image_mixer.tests.browser.pages import MODES, RUN_MS, ComfyPage, comfy_page
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Fault
from image_mixer.tools.comfy_tool.commands.locales import FOLDER
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser

LINKS: list[Link] = [
    ("p", 0, "mix", "images.image0"),
    ("mix", 0, "recipe", "mix"),
    ("recipe", 0, "engine", "recipe"),
    ("engine", 0, "save", "images"),
    ("engine", 1, "save", "report"),
]
LACKING = "at most 2 paid jobs · 2 missing · pay again: 2 jobs"
NOTHING_LACKING = "at most 2 paid jobs"
ALWAYS = 10**6

_WATCH = """
() => {
  const draw = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    window.drawn?.push(text);
    return draw.call(this, text, ...place);
  };
}
"""
_SEEN = """
id => {
  if (LiteGraph.vueNodesMode) return document.querySelector(`[data-node-id="${id}"]`)?.innerText.split('\\n') ?? [];
  window.drawn = [];
  app.canvas.setDirty(true, true);
  app.canvas.draw(true, true);
  const {drawn} = window;
  window.drawn = null;
  return drawn;
}
"""
_SHOWS = f"([id, text]) => ({_SEEN})(id).includes(text)"
_COUNTER = "id => app.graph.getNodeById(id).widgets.find(one => one.name === 'pay_again').value"
_UNDO = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.undo()"
_LOAD = "() => app.loadGraphData(JSON.parse(JSON.stringify(app.rootGraph.serialize())))"
_ENTER = """
() => {
  app.canvas.setGraph(app.rootGraph.nodes.find(node => node.subgraph).subgraph);
  app.canvas.ds.reset(); app.canvas.ds.offset = [-900, 100];
}
"""
_GROUP = """
ids => {
  app.graph.convertToSubgraph(new Set(ids.map(id => app.graph.getNodeById(id))));
  app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState();
}
"""


@pytest.fixture(params=MODES)
def shown(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[ComfyPage]:
    """A separate page that records the text drawn on the canvas."""
    with comfy_page(browser, server, request.param) as page:
        page.page.evaluate(_WATCH)
        yield page
        assert page.foreign == []


@pytest.fixture
def failing(service: Service) -> Iterator[Service]:
    """The stand-in, whose jobs all fail after they were paid for, until the faults are cleared."""
    answer = '{"status":"failed","id":"{id}","message":"out of memory"}'
    service.state.faults += [
        Fault("mix", body=answer, taken=True, times=ALWAYS), Fault("fetch", body=answer, times=ALWAYS),
        Fault("image", status=404, times=ALWAYS),
    ]  # fmt: skip
    yield service
    service.state.faults.clear()


def paid(shown: ComfyPage, missing: str) -> dict[str, int]:
    """Build a graph that pays for two jobs, with an unused seed."""
    recipe = {
        "prompt": "x", "width": 256, "height": 256, "samples": 2, "seed": random.getrandbits(50),
        "control_after_generate": "fixed",
    }  # fmt: skip
    specs: list[Spec] = [
        ("p", "LoadImage", (20, 60), {"image": "cat.jpg"}),
        ("mix", "ImageMixerMix", (350, 60), {}),
        ("recipe", "ImageMixerRecipe", (700, 60), recipe),
        ("engine", "ImageMixerRemote", (1050, 60), {"endpoint": "modelslab v6", "missing": missing}),
        ("save", "ImageMixerSave", (1400, 60), {"filename_prefix": "missing/one"}),
    ]
    return build(shown, specs, LINKS)


def sees(shown: ComfyPage, node: int, text: str) -> None:
    """Wait until a text stands on the screen: in the node's own elements in Vue mode, else on the canvas."""
    try:
        shown.page.wait_for_function(_SHOWS, arg=[node, text], polling=100)
    except Exception as error:
        raise AssertionError(f"{text!r} is not among {shown.page.evaluate(_SEEN, node)}") from error


def test_the_badge_says_what_is_missing_until_it_has_come(shown: ComfyPage, failing: Service) -> None:
    ids = paid(shown, "placeholder")
    sees(shown, ids["engine"], NOTHING_LACKING)
    shown.run()
    sees(shown, ids["engine"], LACKING)
    before = len(failing.state.paid)
    failing.state.faults.clear()
    shown.run()
    sees(shown, ids["engine"], NOTHING_LACKING)
    assert len(failing.state.paid) == before
    assert shown.faults == []


def test_the_error_has_a_button_that_raises_the_counter_and_pays_nothing_yet(
    shown: ComfyPage, failing: Service
) -> None:
    ids = paid(shown, "stop")
    sees(shown, ids["engine"], NOTHING_LACKING)
    shown.page.evaluate("() => app.queuePrompt(0, 1)")
    button = shown.page.locator(".imx-toast").get_by_role("button", name="Pay again: 2 jobs", exact=True)
    button.wait_for(timeout=RUN_MS)
    sees(shown, ids["engine"], LACKING)
    before = len(failing.state.paid)
    button.click()
    assert shown.page.evaluate(_COUNTER, ids["engine"]) == 1
    shown.page.wait_for_timeout(1000)
    queue = shown.server.client.get("/queue")
    assert (queue["queue_running"], queue["queue_pending"], len(failing.state.paid)) == ([], [], before)
    assert shown.page.locator(".imx-toast").count() == 0

    shown.page.evaluate(_UNDO)
    shown.page.wait_for_timeout(500)
    assert shown.page.evaluate(_COUNTER, ids["engine"]) == 0
    sees(shown, ids["engine"], LACKING)
    assert shown.faults == []


def test_an_error_that_paying_does_not_cure_has_no_such_button(shown: ComfyPage, service: Service) -> None:
    service.state.faults.append(Fault("mix", status=400, body='{"status":"error","message":"odd"}', times=ALWAYS))
    ids = paid(shown, "stop")
    shown.page.evaluate("() => app.queuePrompt(0, 1)")
    toast = shown.page.locator(".imx-toast")
    toast.wait_for(timeout=RUN_MS)
    sees(shown, ids["engine"], "at most 2 paid jobs · 2 missing")
    assert toast.get_by_role("button").all_inner_texts() == ["Show the node", "Close"]
    service.state.faults.clear()


def test_another_graph_knows_nothing_of_it(shown: ComfyPage, failing: Service) -> None:
    ids = paid(shown, "placeholder")
    shown.run()
    sees(shown, ids["engine"], LACKING)
    shown.page.evaluate(_LOAD)
    sees(shown, ids["engine"], NOTHING_LACKING)


def test_a_node_inside_a_subgraph_says_it_too(shown: ComfyPage, failing: Service) -> None:
    ids = paid(shown, "placeholder")
    shown.page.evaluate(_GROUP, [ids["engine"]])
    shown.page.wait_for_timeout(400)
    shown.run()
    shown.page.evaluate(_ENTER)
    sees(shown, ids["engine"], LACKING)


def test_the_items_of_a_list_are_told_of_together(shown: ComfyPage) -> None:
    ids = paid(shown, "placeholder")
    tell = """([id, ...told]) => {
      app.api.dispatchCustomEvent('execution_start', {prompt_id: 'x'});
      for (const [missing, jobs] of told) app.api.dispatchCustomEvent('image_mixer_missing', {node: String(id), missing, jobs});
    }"""
    shown.page.evaluate(tell, [ids["engine"], [1, 1], [0, 0], [2, 0]])
    sees(shown, ids["engine"], "at most 2 paid jobs · 3 missing · pay again: 1 job")
    shown.page.evaluate(tell, [ids["engine"], [0, 0]])
    sees(shown, ids["engine"], NOTHING_LACKING)


def test_the_badge_follows_the_graph_on_the_screen(shown: ComfyPage) -> None:
    ids = paid(shown, "stop")
    sees(shown, ids["engine"], NOTHING_LACKING)
    shown.page.evaluate(
        """id => { app.graph.remove(app.graph.getNodeById(id));
             app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState() }""",
        ids["save"],
    )
    sees(shown, ids["engine"], "no paid job")


def test_the_badge_speaks_chinese(browser: Browser, server: Server, failing: Service) -> None:
    with comfy_page(browser, server, "vue", locale="zh") as shown:
        ids = paid(shown, "placeholder")
        shown.run()
        said = json.loads((FOLDER / "zh" / "main.json").read_text(encoding="utf-8"))["imageMixer"]
        texts = ("at most {0} paid jobs", "{0} missing", "pay again: {0} jobs")
        sees(shown, ids["engine"], " · ".join(said[text].format(2) for text in texts))
