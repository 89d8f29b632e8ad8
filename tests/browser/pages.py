"""A page of ComfyUI's front end under Playwright, with what the tests do to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_mixer.tests.standin.app import DEMO_KEY, Service
from image_mixer.tools.comfy_tool.install.environment import clean_environment
from image_mixer.tools.comfy_tool.install.programs import FRONT_END_VARIABLE, find_chromium
from image_mixer.tools.comfy_tool.paths import ROOT
from image_mixer.tools.comfy_tool.server.server import Server
from image_mixer.tools.comfy_tool.server.standin import write_profiles
from playwright.sync_api import Browser, Page, sync_playwright

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
PHOTOGRAPHS = sorted((ROOT / "tools" / "assets").glob("*.jpg"))
PROBE = ROOT / "tests" / "support" / "probe"
MODES = {"classic": False, "vue": True}
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "1.47.12",
    "Comfy.Locale": "en",
    "Comfy.Workflow.Persist": False,
    "Comfy.Workflow.WarnBlueprintOverwrite": False,
}
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = "window.app?.vueAppReady && window.app.isGraphReady && !!window.app.extensionManager"
SETTLED_MS = 700
ACTION_MS = 10_000
HISTORY_SECONDS = 30
RUN_MS = 120_000
KEYLESS = "IMAGE_MIXER_TEST_UNSET"
"""The environment variable of the endpoint `keyless`, which is not set."""

LARGEST_FOR_TESTS = {"width": 64, "height": 64, "steps": 2}
"""What widgets of recipes, samplers and empty latents are set to, so that a run takes a second on a CPU."""

_LISTEN = """
() => {
  window.outcome = null;
  for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
    app.api.addEventListener(kind, event => { window.outcome = {kind, detail: event.detail} });
}
"""
_FIT = """
() => {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const part of [...app.graph.nodes, ...app.graph.groups]) {
    const [x, y, width, height] = part.boundingRect;
    box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x + width); box[3] = Math.max(box[3], y + height);
  }
  const room = app.canvas.canvas.getBoundingClientRect();
  const scale = Math.min((room.width - 120) / (box[2] - box[0]), (room.height - 160) / (box[3] - box[1]));
  const ds = app.canvas.ds;
  ds.scale = scale; ds.offset[0] = -box[0] + 80 / scale; ds.offset[1] = -box[1] + 90 / scale;
  app.canvas.setDirty(true, true);
  const corner = (x, y) => [room.left + (x + ds.offset[0]) * scale, room.top + (y + ds.offset[1]) * scale];
  return [...corner(box[0], box[1]), ...corner(box[2], box[3])];
}
"""
_FREE = """
() => {
  const room = app.canvas.canvas.getBoundingClientRect();
  for (let y = room.bottom - 60; y > room.top; y -= 40)
    for (let x = room.right - 300; x > room.left; x -= 40) {
      const [left, top] = app.canvas.convertEventToCanvasOffset({clientX: x, clientY: y});
      if (document.elementFromPoint(x, y) === app.canvas.canvas && !app.graph.getNodeOnPos(left, top)) return {x, y};
    }
}
"""
_HAS = """
kinds => app.graph.nodes.map(node => `${node.id} ${node.type}`).sort().join() === kinds.join()
"""
_BOXES = """
() => app.graph.nodes.map(node => {
  const [x, y, width, height] = node.boundingRect;
  const box = {id: node.id, type: node.type, x, y, right: x + width, bottom: y + height};
  const shown = document.querySelector(`[data-node-id="${node.id}"]`);
  if (LiteGraph.vueNodesMode && shown) {
    const seen = shown.getBoundingClientRect();
    box.right = x + seen.width / app.canvas.ds.scale; box.bottom = y + seen.height / app.canvas.ds.scale;
  }
  return box;
})
"""
_WIDGETS = """
() => app.graph.nodes.map(node => ({
  id: String(node.id), type: node.type, mode: node.mode,
  linked: (node.inputs ?? []).filter(input => input.link != null).map(input => input.name),
  widgets: (node.widgets ?? []).filter(widget => widget.serialize !== false).map(widget =>
    ({name: widget.name, value: widget.value, inPrompt: widget.options?.serialize !== false})),
}))
"""
_SET = """
values => {
  for (const node of app.graph.nodes)
    for (const widget of node.widgets ?? [])
      if (widget.name in values && typeof widget.value === 'number') {
        widget.value = values[widget.name];
        widget.callback?.(widget.value);
      }
}
"""


def server_in(base: Path) -> Server:
    """A server with this pack and the probe in a new base directory, not started; it holds the stand-in's key."""
    (base / "custom_nodes").mkdir(parents=True)
    (base / "custom_nodes" / "image-mixer-probe").symlink_to(PROBE, target_is_directory=True)
    front_end = os.environ.get(FRONT_END_VARIABLE)
    return Server(
        base=base,
        env={"MODELSLAB_API_KEY": DEMO_KEY},
        extra_args=["--front-end-root", front_end] if front_end else [],
    )


