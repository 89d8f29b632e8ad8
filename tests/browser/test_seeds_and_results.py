"""Seed buttons and the seeds of past runs; the sheet on the node and what a click on it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from image_mixer.tests.browser.graphs import Link, Spec, build
from image_mixer.tests.browser.pages import MODES, ComfyPage

SMALL = {"width": 64, "height": 64, "steps": 1}
GRAPH: list[Spec] = [
    ("demo", "ImageMixerDemoModel", (20, 60), {}),
    ("sweep", "ImageMixerSweepWeights", (20, 400), {"variants": 3}),
    ("mix", "ImageMixerMix", (350, 60), {}),
    ("recipe", "ImageMixerRecipe", (700, 60), {**SMALL, "seed": 5}),
    ("engine", "ImageMixerLocal", (1050, 60), {}),
    ("sheet", "ImageMixerSheet", (1400, 60), {}),
    ("save", "ImageMixerSave", (1900, 60), {"filename_prefix": "seeds/one"}),
]
LINKS: list[Link] = [
    ("demo", 4, "mix", "images.image0"),
    ("demo", 5, "mix", "images.image1"),
    ("sweep", 0, "mix", "weights"),
    ("mix", 0, "recipe", "mix"),
    ("recipe", 0, "engine", "recipe"),
    ("demo", 0, "engine", "model"),
    ("demo", 2, "engine", "vae"),
    ("demo", 3, "engine", "clip_vision"),
    ("engine", 0, "sheet", "images"),
    ("engine", 2, "sheet", "report"),
    ("sheet", 0, "save", "images"),
    ("engine", 2, "save", "report"),
]
_VALUE = "([id, name]) => app.graph.getNodeById(id).widgets.find(one => one.name === name).value"


def value(shown: ComfyPage, node: int, name: str) -> Any:
    return shown.page.evaluate(_VALUE, [node, name])


def history(shown: ComfyPage, node: int) -> list[int]:
    seeds = "([id]) => (app.graph.getNodeById(id).properties.image_mixer_seeds ?? []).map(one => one.seed)"
    found: list[int] = shown.page.evaluate(seeds, [node])
    return found


@pytest.mark.parametrize("mode", MODES)
def test_seed_buttons_over_ten_runs(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    ids = build(shown, GRAPH, LINKS)
    shown.page.evaluate("([id]) => app.canvas.centerOnNode(app.graph.getNodeById(id))", [ids["recipe"]])
    control = "control_after_generate"
    random = shown.page.get_by_role("button", name="random", exact=True)
    if value(shown, ids["recipe"], control) != "randomize":
        random.click()
    assert value(shown, ids["recipe"], control) == "randomize"
    assert random.get_attribute("aria-pressed") == "true"
    used: list[int] = []
    for _ in range(8):
        used.insert(0, value(shown, ids["recipe"], "seed"))
        outputs = shown.run()
        shown.page.wait_for_function(
            "([id, seed]) => app.graph.getNodeById(id).properties.image_mixer_seeds?.[0].seed === seed",
            arg=[ids["recipe"], used[0]],
        )
        report = next(output["image_mixer_report"][0] for output in outputs.values() if "image_mixer_report" in output)
        assert f'"seed": {used[0]}' in report
    assert len(set(used)) == 8 and history(shown, ids["recipe"]) == used

    shown.page.get_by_role("button", name="last", exact=True).click()
    assert (value(shown, ids["recipe"], "seed"), value(shown, ids["recipe"], control)) == (used[0], "fixed")
    shown.page.get_by_role("button", name="new, keep").click()
    kept = value(shown, ids["recipe"], "seed")
    assert kept not in used and value(shown, ids["recipe"], control) == "fixed"
    shown.run()
    assert value(shown, ids["recipe"], "seed") == kept
    shown.page.wait_for_function("() => document.querySelectorAll('.imx-once').length === 9")
    shown.page.get_by_role("button", name=f"Use seed {used[3]}").click()
    assert value(shown, ids["recipe"], "seed") == used[3]
    shown.run()
    shown.page.wait_for_timeout(500)
    assert history(shown, ids["recipe"]) == [used[3], kept, *used[:3], *used[4:]]
    thumbnails = shown.page.locator(".imx-once img")
    assert thumbnails.count() == 9
    assert shown.page.evaluate("() => [...document.querySelectorAll('.imx-once img')][0].naturalWidth") > 0
    saved = shown.page.evaluate("([id]) => app.graph.getNodeById(id).serialize().widgets_values", [ids["recipe"]])
    assert saved == ["", "", 64, 64, 1, 3, used[3], "fixed", 1]
    assert shown.faults == [] and shown.foreign == []


@pytest.mark.parametrize("mode", MODES)
def test_a_linked_seed_is_remembered_where_it_stands(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    seed: list[Spec] = [("seed", "ImageMixerSeed", (350, 500), {"seed": 77, "control_after_generate": "fixed"})]
    ids = build(shown, [*GRAPH, *seed], [*LINKS, ("seed", 0, "recipe", "seed")])
    shown.run()
    shown.page.wait_for_function(
        "([id]) => app.graph.getNodeById(id).properties.image_mixer_seeds?.length === 1", arg=[ids["seed"]]
    )
    assert history(shown, ids["seed"]) == [77] and history(shown, ids["recipe"]) == []


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=pytest.mark.smoke) for mode in MODES])
def test_a_cell_of_the_sheet_gives_its_weights_and_seed(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    ids = build(shown, GRAPH, LINKS)
    shown.page.evaluate(
        "([id]) => { const recipe = app.graph.getNodeById(id); recipe.widgets.find(w => w.name === 'samples').value = 2 }",
        [ids["recipe"]],
    )
    shown.run()
    cells = shown.page.locator(".imx-cell")
    cells.first.wait_for()
    assert cells.count() == 6, "three variants of two samples"
    assert "0.5, 0.5 · seed 6" in str(cells.nth(3).get_attribute("aria-label"))
    shown.page.evaluate("([id]) => app.canvas.centerOnNode(app.graph.getNodeById(id))", [ids["sheet"]])
    shown.page.wait_for_timeout(400)
    cells.nth(3).click()
    assert value(shown, ids["mix"], "pad") == "0.5, 0.5"
    assert value(shown, ids["recipe"], "seed") == 6
    assert value(shown, ids["recipe"], "control_after_generate") == "fixed"
    assert value(shown, ids["recipe"], "samples") == 1
    prompt = shown.prompt()
    assert "weights" not in prompt[str(ids["mix"])]["inputs"]
    shown.run()
    shown.page.wait_for_function("() => document.querySelectorAll('.imx-cell').length === 1")
    assert shown.faults == [] and shown.foreign == []
