"""Graphs that tests build in the page, and what they read back from it."""

from __future__ import annotations

from typing import Any

from image_mixer.tests.browser.pages import ComfyPage

FILES = ("cat.jpg", "coffee.jpg", "rocket.jpg")
_BUILD = """
([specs, links]) => {
  app.canvas.setGraph(app.rootGraph);
  app.graph.clear();
  // Fresh ids: the front end keeps values of widgets by the id of their node.
  app.graph.state.lastNodeId = window.imageMixerIds = (window.imageMixerIds ?? 0) + 100;
  const made = {};
  for (const [name, type, pos, values] of specs) {
    const node = LiteGraph.createNode(type);
    node.pos = pos; node.title = name;
    app.graph.add(node);
    for (const widget of node.widgets ?? [])
      if (widget.name in values) { widget.value = values[widget.name]; widget.callback?.(widget.value); }
    made[name] = node;
  }
  for (const [from, output, to, input] of links)
    made[from].connect(output, made[to], made[to].inputs.findIndex(one => one.name === input));
  app.canvas.ds.reset();
  app.canvas.setDirty(true, true);
  return Object.fromEntries(Object.entries(made).map(([name, node]) => [name, node.id]));
}
"""
Spec = tuple[str, str, tuple[int, int], dict[str, Any]]
Link = tuple[str, int, str, str]


def build(shown: ComfyPage, specs: list[Spec], links: list[Link]) -> dict[str, int]:
    """Build a graph of nodes (name, type, position, widget values) and links (from, output, to, input); return ids by name."""
    shown.faults.clear()
    shown.foreign.clear()
    ids: dict[str, int] = shown.page.evaluate(_BUILD, [specs, links])
    shown.page.wait_for_timeout(400)
    return ids


def image_mix(shown: ComfyPage, count: int) -> dict[str, int]:
    """Build `count` Load Image nodes on an Image Mix called mix."""
    pictures: list[Spec] = [
        (f"p{i}", "LoadImage", (20, 40 + 60 * i), {"image": FILES[i % len(FILES)]}) for i in range(count)
    ]
    links: list[Link] = [(f"p{i}", 0, "mix", f"images.image{i}") for i in range(count)]
    return build(shown, [*pictures, ("mix", "ImageMixerMix", (700, 60), {})], links)


def weights_in_prompt(shown: ComfyPage) -> list[float]:
    """Return the pad's numbers as the page would send them."""
    prompt = shown.prompt()
    text: str = next(node["inputs"]["pad"] for node in prompt.values() if node["class_type"] == "ImageMixerMix")
    return [float(piece) for piece in text.split(",")] if text else []


def weights_on_screen(shown: ComfyPage) -> list[float]:
    """Return the numbers in the pad's fields."""
    return [float(text) for text in shown.page.eval_on_selector_all(".imx-number", "all => all.map(one => one.value)")]


def sent(prompt: dict[str, Any]) -> dict[str, Any]:
    """Return what the server reads of a prompt: classes and inputs, by node."""
    return {
        str(number): {"class_type": node["class_type"], "inputs": node["inputs"]} for number, node in prompt.items()
    }
