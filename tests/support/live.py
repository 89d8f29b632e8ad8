"""A client for a running server that does what the page does, and the graphs that tests queue on it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from image_mixer.tools.comfy_tool.server.server import Server
from image_mixer.tools.comfy_tool.workflow.convert import convert
from PIL import Image

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
PHOTOGRAPHS = Path(__file__).resolve().parents[2] / "tools" / "assets"
PROBE = Path(__file__).parent / "probe"


def prepared(base: Path) -> Path:
    """Put the probe and two pictures into a base directory, and return it."""
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "image-mixer-probe").symlink_to(PROBE, target_is_directory=True)
    (base / "input").mkdir()
    for name, colour in (("a.png", (200, 40, 40)), ("b.png", (30, 60, 210))):
        Image.new("RGB", (96, 64), colour).save(base / "input" / name)
    return base


class Live:
    """A client for a running server that does what the page does."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.server.url}{path}", timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send any request, and return (status, JSON or None)."""
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | (headers or {})
        request = urllib.request.Request(f"{self.server.url}{path}", data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            try:
                return error.code, json.loads(error.read())
            except ValueError:
                return error.code, None

    def queue(self, prompt: dict[str, Any]) -> str:
        """Queue a prompt that the server must accept, and return its id."""
        status, answer = self.post("/prompt", {"prompt": prompt})
        assert status == 200, answer
        return str(answer["prompt_id"])

    def ended(self, prompt_id: str, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until a prompt has ended, and return its history entry."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt_id}")
            if history:
                return dict(history[prompt_id])
            time.sleep(0.05)
        raise AssertionError("the prompt did not end")

    def run(self, prompt: dict[str, Any], seconds: float = 120.0) -> dict[str, Any]:
        """Queue a prompt, wait until it has ended, and return its history entry."""
        return self.ended(self.queue(prompt), seconds)

    def good(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """Run a prompt that must succeed, and return its outputs by node."""
        entry = self.run(prompt)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
        return dict(entry["outputs"])

    def error(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """Run a prompt that must fail, and return its execution_error."""
        entry = self.run(prompt)
        errors = [body for kind, body in entry["status"]["messages"] if kind == "execution_error"]
        assert errors, entry["status"]
        return dict(errors[0])

    def image(self, saved: dict[str, Any]) -> bytes:
        """Return the bytes of an image in the outputs."""
        query = f"filename={saved['filename']}&subfolder={saved['subfolder']}&type={saved['type']}"
        with urllib.request.urlopen(f"{self.server.url}/view?{query}", timeout=60) as answer:
            return bytes(answer.read())

    def counts(self) -> dict[str, int]:
        return dict(self.get("/probe/counts"))


def graph(**nodes: Any) -> dict[str, Any]:
    """Return a prompt in API format: graph(mix=("ImageMixerMix", {"images.image0": ["a", 0]}))."""
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def local_graph(**changes: dict[str, Any]) -> dict[str, Any]:
    """Return a prompt with two pictures, one recipe, Local and Save, on micro models; `changes` are inputs by node."""
    prompt = graph(
        a=("LoadImage", {"image": "a.png"}),
        b=("LoadImage", {"image": "b.png"}),
        mix=("ImageMixerMix", {"images.image0": ["a", 0], "images.image1": ["b", 0], "pad": "0.5, 0.7"}),
        recipe=(
            "ImageMixerRecipe",
            {
                "mix": ["mix", 0],
                "prompt": "",
                "negative_prompt": "",
                "width": 64,
                "height": 64,
                "steps": 2,
                "guidance_scale": 3.0,
                "seed": 1,
                "samples": 1,
            },
        ),
        models=("ProbeMicroModels", {"seed": 0, "tagged": True}),
        local=(
            "ImageMixerLocal",
            {
                "recipe": ["recipe", 0],
                "model": ["models", 0],
                "clip": ["models", 1],
                "vae": ["models", 2],
                "clip_vision": ["models", 3],
                "preparation": "centre crop",
                "method": "auto",
                "strength": 1.0,
                "sampler": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        ),
        save=("ImageMixerSave", {"images": ["local", 0], "filename_prefix": "test/mix", "report": ["local", 2]}),
        show=("PreviewAny", {"source": ["local", 2]}),
    )
    for name, inputs in changes.items():
        prompt[name]["inputs"].update(inputs)
    return prompt


def report_of(outputs: dict[str, Any], node: str = "show") -> dict[str, Any]:
    return dict(json.loads(outputs[node]["text"][0]))


def template_of(live: Live, name: str, **values: Any) -> dict[str, Any]:
    """Return the prompt of a template as the runner converts it, with these values in every input of that name."""
    saved = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    prompt: dict[str, Any] = convert(saved, live.get("/object_info"))
    for node in prompt.values():
        node["inputs"].update({key: value for key, value in values.items() if key in node["inputs"]})
    return prompt


def node_of(prompt: dict[str, Any], kind: str) -> str:
    """Return the id of the one node of that type."""
    (name,) = (name for name, node in prompt.items() if node["class_type"] == kind)
    return name
