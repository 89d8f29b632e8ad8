"""Make the picture beside each template: what goes in, and what comes out.

`COMFYUI_PATH=... python tests/browser/make_thumbnails.py [NAME ...]` with a Python that has Playwright and Pillow; without
NAMEs, all of workflows/*.json. Made anew whenever a template's graph has changed; look at them afterwards. Every picture
on them was made by running the template's own graph, and its last line says by whom:

- The demo model, in the place of the checkpoint and of the text tower, with its own pictures in the place of photographs,
  64 x 64 pixels and texts of words that it knows: all templates for Image Mixer checkpoints, and `demo` and `triangle`,
  which are for it as they are. What stands on a sheet is scaled up before, so that captions can be read. The service of
  `fallback` has no key.
- The stand-in of the paid service, which lays the pictures over each other: `remote_mix`, with the photographs, and one row
  of `side_by_side`. Where both engines are in a graph, the service gets a recipe of its own of 256 x 256 pixels, the
  smallest that it takes.
- Nobody: `ip_adapter`, `redux`, `reference` and `unclip` need model files that the pack does not bring, and the demo model would
  show what they do not do. Theirs is a drawing of the graph: the pictures on the pad, and the method on the engine.
"""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
runpy.run_path(str(TESTS / "conftest.py"))

from image_mixer.tests.browser.pages import WORKFLOWS, ComfyPage, chromium, comfy_page, pack_server  # noqa: E402
from image_mixer.tools.comfy_tool.commands.progress import Bar  # noqa: E402
from image_mixer.tools.comfy_tool.commands.run import prompt_of, read_json  # noqa: E402
from image_mixer.tools.comfy_tool.paths import ROOT  # noqa: E402
from image_mixer.tools.comfy_tool.server.client import Client  # noqa: E402
from image_mixer.tools.comfy_tool.server.execute import execute  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

Prompt = dict[str, dict[str, Any]]

FOREIGN = ("ip_adapter", "redux", "reference", "unclip")
AS_THEY_ARE = ("demo", "triangle", "remote_mix")
DEMO = "demo model"
IN_ITS_PLACE = {
    ("ImageMixerLoadCheckpoint", 0): 0, ("CLIPLoader", 0): 1, ("ImageMixerLoadCheckpoint", 1): 2,
    ("ImageMixerLoadCheckpoint", 2): 3,
}  # fmt: skip
"""The output of Demo Mixer Model for a loader's class and output."""

FIRST_PICTURE = 4
DEMO_PICTURES = [ROOT / "local" / "demo_model" / f"demo_{name}.png" for name in "abc"]
PHOTOGRAPHS = [ROOT / "tools" / "assets" / f"{name}.jpg" for name in ("cat", "coffee")]
PAIRS = {
    "advanced_apply": (1, 2), "weight_sweep": (0, 2), "interpolation": (1, 2), "weights_and_seeds": (0, 2),
    "fallback": (1, 2), "side_by_side": (1, 2), "regions_and_text": (0, 2),
}  # fmt: skip
"""Which of its pictures are mixed, so that not all the cards show the same two; else the first and the second."""

WORDS = {"fallback": "meadow", "side_by_side": "meadow", "regions_and_text": "sunset"}
"""The text of the recipe or of the ingredient, in words that the demo model knows."""

SMALL = {"width": 64, "height": 64, "steps": 20}
SERVICE_SIDE = 256
CELL = 160
SAVED = "demo"

