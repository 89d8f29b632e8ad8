"""bench page: what the web part costs the page: loading time, a frame of a drag with ten pictures, and its size.

Loading is timed on two servers side by side, one of them without packs, in fresh contexts of one browser.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

from _measure import ROOT, figure, importable, options, report

importable()

from image_mixer.tests.browser import pages  # noqa: E402
from image_mixer.tests.browser.graphs import image_mix  # noqa: E402
from image_mixer.tools.comfy_tool.server.server import Server  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402


@dataclass(frozen=True)
class Sizes:
    """How much is measured: pairs of page loads, moves of the mouse in a drag, pictures on the pad."""

    pairs: int = 8
    moves: int = 120
    pictures: int = 10


QUICK = Sizes(pairs=1, moves=12, pictures=3)

_CLOCK = """
() => {
  // Times the listeners of a pointer's move on the pad, and the pad's callback of the frame after it.
  const ask = window.requestAnimationFrame;
  window.frames_ = []; let begun = 0, spent = 0;
  window.addEventListener('pointermove', () => { begun = performance.now() }, true);
  document.querySelector('.imx-stage').addEventListener('pointermove', () => { spent += performance.now() - begun });
  window.requestAnimationFrame = callback => ask(time => {
    if (callback.name !== 'drag') return callback(time);
    const start = performance.now();
    callback(time);
    window.frames_.push(spent + performance.now() - start); spent = 0;
  });
}
"""


def load_seconds(browser: Browser, server: Server) -> float:
    """Return the seconds until the page is ready, with nothing in the browser's cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(server.url, timeout=60_000)
    page.wait_for_function(pages.READY, timeout=60_000)
    taken = time.perf_counter() - begun
    context.close()
    return taken


def page_load(browser: Browser, server: Server, sizes: Sizes) -> dict[str, Any]:
    """Measure the ratio of the medians of interleaved loads, in alternating order."""
    server.client.post("/api/settings", pages.SETTINGS)
    with Server(install=server.install, extra_args=["--disable-all-custom-nodes"], expect=None) as plain:
        plain.client.post("/api/settings", pages.SETTINGS)
        load_seconds(browser, server), load_seconds(browser, plain)
        taken: dict[bool, list[float]] = {True: [], False: []}
        for pair in range(sizes.pairs):
            for packed in (True, False) if pair % 2 else (False, True):
                taken[packed].append(load_seconds(browser, server if packed else plain))
    print(f"loads with the pack {sorted(taken[True])}, without {sorted(taken[False])}")
    ratio = statistics.median(taken[True]) / statistics.median(taken[False])
    return {"page_load_ratio": figure(ratio, "<= 1.05", "of the page without the pack")}


def drag_frames(browser: Browser, server: Server, sizes: Sizes) -> dict[str, Any]:
    """Measure the 95th percentile of a frame of a drag, in the worse of both modes."""
    worst = 0.0
    for mode in pages.MODES:
        with pages.comfy_page(browser, server, mode) as shown:
            image_mix(shown, sizes.pictures)
            shown.page.evaluate(_CLOCK)
            box = shown.page.locator(".imx-stage").bounding_box()
            assert box is not None
            mouse = shown.page.mouse
            mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            mouse.down()
            for move in range(sizes.moves):
                across, down = 0.3 + 0.04 * (move % 10), 0.3 + 0.057 * (move % 7)
                mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
                shown.page.wait_for_timeout(17)
            mouse.up()
            frames: list[float] = sorted(shown.page.evaluate("() => window.frames_"))
            assert len(frames) > sizes.moves / 2, f"{len(frames)} frames in {mode}"
            print(
                f"{mode}: {len(frames)} frames, median {frames[len(frames) // 2]:.2f} ms, longest {frames[-1]:.2f} ms"
            )
            worst = max(worst, frames[int(0.95 * (len(frames) - 1))])
    return {"drag_frame_ms": figure(worst, "<= 4", "ms")}


def size() -> dict[str, Any]:
    """Measure the scripts as the page gets them, with their comments; the style sheet is a figure of its own."""
    bytes_of = {
        kinds: sum(file.stat().st_size for file in (ROOT / "web").rglob("*") if file.suffix in kinds)
        for kinds in ((".js", ".mjs"), (".css",))
    }
    scripts, styles = bytes_of.values()
    return {"script_kb": figure(scripts / 1024, "<= 60", "KB"), "style_kb": figure(styles / 1024, None, "KB")}


def main(quick: bool) -> None:
    """Measure everything."""
    sizes = QUICK if quick else Sizes()
    with pages.pack_server() as server, pages.chromium() as browser:
        report({**page_load(browser, server, sizes), **drag_frames(browser, server, sizes), **size()}, quick)


if __name__ == "__main__":
    main(options(__doc__).quick)
