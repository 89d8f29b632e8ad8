"""What the page shows of a run: messages that say what to do, steps, paid jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from image_mixer.tests.browser.graphs import Link, Spec, build
from image_mixer.tests.browser.pages import MODES, ComfyPage

PAID: list[Spec] = [
    ("p", "LoadImage", (20, 60), {"image": "cat.jpg"}),
    ("mix", "ImageMixerMix", (350, 60), {}),
    ("recipe", "ImageMixerRecipe", (700, 60), {"prompt": "x", "width": 256, "height": 256, "samples": 2}),
    ("engine", "ImageMixerRemote", (1050, 60), {"endpoint": "keyless"}),
    ("save", "ImageMixerSave", (1400, 60), {}),
]
LINKS: list[Link] = [
    ("p", 0, "mix", "images.image0"),
    ("mix", 0, "recipe", "mix"),
    ("recipe", 0, "engine", "recipe"),
    ("engine", 0, "save", "images"),
    ("engine", 1, "save", "report"),
]
_SAID = """([id, text]) => app.graph.getNodeById(id).badges
  .some(badge => (typeof badge === 'function' ? badge() : badge).text === text)"""


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=pytest.mark.smoke) for mode in MODES])
def test_a_failure_is_said_with_its_cure(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    build(shown, PAID, LINKS)
    shown.page.evaluate("() => app.queuePrompt(0, 1)")
    toast = shown.page.locator(".imx-toast")
    toast.wait_for()
    assert "There is no key for keyless" in toast.inner_text()
    assert toast.get_attribute("role") == "alert"
    toast.get_by_role("button", name="Set the key…").click()
    dialog = shown.page.locator("dialog.imx-dialog")
    dialog.locator(".imx-key", has_text="keyless").wait_for()
    shown.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert shown.foreign == []


@pytest.mark.parametrize("mode", MODES)
def test_the_wrong_model_file_can_be_changed_in_place(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    ids = build(
        shown,
        [("loader", "ImageMixerLoadCheckpoint", (20, 60), {}), ("engine", "ImageMixerLocal", (400, 60), {})],
        [("loader", 0, "engine", "model"), ("loader", 1, "engine", "vae")],
    )
    shown.page.evaluate(
        """([loader, engine]) => {
          const widget = app.graph.getNodeById(loader).widgets[0];
          widget.options.values = ['other.ckpt', 'image-mixer-full.ckpt']; widget.value = 'other.ckpt';
          app.api.dispatchCustomEvent('execution_error', {node_id: String(engine), node_type: 'ImageMixerLocal',
            exception_message: 'The model was not loaded by Load Image Mixer Checkpoint: use that.'});
        }""",
        [ids["loader"], ids["engine"]],
    )
    shown.page.get_by_role("button", name="Use image-mixer-full.ckpt").click()
    value = shown.page.evaluate("([id]) => app.graph.getNodeById(id).widgets[0].value", [ids["loader"]])
    assert value == "image-mixer-full.ckpt"


@pytest.mark.parametrize("mode", MODES)
def test_paid_jobs_are_counted_before_the_queue(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    blend: list[Spec] = [("w", "ImageMixerBlendWeights", (20, 500), {"from": "1", "to": "0.5", "variants": 3})]
    ids = build(shown, [*PAID, *blend], LINKS)
    shown.page.wait_for_function(_SAID, arg=[ids["engine"], "at most 2 paid jobs"])
    connect = """([from, to, name]) => { const node = app.graph.getNodeById(to);
      app.graph.getNodeById(from).connect(0, node, node.inputs.findIndex(one => one.name === name));
      app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState() }"""
    shown.page.evaluate(connect, [ids["w"], ids["mix"], "weights"])
    shown.page.wait_for_function(_SAID, arg=[ids["engine"], "at most 6 paid jobs"])
    shown.page.evaluate(
        """([id]) => { app.graph.remove(app.graph.getNodeById(id));
             app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState() }""",
        [ids["save"]],
    )
    shown.page.wait_for_function(_SAID, arg=[ids["engine"], "no paid job"])
    if mode == "vue":
        assert shown.page.get_by_text("no paid job").first.is_visible()
    assert shown.faults == [] and shown.foreign == []


@pytest.mark.parametrize("mode", MODES)
def test_the_local_engine_says_its_steps(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    ids = build(shown, [("engine", "ImageMixerLocal", (400, 60), {})], [])
    shown.page.evaluate(
        """([id]) => { window.said = [];
          app.api.addEventListener('progress_text', ({detail}) => window.said.push(detail.text));
          app.api.dispatchCustomEvent('progress', {node: String(id), value: 3, max: 8, prompt_id: 'x'}) }""",
        [ids["engine"]],
    )
    assert shown.page.evaluate("() => window.said") == ["step 3 of 8"]
