"""Blend Weights and Sweep Weights draw their variants."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from image_mixer.tests.browser.graphs import build
from image_mixer.tests.browser.pages import MODES, ComfyPage


@pytest.mark.parametrize("mode", MODES)
def test_variants_are_drawn(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    simplex = {"ingredients": 3, "pattern": "simplex", "variants": 36}
    ids = build(
        shown,
        [
            ("blend", "ImageMixerBlendWeights", (100, 80), {"variants": 5}),
            ("sweep", "ImageMixerSweepWeights", (450, 80), simplex),
            ("number", "PrimitiveInt", (100, 500), {"value": 4}),
        ],
        [],
    )
    shown.page.wait_for_timeout(500)
    drawings = shown.page.locator(".imx-drawing")
    assert drawings.count() == 2
    assert drawings.nth(0).locator("rect").count() == 10, "a part for each of two weights of five variants"
    assert drawings.nth(0).get_by_role("img").get_attribute("aria-label") == "From 1, 0 to 0, 1"
    assert drawings.nth(1).locator("circle").count() == 36
    shown.page.evaluate(
        """([id]) => { const widget = app.graph.getNodeById(id).widgets.find(one => one.name === 'variants');
                       widget.value = 7; widget.callback?.(7) }""",
        [ids["blend"]],
    )
    assert drawings.nth(0).locator("rect").count() == 14
    # A linked number counts; weights of different lengths are reported.
    shown.page.evaluate(
        """([from, to]) => { const node = app.graph.getNodeById(to);
             app.graph.getNodeById(from).connect(0, node, node.inputs.findIndex(one => one.name === 'variants')) }""",
        [ids["number"], ids["blend"]],
    )
    shown.page.wait_for_timeout(300)
    assert drawings.nth(0).locator("rect").count() == 8
    shown.page.evaluate(
        """([id]) => { const widget = app.graph.getNodeById(id).widgets.find(one => one.name === 'to');
                       widget.value = '1'; widget.callback?.('1') }""",
        [ids["blend"]],
    )
    assert "do not match" in drawings.nth(0).inner_text()
    saved = shown.page.evaluate("([id]) => app.graph.getNodeById(id).serialize().widgets_values", [ids["sweep"]])
    assert saved == [3, "simplex", 36, 0], "the drawing is no value"
    assert shown.faults == [] and shown.foreign == []
