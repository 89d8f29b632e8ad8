"""A stand-in for ComfyUI with the few routes that the commands use and no WebSocket. The prompt says what it does.

A node of class Boom fails, Slow runs until it is interrupted, Vanish leaves the queue without a trace, Save makes
"images"; FAKE_COMFYUI in the environment says how the start fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

ANY = {"required": {"value": ["STRING", {"default": ""}]}}
INFO = {
    "ImageMixerMix": {"input": {}, "output": ["IMAGE_MIX"]},
    "LoadImage": {"input": {"required": {"image": [["there.png"], {"image_upload": True}]}}, "output": ["IMAGE"]},
    **{name: {"input": ANY, "output": [], "output_node": True} for name in ("Save", "Boom", "Slow", "Vanish", "Bad")},
}


class State:
    """The server's state."""

    history: ClassVar[dict[str, object]] = {}
    running: ClassVar[list[str]] = []
    told: ClassVar[list[object]] = []
    uploads: ClassVar[list[str]] = []


def run(prompt_id: str, prompt: dict[str, dict[str, object]]) -> None:
    kinds = {node["class_type"]: node_id for node_id, node in prompt.items()}
    messages: list[object] = [["execution_start", {}]]
    status, outputs = "success", {}
    if "Vanish" in kinds:
        return
    if "Slow" in kinds:
        State.running.append(prompt_id)
        return
    if "Boom" in kinds:
        status = "error"
        failure = {"node_id": kinds["Boom"], "exception_message": "it broke\nin two lines", "exception_type": "E"}
        messages.append(["execution_error", failure])
    elif "Save" in kinds:
        outputs[kinds["Save"]] = {
            "images": [{"filename": "../../evil.png", "subfolder": "", "type": "output"}],
            "text": [str(prompt[kinds["Save"]]["inputs"]["value"])],
        }
    State.history[prompt_id] = {"outputs": outputs, "status": {"status_str": status, "messages": messages}}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        last = path.rsplit("/", 1)[-1]
        if path == "/system_stats":
            self.answer({"system": {"argv": sys.argv}})
        elif path.startswith("/object_info"):
            self.answer(INFO if last == "object_info" else {name: INFO[name] for name in [last] if name in INFO})
        elif path.startswith("/history/"):
            self.answer({last: State.history[last]} if last in State.history else {})
        elif path == "/queue":
            self.answer({"queue_running": [[0, one] for one in State.running], "queue_pending": []})
        elif path == "/view":
            self.answer(f"bytes of {urllib.parse.parse_qs(query)['filename'][0]}".encode())
        elif path == "/told":
            self.answer({"told": State.told, "uploads": State.uploads})
        else:
            self.answer({}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/upload/image":
            State.uploads.append(body.decode("latin-1"))
            self.answer({"name": "mine.png", "subfolder": "image-mixer", "type": "input"})
            return
        if self.path == "/image_mixer/estimate":
            known = os.environ.get("FAKE_COMFYUI") != "older"
            self.answer({"images": 0, "paid_jobs": 0, "nodes": []} if known else {}, 200 if known else 405)
            return
        data = json.loads(body)
        State.told.append([self.path, data])
        if self.path != "/prompt":
            self.answer(b"")
            return
        prompt = data["prompt"]
        bad = [node_id for node_id, node in prompt.items() if node["class_type"] == "Bad"]
        if bad:
            fault = {"message": "Value not in list", "details": "value: 'x'", "extra_info": {"input_name": "value"}}
            error = {"message": "Prompt outputs failed validation", "details": ""}
            self.answer({"error": error, "node_errors": {one: {"errors": [fault]} for one in bad}}, 400)
            return
        prompt_id = f"prompt-{len(State.told)}"
        run(prompt_id, prompt)
        self.answer({"prompt_id": prompt_id, "number": 1, "node_errors": {}})

    def answer(self, body: object, status: int = 200) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--base-directory", type=Path)
    options, _ = parser.parse_known_args()
    pack = options.base_directory / "custom_nodes" / "image-mixer"
    way = os.environ.get("FAKE_COMFYUI", "")
    print(f"arguments: {json.dumps(sys.argv[1:])}")
    print(f"pack: {(pack / '__init__.py').is_file()} path: {sys.path[0]}")
    if way == "dies":
        sys.exit("torch is missing")
    if way == "no import":
        print(
            f"Traceback (most recent call last):\nValueError: a fault\n\nCannot import {pack} module for custom nodes: a"
        )
        print(f"   0.0 seconds (IMPORT FAILED): {pack}")
    if way == "another fails":
        print(f"   0.0 seconds (IMPORT FAILED): {pack.parent / 'other'}")
    if way == "no nodes":
        del INFO["ImageMixerMix"]
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
