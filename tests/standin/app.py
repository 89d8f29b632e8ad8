"""A stand-in of the paid service on loopback: v6 and v5 by its documents, with keys, credits, a queue limit, uploads
that expire, etas right and wrong, the account's list, late links, webhooks, a count of paid jobs and scripted faults.

`python tests/standin/app.py --port 8190` runs it for people; the key is `demo-key-0000`. Faults are posted as JSON to
/control/fault, manners to /control/manners; /control tells what was paid for.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import socket
import struct
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

if __package__:
    from . import render, schema
    from .state import Fault, Job, Manners, ServiceState
else:
    import render  # type: ignore[import-not-found, no-redef]
    import schema  # type: ignore[import-not-found, no-redef]
    from state import Fault, Job, Manners, ServiceState  # type: ignore[import-not-found, no-redef]

DEMO_KEY = "demo-key-0000"
MAX_UPLOAD = 5_000_000
V6, V5 = "/api/v6", "/api/v5"
DOCUMENTED = {
    f"{V6}/image_editing/img_mixer": "/image_editing/img_mixer",
    f"{V6}/image_editing/base64_to_url": "/image_editing/base64_to_url",
}
FETCH_V6 = f"{V6}/image_editing/fetch/"


class Refusal(Exception):
    """An answer that says no."""

    def __init__(self, status: int, message: Any, **more: Any) -> None:
        super().__init__(str(message))
        self.status = status
        self.body = {"status": "error", "message": message, **more}


class Service(ThreadingHTTPServer):
    """The server. `state` may be looked into and scripted by tests of the same process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0, manners: Manners | None = None, keys: tuple[str, ...] = (DEMO_KEY,)) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.state = ServiceState(manners or Manners())
        self.state.credits = dict.fromkeys(keys, 10_000)
        self.document = schema.load()

    @property
    def base(self) -> str:
        """The address of this server, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> Service:
        """Serves in a daemon thread."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no error of the service."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60
    server: Service

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: tests read the state instead."""

    def do_GET(self) -> None:
        """A download, or the control's view."""
        if self.path == "/control":
            return self._json(200, self._view())
        phase = "image" if self.path.startswith("/images/") else "other"
        return self._serve(phase, {}, self._download)

    def do_POST(self) -> None:
        """A call of the API."""
        fault = self.server.state.fault("unread:" + self._phase())
        if fault is not None:
            self.server.state.called(self._phase())
            return self._reset()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            fields = json.loads(body)
        except ValueError:
            return self._json(400, {"status": "error", "message": "no JSON"})
        if self.path.startswith("/control/"):
            return self._control(fields)
        return self._serve(self._phase(), fields, self._answer)

    def _phase(self) -> str:
        for part, phase in (
            ("img_mixer", "mix"),
            ("/fetch/", "fetch"),
            ("base64_to_url", "upload"),
            ("assets_generated", "list"),
            ("/control", "control"),
            ("request_count", "count"),
        ):
            if part in self.path:
                return phase
        return "other"

    def _serve(self, phase: str, fields: dict[str, Any], work: Any) -> None:
        state = self.server.state
        state.called(phase)
        fault = state.fault(phase, self.path)
        status, kind, data, made = 200, "application/json", b"", {}
        if fault is None or fault.taken or fault.action in ("cut", "trickle", "delay"):
            try:
                made = work(fields)
                if isinstance(made, bytes):
                    kind, data = "image/png", made
                else:
                    data = json.dumps(made).encode()
            except Refusal as refusal:
                status, made = refusal.status, refusal.body
                data = json.dumps(made).encode()
        if fault is None:
            return self._send(status, kind, data)
        if fault.action in ("reset", "unread"):
            return self._reset()
        if fault.action == "hang":
            time.sleep(fault.seconds)
            return self._reset()
        if fault.action == "delay":
            time.sleep(fault.seconds)
            return self._send(status, kind, data)
        if fault.action == "cut":
            self._send(status, kind, data, sent=int(len(data) * fault.part))
            return self._reset()
        if fault.action == "trickle":
            return self._trickle(status, data, fault.seconds)
        text = (
            fault.body
            if isinstance(fault.body, bytes)
            else fault.body.replace("{id}", str(made.get("id", 0) if isinstance(made, dict) else 0))
            .replace("{base}", self.server.base)
            .encode()
        )
        return self._send(fault.status, fault.headers.get("Content-Type", kind), text, more=fault.headers)

    def _answer(self, fields: dict[str, Any]) -> dict[str, Any]:
        state, path = self.server.state, self.path
        key = fields.get("key")
        if key not in state.credits:
            raise Refusal(401, "Invalid API Key", code="invalid_api_key")
        if path in DOCUMENTED:
            self._check(fields, schema.request_schema(self.server.document, DOCUMENTED[path]), "request")
        if path == f"{V6}/image_editing/img_mixer":
            return self._checked(self._mix("v6", fields), "/image_editing/img_mixer")
        if path in (f"{V5}/img_mixer", "/api/v3/img_mixer"):
            return self._mix("v5", fields)
        if path.startswith(FETCH_V6):
            return self._checked(self._fetch(path.removeprefix(FETCH_V6)), "/image_editing/fetch/{id}")
        if path.startswith(f"{V5}/fetch/"):
            return self._fetch(path.removeprefix(f"{V5}/fetch/"))
        if path == f"{V6}/image_editing/base64_to_url":
            return self._checked(self._upload(fields["init_image"]), "/image_editing/base64_to_url")
        if path == f"{V6}/base64_to_url":
            return self._upload(fields["base64_string"])
        if path == f"{V6}/assets_generated":
            return self._list(str(key), fields)
        if path == f"{V6}/processing/request_count":
            return {
                "status": "success",
                "processing_count": state.in_flight(str(key)),
                "message": "Current processing request count retrieved successfully",
            }
        raise Refusal(404, "not found", code="not_found")

    def _mix(self, wire: str, fields: dict[str, Any]) -> dict[str, Any]:
        state, key = self.server.state, fields["key"]
        urls = fields.get("init_image") or ""
        urls = urls.split(",") if isinstance(urls, str) else urls
        said = fields.get("init_image_weights")
        weights = [float(w) for w in said.split(",")] if said else [1.0] * len(urls)
        if not fields.get("prompt") or not urls or len(weights) != len(urls):
            raise Refusal(
                400, {"prompt": ["a prompt, and a weight for each image, are required"]}, code="validation_error"
            )
        inputs: list[bytes | str] = [self._input(url.replace("%2C", ",")) for url in urls]
        with state.lock:
            if state.credits[key] <= 0:
                raise Refusal(402, "You have no credits left", code="insufficient_balance")
            if state.in_flight(key) >= state.manners.queue_limit:
                raise Refusal(429, "Your queue is full", code="rate_limited", retry_after=state.manners.retry_after)
            size = (int(fields.get("width") or 0), int(fields.get("height") or 0))
            job = state.repeated(fields) or state.begin(
                wire, key, fields, inputs, weights, size if all(size) else render.size_of(inputs[0])
            )
        time.sleep(state.manners.submit_seconds)
        if fields.get("webhook"):
            threading.Thread(target=self._hook, args=(job,), daemon=True).start()
        if state.manners.at_once:
            time.sleep(max(0.0, job.ready_at - state.clock()))
            return self._success(job)
        fetch = FETCH_V6 if wire == "v6" else f"{V5}/fetch/"
        return {
            "status": "processing",
            "tip": "Your image is processing in background",
            "eta": math.ceil(job.eta),
            "message": "Try to fetch request after seconds estimated",
            "id": job.id,
            "output": [],
            "fetch_result": f"{self.server.base}{fetch}{job.id}",
            "future_links": self._links(job),
            "meta": self._meta(job),
        }

    def _fetch(self, name: str) -> dict[str, Any]:
        state = self.server.state
        job = state.jobs.get(int(name)) if name.isdigit() else None
        if job is None:
            raise Refusal(404, "No such request", code="not_found")
        if state.clock() < job.ready_at:
            return {"status": "processing", "message": "Try Again", "output": ""}
        return self._success(job)

    def _success(self, job: Job) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "status": "success",
            "generationTime": job.seconds,
            "id": job.id,
            "output": self._links(job),
        }
        return answer if self.server.state.manners.hides_meta else answer | {"meta": self._meta(job)}

    def _upload(self, uri: str) -> dict[str, Any]:
        state = self.server.state
        time.sleep(state.manners.upload_seconds)
        data = base64.b64decode(uri.partition(",")[2] or uri)
        if len(data) > MAX_UPLOAD:
            raise Refusal(400, "The image is larger than 5 MB", code="validation_error")
        name = state.keep_upload(data)
        return {"status": "success", "id": len(state.uploads), "output": [f"{self.server.base}/uploads/{name}.png"]}

    def _download(self, fields: dict[str, Any]) -> bytes:
        state = self.server.state
        kind, _, name = self.path.strip("/").partition("/")
        if any(key in f"{self.path} {self.headers}" for key in state.credits):
            state.leaks.append(self.path)
        if kind == "uploads":
            data = state.uploaded(name.removesuffix(".png"))
            if data is not None:
                return data
        if kind == "images":
            number, _, index = name.removesuffix(".png").replace("/", "-").partition("-")
            job = state.jobs.get(int(number))
            since = -1.0 if job is None else state.clock() - job.ready_at
            if job is not None and state.manners.links_late <= since < state.manners.links_live:
                prompt, seed = str(job.fields["prompt"]), job.seed + int(index)
                return render.rendered(job.inputs, job.weights, prompt, seed, job.size)
        raise Refusal(404, "not here")

    def _input(self, url: str) -> bytes | str:
        if not url.startswith(self.server.base + "/uploads/"):
            return url
        data = self.server.state.uploaded(url.partition("#")[0].rpartition("/")[2].removesuffix(".png"))
        if data is None:
            raise Refusal(400, "init_image cannot be read: the URL has expired", code="validation_error")
        return data

    def _links(self, job: Job) -> list[str | None]:
        manners, count = self.server.state.manners, int(job.fields.get("samples") or 1)
        mark = "/" if manners.plain_names else "-"
        links: list[str | None] = [f"{self.server.base}/images/{job.id}{mark}{index}.png" for index in range(count)]
        if count == 1 or (manners.leaves_out_of and job.id not in manners.leaves_out_of):
            return links
        if manners.nulls:
            return [None if index in manners.leaves_out else link for index, link in enumerate(links)]
        return [link for index, link in enumerate(links) if index not in manners.leaves_out]

    def _meta(self, job: Job) -> dict[str, Any]:
        fields = job.fields
        meta = {
            "H": job.size[1],
            "W": job.size[0],
            "prompt": fields["prompt"],
            "seed": job.seed,
            "outdir": "out",
            "negative_prompt": fields.get("negative_prompt", ""),
            "steps": fields.get("steps"),
            "guidance_scale": fields.get("guidance_scale"),
            "n_samples": fields.get("samples", 1),
            "init_image": fields["init_image"],
            "file_prefix": f"{job.id}",
        }
        if self.server.state.manners.rounds_seeds:
            meta["seed"] = float(job.seed)
        if self.server.state.manners.thin_meta:
            return {name: meta[name] for name in ("prompt", "seed", "init_image")}
        if not self.server.state.manners.hides_weights and fields.get("init_image_weights"):
            meta["init_image_weights"] = fields["init_image_weights"]
        return meta

    def _list(self, key: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The account's finished jobs, newest first: 10 a page unless asked, 30 at most."""
        state = self.server.state
        now = state.clock() - state.manners.list_late
        shown = (job for job in state.jobs.values() if job.key == key and job.ready_at <= now)
        jobs = sorted((job for job in shown if job.id not in state.manners.unlisted), key=lambda job: -job.id)
        per, page = min(30, int(fields.get("per_page") or 10)), int(fields.get("page") or 1)
        rows = [{"id": job.id, "output": self._links(job)} for job in jobs[(page - 1) * per : page * per]]
        paging = {"current_page": page, "per_page": per, "total": len(jobs), "last_page": max(1, -(-len(jobs) // per))}
        return {"status": "success", "data": rows, "pagination": paging}

    def _hook(self, job: Job) -> None:
        state = self.server.state
        time.sleep(max(0.0, job.ready_at - state.clock()))
        body = self._success(job) | {"track_id": job.fields.get("track_id")}
        for _ in range(state.manners.webhooks):
            state.webhooks.append((job.fields["webhook"], body))
            try:
                request = urllib.request.Request(job.fields["webhook"], json.dumps(body).encode(), method="POST")
                urllib.request.urlopen(request, timeout=5).close()
            except OSError:
                continue

    def _checked(self, answer: dict[str, Any], path: str) -> dict[str, Any]:
        self._check(answer, schema.answer_schema(self.server.document, path), "answer")
        return answer

    def _check(self, value: dict[str, Any], form: dict[str, Any], what: str) -> None:
        found = schema.faults(value, form, self.server.document)
        if found:
            self.server.state.violations.append(f"{what} {self.path}: {found}")
            if what == "request":
                raise Refusal(400, {"body": found}, code="validation_error")

    def _control(self, fields: dict[str, Any]) -> None:
        if self.path.endswith("/fault"):
            self.server.state.faults.append(Fault(**fields))
        elif self.path.endswith("/manners"):
            for name, value in fields.items():
                setattr(self.server.state.manners, name, value)
        self._json(200, self._view())

    def _view(self) -> dict[str, Any]:
        state = self.server.state
        return {
            "paid": len(state.paid),
            "paid_twice": state.paid_twice(),
            "violations": state.violations,
            "calls": len(state.calls),
            "jobs": list(state.jobs),
        }

    def _json(self, status: int, value: Any) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(
        self, status: int, kind: str, data: bytes, sent: int | None = None, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data if sent is None else data[:sent])
        self.wfile.flush()

    def _trickle(self, status: int, data: bytes, seconds: float) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(seconds)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def end_with_input() -> None:
    """Ends this process with the pipe that whoever started it holds, however that one ended."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--key", default=DEMO_KEY)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a generation takes")
    parser.add_argument("--end-with-input", action="store_true", help="end when standard input does")
    options = parser.parse_args()
    if options.end_with_input:
        threading.Thread(target=end_with_input, daemon=True).start()
    service = Service(options.port, Manners(took=[options.seconds]), (options.key,))
    print(f"The stand-in serves v6 at {service.base}{V6} and v5 at {service.base}{V5}", flush=True)
    service.serve_forever()


if __name__ == "__main__":
    main()
