"""`run`: run a workflow without a browser."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..console import printable, say
from ..errors import ToolError, UsageError
from ..server.client import Client
from ..server.execute import execute
from ..server.results import Results, collect
from ..server.server import Server
from ..workflow.convert import convert
from ..workflow.graph import is_api_format, is_ui_format
from ..workflow.prompt import MutablePrompt
from ..workflow.settings import apply_settings
from ..workflow.validate import check
from .estimate import Estimate, estimate
from .libraries import for_running_server, install_for
from .progress import Bar


def command(options: argparse.Namespace) -> int:
    """Run the workflow, or with --dry-run only check it. With --json, one object is printed, also if the run fails."""
    started = time.monotonic()
    try:
        data = read_json(options.workflow)
        with server_for(options) as client:
            info = client.get("/object_info")
            prompt = prompt_of(data, info)
            if options.dry_run:
                return dry_run(options, prompt, info, client)
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
    """Read a workflow file in UI or API format. Raises UsageError."""
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{file} is not JSON ({error})") from error
    if isinstance(data, dict) and is_api_format(data.get("prompt")):
        data = data["prompt"]
    if not is_ui_format(data) and not is_api_format(data):
        raise UsageError(f"{file} is not a ComfyUI workflow in UI or API format")
    return data


def prompt_of(data: Mapping[str, Any], info: Mapping[str, Any]) -> MutablePrompt:
    """Return the prompt of a workflow in UI or API format."""
    if is_ui_format(data):
        return convert(data, info)
    return {str(node_id): {**node, "inputs": dict(node.get("inputs") or {})} for node_id, node in data.items()}


@contextlib.contextmanager
def server_for(options: argparse.Namespace) -> Iterator[Client]:
    """Yield a client of the server named by --server, or of one that runs as long as the block."""
    if options.server:
        client = Client(options.server)
        for_running_server(options)
        yield client
        return
    install = install_for(options)
    say(f"Starting {install.comfyui} ...")
    with Server(install=install) as server:
        yield server.client


def dry_run(options: argparse.Namespace, prompt: MutablePrompt, info: Mapping[str, Any], client: Client) -> int:
    """Check a prompt and print what it would make. No file is uploaded."""
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
        counts = {"images": _shown(found.images), "paid_jobs": _shown(found.paid_jobs), "nodes": nodes}
        print(json.dumps({**counts, "error": None}))
    else:
        print(printable(summary(found)))
    return 0


def summary(found: Estimate) -> str:
    """Return an estimate as text for a person."""
    lines = ["The workflow is valid."]
    for node in found.nodes:
        paid = ", each a paid job" if node.paid else ""
        lines.append(f"  node {node.node_id} ({node.title}): images: {_shown(node.images)}{paid}")
    lines.append(f"At most: images: {_shown(found.images)}, paid jobs: {_shown(found.paid_jobs)}")
    return "\n".join(lines)


def report(options: argparse.Namespace, results: Results, prompt_id: str, seconds: float) -> None:
    """Print the results: one path per line and then the texts, or one JSON object."""
    if options.json:
        images = [str(path) for path in results.files]
        texts = [{"node": node_id, "text": text} for node_id, text in results.texts]
        facts = {"prompt_id": prompt_id, "images": images, "texts": texts, "seconds": round(seconds, 3), "error": None}
        print(json.dumps(facts))
        return
    for path in results.files:
        print(printable(str(path)))
    for _, text in results.texts:
        print(printable(text))
    if not results.files and not results.texts:
        say("The run succeeded and made no files.")


def _shown(number: int | None) -> int | str:
    return "unknown" if number is None else number