@contextlib.contextmanager
def stand_in() -> Iterator[Service]:
    """A stand-in of the paid service, which counts what was paid for."""
    with Service().start() as service:
        yield service
        service.shutdown()


@contextlib.contextmanager
def pack_server(service: Service | None = None) -> Iterator[Server]:
    """A ComfyUI with this pack, the probe, random models under the workflows' names, the photographs as inputs, and
    `service`, or a stand-in of its own, under the name of the paid service's built-in endpoint."""
    with (
        tempfile.TemporaryDirectory(prefix="image-mixer-browser-", ignore_cleanup_errors=True) as scratch,
        contextlib.nullcontext(service) if service else stand_in() as paid,
    ):
        base = Path(scratch).resolve()
        profiles = write_profiles(base, {"modelslab v6": f"{paid.base}/api/v6"})
        with profiles.open("a", encoding="utf-8") as file:
            file.write(f'[endpoints.keyless]\nbase_url = "{paid.base}/api/v6"\ncredential = "{KEYLESS}"\n')
        server = server_in(base)
        script = Path(__file__).with_name("write_models.py")
        command = [str(part) for part in (server.install.python, script, server.install.comfyui, base)]
        with subprocess.Popen(command, cwd=base, env=clean_environment()) as writer, server:
            if writer.wait() != 0:
                raise RuntimeError("write_models.py failed; see above")
            for photograph in PHOTOGRAPHS:
                server.client.upload_image(photograph, subfolder="")
            yield server


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium: the one that the test command found, or Playwright's own."""
    found = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found and str(found), args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class ComfyPage:
    """The front end, open and idle. `faults` are errors of the page and of this pack's files, `foreign` requests elsewhere."""

    page: Page
    server: Server
    faults: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def open_workflow(self, file: Path) -> None:
        """Load a workflow as dropping its file on the canvas would, forgetting what came before."""
        self.faults.clear()
        self.foreign.clear()
        self.page.evaluate("data => app.loadGraphData(data)", json.loads(file.read_text(encoding="utf-8")))
        self.fit()
        self.page.wait_for_timeout(SETTLED_MS)

    def open_template(self, file: Path) -> None:
        """Open a template as a person does: by clicks in the template browser."""
        self.faults.clear()
        self.foreign.clear()
        self.page.get_by_role("button", name="Templates", exact=True).click()
        self.page.get_by_role("dialog").get_by_text("image-mixer", exact=True).click()
        self.page.get_by_test_id(f"template-workflow-{file.stem}").click()
        self.wait_for(json.loads(file.read_text(encoding="utf-8"))["nodes"])

    def drop(self, file: Path) -> None:
        """Drop a file on the canvas, beside every node, as the system's own drag does."""
        where = self.page.evaluate(_FREE)
        dragged = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        session = self.page.context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, **where, "data": dragged})
        session.detach()

    def wait_for(self, nodes: list[dict[str, Any]]) -> None:
        """Wait until the canvas has just these nodes, and settle."""
        kinds = sorted(f"{node['id']} {node['type']}" for node in nodes)
        self.page.wait_for_function(_HAS, arg=kinds)
        self.fit()
        self.page.wait_for_timeout(SETTLED_MS)

    def fit(self) -> dict[str, float]:
        """Bring the whole graph into view; return its rectangle on the screen."""
        left, top, right, bottom = self.page.evaluate(_FIT)
        return {"x": left, "y": top, "width": right - left, "height": bottom - top}

    def boxes(self) -> list[dict[str, Any]]:
        """Return the box of each node, title included, in the graph's units, as large as this mode draws it."""
        boxes: list[dict[str, Any]] = self.page.evaluate(_BOXES)
        return boxes

    def widgets(self) -> list[dict[str, Any]]:
        """Each node's widgets with their values."""
        widgets: list[dict[str, Any]] = self.page.evaluate(_WIDGETS)
        return widgets

    def prompt(self) -> dict[str, Any]:
        """What the page would send to the server."""
        prompt: dict[str, Any] = self.page.evaluate("async () => (await app.graphToPrompt()).output")
        return prompt

    def set_numbers(self, values: dict[str, float]) -> None:
        """Set every numeric widget that has one of these names."""
        self.page.evaluate(_SET, values)

    def run(self) -> dict[str, Any]:
        """Queue the graph through the page and wait; return the outputs by node."""
        outputs: dict[str, Any] = self.record()["outputs"]
        return outputs

    def record(self) -> dict[str, Any]:
        """Queue the graph through the page and wait; return the server's record of the run."""
        self.page.evaluate(_LISTEN)
        self.page.evaluate("() => app.queuePrompt(0, 1)")
        try:
            self.page.wait_for_function("() => window.outcome", timeout=RUN_MS)
        except Exception as error:
            raise AssertionError(f"the run did not end; the page's faults: {self.faults}") from error
        outcome = self.page.evaluate("() => window.outcome")
        assert outcome["kind"] == "execution_success", outcome["detail"].get("exception_message", outcome)
        return self.record_of(outcome["detail"]["prompt_id"])

    def record_of(self, prompt_id: str) -> dict[str, Any]:
        """Return the server's record of a run that has ended. The page is told of the end before the history has it."""
        deadline = time.monotonic() + HISTORY_SECONDS
        while prompt_id not in (history := self.server.client.get(f"/history/{prompt_id}")):
            assert time.monotonic() < deadline, "the run is not in the server's history"
            time.sleep(0.05)
        record: dict[str, Any] = history[prompt_id]
        return record


