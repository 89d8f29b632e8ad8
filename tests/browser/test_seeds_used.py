"""The seed that a run really used is one and the same in the prompt, in the PNG's graph, in its report and among the last
seeds: over batch queues, inside subgraphs, and for prompts that other extensions send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from image_mixer.tests.browser.graphs import Link, Spec, build, sent
from image_mixer.tests.browser.pages import MODES, RUN_MS, ComfyPage, comfy_page
from image_mixer.tools.comfy_tool.server.server import Server
from PIL import Image
from playwright.sync_api import Browser

SEED, RECIPE = "ImageMixerSeed", "ImageMixerRecipe"
EACH_TIME = {"control_after_generate": "randomize"}
GRAPH: list[Spec] = [
    ("demo", "ImageMixerDemoModel", (20, 60), {}),
    ("mix", "ImageMixerMix", (350, 60), {}),
    ("recipe", RECIPE, (700, 60), {"width": 64, "height": 64, "steps": 1, "seed": 12, **EACH_TIME}),
    ("engine", "ImageMixerLocal", (1050, 60), {}),
    ("save", "ImageMixerSave", (1400, 60), {"filename_prefix": "seeds/used"}),
]
LINKS: list[Link] = [
    ("demo", 4, "mix", "images.image0"),
    ("demo", 5, "mix", "images.image1"),
    ("mix", 0, "recipe", "mix"),
    ("recipe", 0, "engine", "recipe"),
    ("demo", 0, "engine", "model"),
    ("demo", 2, "engine", "vae"),
    ("demo", 3, "engine", "clip_vision"),
    ("engine", 0, "save", "images"),
    ("engine", 2, "save", "report"),
]
LINKED: Spec = ("seed", SEED, (350, 500), {"seed": 11, **EACH_TIME})

SECOND: list[Spec] = [
    ("recipe two", RECIPE, (700, 500), {"width": 64, "height": 64, "steps": 1, "seed": 13, **EACH_TIME}),
    ("engine two", "ImageMixerLocal", (1050, 500), {}),
    ("save two", "ImageMixerSave", (1400, 500), {"filename_prefix": "seeds/two"}),
]
SECOND_LINKS: list[Link] = [
    (f"{one} two" if one in ("recipe", "engine") else one, output, f"{to} two", name)
    for one, output, to, name in LINKS
    if to in ("recipe", "engine", "save")
]

INTO_A_SUBGRAPH = "ids => { app.graph.convertToSubgraph(new Set(ids.map(id => app.graph.getNodeById(id)))) }"
KEPT_INSIDE = """
() => {
  const {subgraph} = app.graph.nodes.find(node => node.subgraph);
  for (const input of subgraph.inputs.filter(input => input.name.startsWith('seed'))) subgraph.removeInput(input);
}
"""
LISTEN = """
() => {
  window.ended = [];
  window.listening ??= ['execution_success', 'execution_error', 'execution_interrupted'].map(kind =>
    app.api.addEventListener(kind, ({detail}) => window.ended.push({kind, id: detail.prompt_id})));
}
"""
THE_PAGE = "([, seeds]) => { app.queuePrompt(0, seeds.length) }"
SENDS_ITSELF = """
async ([id, seeds]) => {
  const widget = app.graph.getNodeById(id).widgets.find(widget => widget.name === 'seed');
  for (const seed of seeds) {
    widget.value = seed;
    await app.api.queuePrompt(0, await app.graphToPrompt());
  }
}
"""
WRAPS_THE_QUEUE = """
([id, seeds]) => {
  const left = [...seeds], before = app.api.queuePrompt;
  app.api.queuePrompt = async function (number, made, ...more) {
    const {output, workflow} = structuredClone(made), old = output[id].inputs.seed, seed = left.shift();
    output[id].inputs.seed = seed;
    const node = workflow.nodes.find(node => String(node.id) === String(id));
    node.widgets_values = node.widgets_values.map(value => value === old ? seed : value);
    if (!left.length) app.api.queuePrompt = before;
    await new Promise(done => setTimeout(done, 150));
    return before.call(this, number, {output, workflow}, ...more);
  };
  app.queuePrompt(0, seeds.length);
}
"""
CHANGES_THE_PROMPT = """
async ([id, seeds]) => {
  for (const seed of seeds) {
    const made = await app.graphToPrompt();
    made.output[id].inputs.seed = seed;
    await app.api.queuePrompt(0, made);
  }
}
"""
LAST_SEEDS = """
([id, inside]) => {
  const node = inside ? app.graph.nodes.find(node => node.subgraph).subgraph.nodes[0] : app.graph.getNodeById(id);
  return (node.properties.image_mixer_seeds ?? []).map(one => one.seed);
}
"""


@pytest.fixture
def own_page(browser: Browser, server: Server, mode: str) -> Iterator[ComfyPage]:
    """A separate page, because the front end keeps the widgets of a subgraph that was thrown away."""
    with comfy_page(browser, server, mode) as shown:
        yield shown


def runs(shown: ComfyPage, queue: str, node: int, seeds: list[int]) -> list[dict[str, Any]]:
    """Return the records of the runs that a script queues, one per seed, in order."""
    shown.page.evaluate(LISTEN)
    shown.page.evaluate(queue, [node, seeds])
    shown.page.wait_for_function("count => window.ended.length === count", arg=len(seeds), timeout=RUN_MS)
    ended = shown.page.evaluate("() => window.ended")
    assert {one["kind"] for one in ended} == {"execution_success"}
    return [shown.record_of(one["id"]) for one in ended]


def seed_in_graph(workflow: dict[str, Any], holder: int) -> int:
    """Return the seed with which a workflow would run: that of the node `holder`, or of the subgraph's node if that one
    sets it, as it does after the front end has made a subgraph."""
    subgraphs = workflow.get("definitions", {}).get("subgraphs", [])
    nodes = [*workflow["nodes"], *(node for one in subgraphs for node in one["nodes"])]
    (node,) = (node for node in nodes if str(node["id"]) == str(holder))
    link = next((one.get("link") for one in node["inputs"] if one["name"] == "seed"), None)
    if link is None:
        return int(node["widgets_values"][node["widgets_values"].index("randomize") - 1])
    (host,) = (node for node in workflow["nodes"] if node["type"] == subgraphs[0]["id"])
    seeds = [one for one in subgraphs[0]["inputs"] if one["type"] == "INT"]
    (at,) = (number for number, one in enumerate(seeds) if link in one["linkIds"])
    return int(host["widgets_values"][at])


def told(shown: ComfyPage, record: dict[str, Any], holder: int, save: int) -> dict[str, int]:
    """Return the seed of a run from each record of it: `holder` is the node that sets it, `save` the one that saved."""
    prompt = record["prompt"][2]
    (used,) = (node["inputs"]["seed"] for name, node in prompt.items() if name.split(":")[-1] == str(holder))
    output = record["outputs"][str(save)]
    (image,) = output["images"]
    with Image.open(shown.server.base / "output" / image["subfolder"] / image["filename"]) as png:
        texts = dict(png.info)
    assert sent(json.loads(texts["prompt"])) == sent(prompt)
    assert texts["image_mixer_report"] == output["image_mixer_report"][0]
    report = json.loads(texts["image_mixer_report"])
    graph = seed_in_graph(json.loads(texts["workflow"]), holder)
    return {"prompt": used, "graph": graph, "report": report["images"][0]["seed"]}


def wait_for_last_seeds(shown: ComfyPage, node: int, seeds: list[int], inside: bool = False) -> None:
    """Wait until the last seeds of a node, or of the one in the subgraph, are these, the newest of them last."""
    shown.page.wait_for_function(
        f"([node, inside, seeds]) => JSON.stringify(({LAST_SEEDS})([node, inside])) === JSON.stringify(seeds)",
        arg=[node, inside, seeds[::-1]],
    )


@pytest.mark.parametrize("place", ["promoted", "kept inside"])
@pytest.mark.parametrize("mode", MODES)
def test_a_batch_queue_draws_a_seed_a_prompt_in_a_subgraph(own_page: ComfyPage, mode: str, place: str) -> None:
    ids = build(own_page, [*GRAPH, LINKED], [*LINKS, ("seed", 0, "recipe", "seed")])
    own_page.page.evaluate(INTO_A_SUBGRAPH, [ids["seed"]])
    if place == "kept inside":
        own_page.page.evaluate(KEPT_INSIDE)
    own_page.page.wait_for_timeout(400)
    records = runs(own_page, THE_PAGE, ids["seed"], [0, 0, 0])
    all_told = [told(own_page, record, ids["seed"], ids["save"]) for record in records]
    seeds = [one["prompt"] for one in all_told]
    assert len(set(seeds)) == 3
    assert all(set(one.values()) == {one["prompt"]} for one in all_told), all_told
    wait_for_last_seeds(own_page, ids["seed"], seeds, inside=True)
    assert own_page.faults == [] and own_page.foreign == []


@pytest.mark.parametrize("place", ["promoted", "kept inside"])
@pytest.mark.parametrize("mode", MODES)
def test_two_recipes_in_one_subgraph_have_a_seed_each(own_page: ComfyPage, mode: str, place: str) -> None:
    ids = build(own_page, [*GRAPH, *SECOND], [*LINKS, *SECOND_LINKS])
    own_page.page.evaluate(INTO_A_SUBGRAPH, [ids["recipe"], ids["recipe two"]])
    if place == "kept inside":
        own_page.page.evaluate(KEPT_INSIDE)
    own_page.page.wait_for_timeout(400)
    records = runs(own_page, THE_PAGE, ids["recipe"], [0, 0])
    one, two = (
        [told(own_page, record, ids[f"recipe{which}"], ids[f"save{which}"]) for record in records]
        for which in ("", " two")
    )
    seeds = [told["prompt"] for told in [*one, *two]]
    assert len(set(seeds)) == 4
    assert [set(told.values()) for told in [*one, *two]] == [{seed} for seed in seeds]
    assert own_page.faults == [] and own_page.foreign == []


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_queue_draws_a_seed_a_prompt(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    shown = page_of(mode)
    ids = build(shown, GRAPH, LINKS)
    records = runs(shown, THE_PAGE, ids["recipe"], [0, 0, 0])
    all_told = [told(shown, record, ids["recipe"], ids["save"]) for record in records]
    seeds = [one["prompt"] for one in all_told]
    assert len(set(seeds)) == 3
    assert all(set(one.values()) == {one["prompt"]} for one in all_told), all_told
    wait_for_last_seeds(shown, ids["recipe"], seeds)
    assert shown.faults == [] and shown.foreign == []


@pytest.mark.parametrize("queue", [SENDS_ITSELF, WRAPS_THE_QUEUE], ids=["sends by itself", "wraps the queue"])
@pytest.mark.parametrize("mode", MODES)
def test_another_extension_draws_the_seeds(page_of: Callable[[str], ComfyPage], mode: str, queue: str) -> None:
    shown = page_of(mode)
    ids = build(shown, GRAPH, LINKS)
    seeds = [int(ids["recipe"]) * 1000 + number for number in (4, 5)]
    records = runs(shown, queue, ids["recipe"], seeds)
    all_told = [told(shown, record, ids["recipe"], ids["save"]) for record in records]
    assert all_told == [{"prompt": seed, "graph": seed, "report": seed} for seed in seeds]
    wait_for_last_seeds(shown, ids["recipe"], seeds)
    assert shown.faults == [] and shown.foreign == []


@pytest.mark.parametrize("mode", [pytest.param("classic", marks=pytest.mark.smoke), "vue"])
def test_another_extension_changes_the_prompt_alone(page_of: Callable[[str], ComfyPage], mode: str) -> None:
    """Whatever graph it sends along, the report and the last seeds show which seed was used."""
    shown = page_of(mode)
    ids = build(shown, GRAPH, LINKS)
    seeds = [int(ids["recipe"]) * 1000 + number for number in (6, 7)]
    records = runs(shown, CHANGES_THE_PROMPT, ids["recipe"], seeds)
    all_told = [told(shown, record, ids["recipe"], ids["save"]) for record in records]
    assert [(one["prompt"], one["report"]) for one in all_told] == [(seed, seed) for seed in seeds]
    wait_for_last_seeds(shown, ids["recipe"], seeds)
    assert shown.faults == [] and shown.foreign == []
