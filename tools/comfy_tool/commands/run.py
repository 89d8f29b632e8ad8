"""`run`: a workflow without a browser."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..console import printable, say
from ..errors import ToolError, UsageError
from ..install.installs import find_install
from ..server.client import Client
from ..server.execute import execute
from ..server.results import Results, collect
from ..server.server import Server
from ..workflow.convert import convert
from ..workflow.graph import is_api_format, is_ui_format
from ..workflow.settings import apply_settings, title_of
from ..workflow.validate import check
from .estimate import Estimate, estimate

Prompt = dict[str, dict[str, Any]]
BAR_WIDTH = 30


def command(options: argparse.Namespace) -> int:
    """Run the workflow, or only look at it. With --json, one object is printed also when it fails."""
    started = time.monotonic()
    try:
        data = read_json(options.workflow)
        with server_for(options) as client:
            info = client.get("/object_info")
            prompt = prompt_of(data, info)
            if options.dry_run:
                return look(options, prompt, info, client)
            apply_settings(prompt, options.settings, info, client.upload_image)
            bar = Bar(prompt)
            try:
                finished = execute(client, prompt, bar, data if is_ui_format(data) else None)
            finally:
                bar.finish()
            results = collect(finished.outputs, options.out, client.view)
        report(options, results, finished.prompt_id, finished.seconds)
        return 0
    except (ToolError, KeyboardInterrupt) as error:
        if options.json:
            seconds = round(time.monotonic() - started, 3)
            failed: dict[str, Any] = {"prompt_id": None, "images": [], "texts": [], "seconds": seconds}
            print(json.dumps({**failed, "error": str(error) or "interrupted"}))
        raise


def read_json(file: Path) -> Any:
    """A workflow file in either format. Raises UsageError."""
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{file} is no JSON ({error})") from error
    if isinstance(data, dict) and is_api_format(data.get("prompt")):
        data = data["prompt"]
    if not is_ui_format(data) and not is_api_format(data):
        raise UsageError(f"{file} is no ComfyUI workflow, neither as saved nor in API format")
    return data


def prompt_of(data: Mapping[str, Any], info: Mapping[str, Any]) -> Prompt:
    """The prompt of a workflow in either format."""
    if is_ui_format(data):
        return convert(data, info)
    return {str(node_id): {**node, "inputs": dict(node.get("inputs") or {})} for node_id, node in data.items()}


@contextlib.contextmanager
def server_for(options: argparse.Namespace) -> Iterator[Client]:
    """The server named by --server, or one that lasts as long as the block."""
    if options.server:
        yield Client(options.server)
        return
    install = find_install(options.comfyui, options.python, options.version)
    say(f"Starting {install.comfyui} ...")
    with Server(install=install) as server:
        yield server.client


def look(options: argparse.Namespace, prompt: Prompt, info: Mapping[str, Any], client: Client) -> int:
    """Check a prompt and tell what it would make. Files for upload stay where they are."""
    apply_settings(prompt, options.settings, info, lambda file: file.name)
    check(prompt, info)
    found = estimate(client, prompt)
    if found is None:
        say("The server cannot count images and paid jobs: Image Mixer is missing there, or older than this one.")
        found = Estimate()
    if options.json:
        nodes = [
            {"node": node.node_id, "title": node.title, "images": _shown(node.images), "paid": node.paid}
            for node in found.nodes
        ]
        told = {"images": _shown(found.images), "paid_jobs": _shown(found.paid_jobs), "nodes": nodes}
        print(json.dumps({**told, "error": None}))
    else:
        print(printable(told_plainly(found)))
    return 0


def told_plainly(found: Estimate) -> str:
    """An estimate for a person."""
    lines = ["The workflow is valid."]
    for node in found.nodes:
        paid = ", each a paid job" if node.paid else ""
        lines.append(f"  node {node.node_id} ({node.title}): images: {_shown(node.images)}{paid}")
    lines.append(f"At most: images: {_shown(found.images)}, paid jobs: {_shown(found.paid_jobs)}")
    return "\n".join(lines)


def report(options: argparse.Namespace, results: Results, prompt_id: str, seconds: float) -> None:
    """Print what came out: one path a line and then the texts, or one JSON object."""
    if options.json:
        images = [str(path) for path in results.files]
        texts = [{"node": node_id, "text": text} for node_id, text in results.texts]
        told = {"prompt_id": prompt_id, "images": images, "texts": texts, "seconds": round(seconds, 3), "error": None}
        print(json.dumps(told))
        return
    for path in results.files:
        print(printable(str(path)))
    for _, text in results.texts:
        print(printable(text))
    if not results.files and not results.texts:
        say("The run succeeded and made no files.")


class Bar:
    """Progress on standard error: a bar for each node on a terminal, a line for each elsewhere."""

    def __init__(self, prompt: Prompt) -> None:
        self._titles = {node_id: title_of(node) for node_id, node in prompt.items()}
        self._terminal = sys.stderr.isatty()
        self._current = ""

    def node(self, node_id: str) -> None:
        """A node begins."""
        if node_id == self._current:
            return
        if self._terminal and self._current:
            print(file=sys.stderr)
        self._current = node_id
        if self._terminal:
            self._draw("")
        else:
            say(f"  {self._name()}")

    def step(self, node_id: str, value: float, most: float) -> None:
        """A node is at `value` of `most`."""
        self.node(node_id)
        if self._terminal and most > 0:
            filled = round(BAR_WIDTH * min(max(value / most, 0.0), 1.0))
            self._draw(f" [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {value:.0f}/{most:.0f}")

    def finish(self) -> None:
        """No more comes: leave the line of the bar."""
        if self._terminal and self._current:
            print(file=sys.stderr)
        self._current = ""

    def _draw(self, rest: str) -> None:
        sys.stderr.write(f"\r\x1b[K  {self._name()}{rest}")
        sys.stderr.flush()

    def _name(self) -> str:
        name = self._titles.get(self._current, f"node {self._current}")
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        return name.encode(encoding, "replace").decode(encoding, "replace")


def _shown(number: int | None) -> int | str:
    return "unknown" if number is None else number