SIDE = 640
EDGE = 24
FOOT = 46
INPUT = 168
VIEW = (2560, 1440)
QUALITY = 84
BACKGROUND, INK, FAINT = (24, 24, 27), (236, 236, 236), (160, 160, 168)
NO_CHROME = """
.comfyui-body-top, .comfyui-body-left, .comfyui-body-right, .comfyui-body-bottom, .side-tool-bar-container, .p-toast,
.graph-canvas-panel > *, .workflow-tabs-container, .actionbar, .litegraph-minimap, .minimap-main-container,
.p-buttongroup, .subgraph-breadcrumb { visibility: hidden !important }
"""
NODE_BOXES = """
types => types.flatMap(type => app.graph.nodes.filter(node => node.type === type)).map(node => {
  const {left, top, width, height} = document.querySelector(`[data-node-id="${node.id}"]`).getBoundingClientRect();
  return [left, top, left + width, top + height];
})
"""


def demonstrated(name: str, prompt: Prompt) -> Prompt:
    """Return the prompt of the template `name` as it is run here; see above."""
    if name in AS_THEY_ARE:
        return prompt
    pictures = iter(PAIRS.get(name, (0, 1)))
    instead = {
        (key, slot): output
        for key, node in prompt.items()
        for (kind, slot), output in IN_ITS_PLACE.items()
        if kind == node["class_type"]
    }
    loaders = [key for key, node in prompt.items() if node["class_type"] == "LoadImage"]
    instead |= {(key, 0): FIRST_PICTURE + next(pictures) for key in loaders}
    made: Prompt = {DEMO: {"class_type": "ImageMixerDemoModel", "inputs": {}}}
    for key, node in prompt.items():
        if any(key == replaced for replaced, _ in instead):
            continue
        inputs = {field: SMALL.get(field, value) for field, value in node["inputs"].items()}
        for field, value in inputs.items():
            if isinstance(value, list) and (value[0], value[1]) in instead:
                inputs[field] = [DEMO, instead[value[0], value[1]]]
        if node["class_type"] in ("ImageMixerRecipe", "ImageMixerAddText"):
            text = "prompt" if node["class_type"] == "ImageMixerRecipe" else "text"
            inputs[text] = WORDS[name] if inputs[text] else ""
        made[key] = {**node, "inputs": inputs}
    for key, node in list(made.items()):
        if node["class_type"] == "ImageMixerSheet":
            for field in {"images", "beside"} & node["inputs"].keys():
                scaled = {"image": node["inputs"][field], "upscale_method": "lanczos", "width": CELL, "height": CELL}
                made[f"{key} {field}"] = {"class_type": "ImageScale", "inputs": {**scaled, "crop": "disabled"}}
                node["inputs"][field] = [f"{key} {field}", 0]
        if node["class_type"] == "ImageMixerRemote":
            node["inputs"]["endpoint"] = "keyless" if name == "fallback" else node["inputs"]["endpoint"]
            recipe = made[node["inputs"]["recipe"][0]]
            larger = {**recipe["inputs"], "width": SERVICE_SIDE, "height": SERVICE_SIDE}
            made["recipe of the service"] = {**recipe, "inputs": larger}
            node["inputs"]["recipe"] = ["recipe of the service", 0]
        if node["class_type"] == "ImageMixerSaveEmbeds":
            node["inputs"]["filename_prefix"] = SAVED
        if node["class_type"] == "ImageMixerLoadEmbeds":
            node["inputs"]["file"] = f"{SAVED}_00001_.safetensors [output]"
    return made


def run(client: Client, prompt: Prompt) -> list[Image.Image]:
    """The pictures that a run saves, sheets first."""
    outputs = execute(client, prompt, Bar(prompt)).outputs
    savers = [key for key, node in prompt.items() if node["class_type"] == "ImageMixerSave"]
    savers.sort(key=lambda key: prompt[prompt[key]["inputs"]["images"][0]]["class_type"] != "ImageMixerSheet")
    saved = [image for key in savers for image in outputs[key]["images"]]
    return [Image.open(io.BytesIO(client.view(image))).convert("RGB") for image in saved]


