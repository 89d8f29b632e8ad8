"""Make the pictures of the help pages: every node as the page draws it, in both modes.

`COMFYUI_PATH=… python tests/browser/make_pictures.py [NODE …]` with a Python that has Playwright and Pillow; without
NODEs, all of them. Nodes with pictures, variants or results on them are shown with some. Look at them afterwards:
nothing may be clipped, and nothing may overlap.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
runpy.run_path(str(TESTS / "conftest.py"))

from image_mixer.tests.browser.graphs import FILES, Link, Spec, build  # noqa: E402
from image_mixer.tests.browser.pages import MODES, SETTLED_MS, ComfyPage, chromium, comfy_page, pack_server  # noqa: E402
from image_mixer.tools.comfy_tool.paths import ROOT  # noqa: E402
from PIL import Image  # noqa: E402

FOLDER = ROOT / "web" / "docs" / "pictures"
PREFIX = "ImageMixer"
MARGIN = 14
BADGE = 14
"""What a badge adds above a node in classic mode, in pixels."""

QUALITY = 80
VIEW = (1500, 1300)

_BOX = """
([id, vue]) => {
  const node = app.graph.getNodeById(id), ds = app.canvas.ds;
  const shown = vue && document.querySelector(`[data-node-id="${id}"]`);
  if (shown) { const box = shown.getBoundingClientRect(); return [box.left, box.top, box.width, box.height] }
  const room = app.canvas.canvas.getBoundingClientRect(), [x, y, width, height] = node.boundingRect;
  return [room.left + (x + ds.offset[0]) * ds.scale, room.top + (y + ds.offset[1]) * ds.scale,
          width * ds.scale, height * ds.scale];
}
"""
_HIDE = """
.comfyui-body-top, .comfyui-body-left, .comfyui-body-right, .comfyui-body-bottom, .side-tool-bar-container, .p-toast,
.graph-canvas-panel > *, .workflow-tabs-container, .actionbar, .litegraph-minimap, .minimap-main-container,
.p-buttongroup, .subgraph-breadcrumb { visibility: hidden !important }
"""


def scene(kind: str) -> tuple[list[Spec], list[Link]]:
    """A graph with a node called `kind`, and what must be connected to it to show what it is for."""
    specs: list[Spec] = [(kind, kind, (620, 260), {})]
    links: list[Link] = []
    if kind == "ImageMixerMix":
        specs[0] = (kind, kind, (620, 260), {"pad": "1, 0.62, 0.3"})
        specs += [(f"p{i}", "LoadImage", (-900, 260 + 400 * i), {"image": name}) for i, name in enumerate(FILES)]
        links += [(f"p{i}", 0, kind, f"images.image{i}") for i in range(len(FILES))]
    if kind == "ImageMixerLoadCheckpoint":
        specs[0] = (kind, kind, (620, 260), {"file": "image-mixer-full.ckpt"})
    if kind == "ImageMixerSweepWeights":
        specs[0] = (kind, kind, (620, 260), {"ingredients": 3, "pattern": "simplex", "variants": 36})
    if kind == "ImageMixerSheet":
        specs += [
            ("demo", "ImageMixerDemoModel", (-1900, 0), {}),
            ("sweep", "ImageMixerSweepWeights", (-1900, 500), {"variants": 4}),
            ("mix", "ImageMixerMix", (-1500, 0), {}),
            (
                "recipe",
                "ImageMixerRecipe",
                (-1100, 0),
                {"width": 64, "height": 64, "steps": 20, "samples": 2, "seed": 4},
            ),
            ("engine", "ImageMixerLocal", (-700, 0), {}),
            ("save", "ImageMixerSave", (1700, 0), {}),
        ]
        links += [
            ("demo", 4, "mix", "images.image0"), ("demo", 5, "mix", "images.image1"), ("sweep", 0, "mix", "weights"),
            ("mix", 0, "recipe", "mix"), ("recipe", 0, "engine", "recipe"), ("demo", 0, "engine", "model"),
            ("demo", 2, "engine", "vae"), ("demo", 3, "engine", "clip_vision"), ("engine", 0, kind, "images"),
            ("engine", 2, kind, "report"), (kind, 0, "save", "images"),
        ]  # fmt: skip
    return specs, links


def picture(shown: ComfyPage, kind: str, vue: bool) -> Image.Image:
    """The node `kind` with what belongs to it, cut out of the page."""
    ids = build(shown, *scene(kind))
    if kind == "ImageMixerSheet":
        shown.run()
        shown.page.locator(".imx-cell").first.wait_for(state="attached")
    shown.page.evaluate(
        """([id]) => {
          const node = app.graph.getNodeById(id);
          node.title = node.constructor.title;
          app.canvas.show_info = false; app.canvas.deselectAll(); app.canvas.setDirty(true, true);
        }""",
        [ids[kind]],
    )
    shown.page.wait_for_timeout(SETTLED_MS)
    left, top, width, height = shown.page.evaluate(_BOX, [ids[kind], vue])
    box: Any = {
        "x": left - MARGIN, "y": top - MARGIN - BADGE, "width": width + 2 * MARGIN, "height": height + 2 * MARGIN + BADGE,
    }  # fmt: skip
    return Image.open(io.BytesIO(shown.page.screenshot(clip=box))).convert("RGB")


def main(kinds: list[str]) -> None:
    """Write a picture of both modes side by side for each of `kinds`, or for every node of the pack."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with pack_server() as server, chromium() as browser:
        wanted = kinds or sorted(name for name in server.client.get("/object_info") if name.startswith(PREFIX))
        with contextlib.ExitStack() as stack:
            open_pages = {mode: stack.enter_context(comfy_page(browser, server, mode, *VIEW)) for mode in MODES}
            for shown in open_pages.values():
                shown.page.add_style_tag(content=_HIDE)
            for kind in wanted:
                both = [picture(open_pages[mode], kind, vue) for mode, vue in MODES.items()]
                side_by_side(both).save(FOLDER / f"{kind}.webp", quality=QUALITY, method=6)
                print(FOLDER / f"{kind}.webp", flush=True)


def side_by_side(both: list[Image.Image]) -> Image.Image:
    """Pictures in a row on the canvas's own dark."""
    ground = Image.new("RGB", (sum(one.width for one in both), max(one.height for one in both)), (20, 20, 20))
    left = 0
    for one in both:
        ground.paste(one, (left, 0))
        left += one.width
    return ground


if __name__ == "__main__":
    main(sys.argv[1:])