@contextlib.contextmanager
def comfy_page(
    browser: Browser,
    server: Server,
    mode: str,
    width: int = 1920,
    height: int = 1080,
    touch: bool = False,
    locale: str = "en",
) -> Iterator[ComfyPage]:
    """The front end of `server` in a mode of MODES, ready to use."""
    settings = {**SETTINGS, "Comfy.VueNodes.Enabled": MODES[mode], "Comfy.Locale": locale}
    server.client.post("/api/settings", settings)
    page = browser.new_page(viewport={"width": width, "height": height}, has_touch=touch)
    shown = ComfyPage(page, server)
    page.on("pageerror", lambda error: shown.faults.append(str(error)))
    page.on("console", lambda message: shown.faults.append(message.text) if _is_ours(message) else None)
    page.on("pageerror", lambda error: shown.faults.append(str(error)) if _speaks_of_us(error.stack or "") else None)
    page.on("request", lambda request: shown.foreign.append(request.url) if _is_foreign(request.url, server) else None)
    page.set_default_timeout(ACTION_MS)
    page.goto(server.url, timeout=60_000)
    page.wait_for_function(READY, timeout=60_000)
    page.wait_for_selector(".p-blockui-mask", state="hidden", timeout=60_000)
    yield shown
    page.close()


def _is_ours(message: Any) -> bool:
    """Return whether an error or warning on the console comes from this pack's files or names them."""
    said = f"{message.text} {message.location.get('url', '')}"
    return message.type in ("error", "warning") and _speaks_of_us(said)


def _speaks_of_us(text: str) -> bool:
    """Return whether a text names a file or an extension of this pack."""
    return any(name in text for name in ("image-mixer", "imagemixer."))


def _is_foreign(url: str, server: Server) -> bool:
    return not url.startswith((f"{server.url}/", "data:", "blob:", "about:"))