def weights_said(prompt: Prompt) -> list[str]:
    """Return the caption of each picture: its weight on the pad or in Mix Weights, or its region."""
    for node in prompt.values():
        inputs = node["inputs"]
        text = inputs.get("pad") if "weights" not in inputs else ""
        text = inputs["text"] if node["class_type"] == "ImageMixerWeights" else text
        if isinstance(text, str) and "," in text:
            return text.split(", ")
    titles = [node["_meta"]["title"] for node in prompt.values() if node["class_type"] == "ImageMixerAddImage"]
    return [title.split(": ")[-1] for title in titles]


class Card:
    """A square card whose last line says which model made the picture."""

    def __init__(self, line: str) -> None:
        self.image = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)
        self.text(line, SIDE / 2, SIDE - FOOT / 2, 21, FAINT)

    def text(self, text: str, x: float, y: float, size: int, colour: tuple[int, int, int] = INK) -> None:
        """Draw one line of text, centred on a point."""
        self.draw.text((x, y), text, fill=colour, font=ImageFont.load_default(size), anchor="mm")

    def put(self, image: Image.Image, box: tuple[int, int, int, int]) -> None:
        """An image as large as can be in the middle of [left, top, right, bottom]."""
        left, top, right, bottom = box
        scale = min((right - left) / image.width, (bottom - top) / image.height)
        fitted = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        self.image.paste(fitted, ((left + right - fitted.width) // 2, (top + bottom - fitted.height) // 2))

    def arrow(self, x: int, y: int, down: bool = False) -> None:
        """A small triangle."""
        points = [(-9, -9), (9, -9), (0, 9)] if down else [(-9, -12), (-9, 12), (10, 0)]
        self.draw.polygon([(x + dx, y + dy) for dx, dy in points], fill=FAINT)


def squared(file: Path) -> Image.Image:
    """Return the centre crop of a picture, as the vision encoders see it."""
    image = Image.open(file).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def one_result(inputs: list[Image.Image], said: list[str], word: str, result: Image.Image, line: str) -> Image.Image:
    """The pictures with their weights at the left, the result large at the right."""
    card, room = Card(line), SIDE - FOOT
    parts: list[Image.Image | str] = [*inputs, *([word] if word else [])]
    heights = [INPUT + 40 if isinstance(part, Image.Image) else 44 for part in parts]
    y = (room - sum(heights)) // 2
    for number, part in enumerate(parts):
        if isinstance(part, str):
            card.text(f"\u201c{part}\u201d", EDGE + INPUT / 2, y + 20, 28)
        else:
            card.put(part, (EDGE, y, EDGE + INPUT, y + INPUT))
            card.text(said[number] if number < len(said) else "", EDGE + INPUT / 2, y + INPUT + 18, 26)
        y += heights[number]
    left = EDGE + INPUT + 44
    card.arrow(left - 22, room // 2)
    card.put(result, (left, EDGE, SIDE - EDGE, room - EDGE // 2))
    return card.image


def sheet(inputs: list[Image.Image], word: str, result: Image.Image, line: str) -> Image.Image:
    """The pictures at the left, the sheet large at the right."""
    card, side, room = Card(line), 128, SIDE - FOOT
    y = (room - len(inputs) * (side + 16) + 16 - (44 if word else 0)) // 2
    for image in inputs:
        card.put(image, (10, y, 10 + side, y + side))
        y += side + 16
    if word:
        card.text(f"\u201c{word}\u201d", 10 + side / 2, y + 16, 28)
    card.arrow(10 + side + 18, room // 2)
    card.put(result, (side + 46, 10, SIDE - 10, room))
    return card.image


def sheet_and_word(inputs: list[Image.Image], result: Image.Image, word: str, pulled: Image.Image) -> Image.Image:
    """What `demo` makes: a sheet between two pictures, and below it one of them pulled by a word."""
    card = Card("made by the demo model")
    for number, image in enumerate(inputs):
        card.put(image, (24, 60 + 144 * number, 152, 188 + 144 * number))
    card.arrow(172, 196)
    card.put(result, (194, 10, SIDE - 16, 410))
    card.put(inputs[0], (24, 446, 152, 574))
    card.text(f"+ \u201c{word}\u201d", 240, 510, 32)
    card.arrow(346, 510)
    card.put(pulled, (376, 426, 544, 594))
    return card.image


def file_of_vectors() -> Image.Image:
    """Draw the file that Load Embeds reads, in place of a picture."""
    image = Image.new("RGB", (2 * INPUT, 2 * INPUT), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((4, 4, 2 * INPUT - 4, 2 * INPUT - 4), 28, outline=INK, width=5)
    for y, text in ((110, "vectors"), (170, "of 2 pictures"), (240, ".safetensors")):
        draw.text((INPUT, y), text, fill=INK, font=ImageFont.load_default(42), anchor="mm")
    return image


def pictured(client: Client, file: Path) -> Image.Image:
    """The card of a template whose graph is run."""
    name, info = file.stem, client.get("/object_info")
    if name == "saved_embeds":
        run(client, demonstrated("advanced_apply", prompt_of(read_json(file.with_stem("advanced_apply")), info)))
    prompt = demonstrated(name, prompt_of(read_json(file), info))
    made = run(client, prompt)
    inputs = [squared(DEMO_PICTURES[number]) for number in PAIRS.get(name, (0, 1))]
    said, word, line = weights_said(prompt), WORDS.get(name, ""), "made by the demo model"
    if name == "remote_mix":
        inputs = [squared(photograph) for photograph in PHOTOGRAPHS]
        line = "made by a stand-in of the paid service"
    elif name == "fallback":
        line = "the service has no key: made here, by the demo model"
    elif name == "side_by_side":
        line = "a stand-in of the paid service, and the demo model"
    elif name == "saved_embeds":
        inputs, said = [file_of_vectors()], [" : ".join(said)]
    elif name == "triangle":
        inputs = [squared(picture) for picture in DEMO_PICTURES]
    if name == "demo":
        return sheet_and_word(inputs, made[0], "cyan", made[1])
    if any(node["class_type"] == "ImageMixerSheet" for node in prompt.values()):
        return sheet(inputs, word, made[0], line)
    return one_result(inputs, said, word, made[0], line)


def drawn(shown: ComfyPage, file: Path) -> Image.Image:
    """Return the card of a template whose model is not available here: its pictures, pad and engine as the page draws them."""
    shown.open_workflow(file)
    shown.page.evaluate("() => { app.canvas.show_info = false; app.canvas.setDirty(true, true) }")
    shown.page.wait_for_timeout(2000)
    screen = Image.open(io.BytesIO(shown.page.screenshot())).convert("RGB")
    boxes = shown.page.evaluate(NODE_BOXES, ["ImageMixerMix", "ImageMixerLocal"])
    mix, engine = (screen.crop(tuple(round(edge) for edge in box)) for box in boxes)
    card = Card("the graph: its model makes the picture on your machine")
    for number, photograph in enumerate(PHOTOGRAPHS):
        left = 16 + 154 * number
        card.put(squared(photograph), (left, 40, left + 142, 182))
    card.put(mix, (16, 200, 312, SIDE - FOOT))
    card.put(engine, (328, 16, SIDE - 16, SIDE - FOOT))
    return card.image


def main(names: list[str]) -> None:
    """Write the JPEGs of the templates called `names`, or of all."""
    wanted = [file for file in WORKFLOWS if not names or file.stem in names]
    with pack_server() as server, chromium() as browser, comfy_page(browser, server, "vue", *VIEW) as shown:
        shown.page.add_style_tag(content=NO_CHROME)
        for file in wanted:
            card = drawn(shown, file) if file.stem in FOREIGN else pictured(server.client, file)
            card.save(file.with_suffix(".jpg"), quality=QUALITY, optimize=True)
            print(file.with_suffix(".jpg"), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
