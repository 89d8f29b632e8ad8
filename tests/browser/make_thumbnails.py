"""Make the picture beside each template: its graph as the page draws it, in two rows so that a square card shows it large.

`COMFYUI_PATH=… python tests/browser/make_thumbnails.py [NAME …]` with a Python that has Playwright and Pillow; without
NAMEs, all of workflows/*.json. The pictures are made anew whenever a template's graph has changed.
"""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
runpy.run_path(str(TESTS / "conftest.py"))

from image_mixer.tests.browser.pages import WORKFLOWS, ComfyPage, chromium, comfy_page, pack_server  # noqa: E402
from PIL import Image  # noqa: E402

SIDE = 800
VIEW = (2560, 1440)
MARGIN = 14
BACKGROUND = (20, 20, 20)
QUALITY = 85
NO_CHROME = """
.comfyui-body-top, .comfyui-body-left, .comfyui-body-right, .comfyui-body-bottom, .side-tool-bar-container, .p-toast,
.graph-canvas-panel > *, .workflow-tabs-container, .actionbar, .litegraph-minimap, .minimap-main-container,
.p-buttongroup, .subgraph-breadcrumb { visibility: hidden !important }
"""


GROUPS = """
() => {
  const room = app.canvas.canvas.getBoundingClientRect(), {scale, offset} = app.canvas.ds;
  return app.graph.groups.map(({boundingRect: [x, y, width, height]}) =>
    [room.left + (x + offset[0]) * scale, room.top + (y + offset[1]) * scale, width * scale, height * scale]);
}
"""


def columns(groups: list[list[float]]) -> list[list[float]]:
    """[left, top, right, bottom] of each column of groups [x, y, width, height], from left to right."""
    found: list[list[float]] = []
    for x, y, width, height in sorted(groups):
        if found and x < found[-1][2]:
            last = found[-1]
            found[-1] = [last[0], min(last[1], y), max(last[2], x + width), max(last[3], y + height)]
        else:
            found.append([x, y, x + width, y + height])
    return found


def rows(parts: list[list[float]]) -> list[list[float]]:
    """The columns as two rows, cut where the longer row is shortest."""
    cut = min(range(1, len(parts)), key=lambda i: max(parts[i - 1][2] - parts[0][0], parts[-1][2] - parts[i][0]))
    return [
        [row[0][0], min(p[1] for p in row), row[-1][2], max(p[3] for p in row)] for row in (parts[:cut], parts[cut:])
    ]


def thumbnail(shown: ComfyPage, workflow: Path) -> Image.Image:
    """The graph of `workflow` without its note, a square of SIDE."""
    shown.open_workflow(workflow)
    shown.page.evaluate("() => { app.canvas.show_info = false; app.canvas.setDirty(true, true) }")
    shown.page.wait_for_timeout(2000)
    screen = Image.open(io.BytesIO(shown.page.screenshot())).convert("RGB")
    boxes = [
        (int(left) - MARGIN, int(top) - MARGIN, int(right) + MARGIN, int(bottom) + MARGIN)
        for left, top, right, bottom in rows(columns(shown.page.evaluate(GROUPS)))
    ]
    width, height = max(box[2] - box[0] for box in boxes), sum(box[3] - box[1] for box in boxes)
    scale = min(SIDE / width, SIDE / height)
    ground, y = Image.new("RGB", (SIDE, SIDE), BACKGROUND), round((SIDE - height * scale) / 2)
    for box in boxes:
        row = screen.crop(box)
        row = row.resize((round(row.width * scale), round(row.height * scale)), Image.Resampling.LANCZOS)
        ground.paste(row, ((SIDE - row.width) // 2, y))
        y += row.height
    return ground


def main(names: list[str]) -> None:
    """Write the JPEGs of the templates called `names`, or of all."""
    wanted = [file for file in WORKFLOWS if not names or file.stem in names]
    with pack_server() as server, chromium() as browser, comfy_page(browser, server, "vue", *VIEW) as shown:
        shown.page.add_style_tag(content=NO_CHROME)
        for file in wanted:
            thumbnail(shown, file).save(file.with_suffix(".jpg"), quality=QUALITY, optimize=True)
            print(file.with_suffix(".jpg"), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
