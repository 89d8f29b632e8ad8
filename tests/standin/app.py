"""A stand-in for the paid service on loopback: v6 and v5 as documented, with keys, credits, a queue limit, uploads that
expire, right and wrong etas, the account's list, late links, webhooks, a count of paid jobs and scripted faults.

Run it by hand with `python tests/standin/app.py --port 8190`; the key is `demo-key-0000`. Post faults as JSON to
/control/fault and manners to /control/manners; /control shows what was paid for.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import threading
import time
import urllib.request
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any

if __package__:
    from . import render, schema
    from .answers import Answers
    from .sending import FaultyHandler, Refusal
    from .state import Fault, Job, Manners, ServiceState
else:
    import render  # type: ignore[import-not-found, no-redef]
    import schema  # type: ignore[import-not-found, no-redef]
    from answers import Answers  # type: ignore[import-not-found, no-redef]
    from sending import FaultyHandler, Refusal  # type: ignore[import-not-found, no-redef]
    from state import Fault, Job, Manners, ServiceState  # type: ignore[import-not-found, no-redef]

DEMO_KEY = "demo-key-0000"
MAX_UPLOAD = 5_000_000
V6, V5 = "/api/v6", "/api/v5"
DOCUMENTED = {
    f"{V6}/image_editing/img_mixer": "/image_editing/img_mixer",
    f"{V6}/image_editing/base64_to_url": "/image_editing/base64_to_url",
}
FETCH_V6 = f"{V6}/image_editing/fetch/"


class Service(ThreadingHTTPServer):
    """The server. Tests in the same process may read and script its `state`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0, manners: Manners | None = None, keys: tuple[str, ...] = (DEMO_KEY,)) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.state = ServiceState(manners or Manners())
        self.state.credits = dict.fromkeys(keys, 10_000)
        self.document = schema.load()

    @property
    def base(self) -> str:
        """The URL of this server, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> Service:
        """Serve in a daemon thread."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a caller that hangs up: that is not an error of the service."""


class Handler(FaultyHandler):
    """One connection to the service's API."""

    server: Service

    @property
    def _answers(self) -> Answers:
        return Answers(self.state, self.base)

    @property
    def state(self) -> ServiceState:
        """What the stand-in remembers."""
        return self.server.state

    @property
    def base(self) -> str:
        """The URL of the server, without a slash at its end."""
        return self.server.base

    def do_GET(self) -> None:
        """Answer a download, or show what was paid for."""
        if self.path == "/control":
            return self.send_json(200, self._view())
        phase = "image" if self.path.startswith("/images/") else "other"
        return self.serve(phase, self._download)

    def do_POST(self) -> None:
        """Answer a call of the API, or change how the stand-in behaves."""
        fault = self.state.fault("unread:" + self._phase())
        if fault is not None:
            self.state.called(self._phase())
            return self.reset()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            fields = json.loads(body)
        except ValueError:
            return self.send_json(400, {"status": "error", "message": "this is not JSON"})
        if self.path.startswith("/control/"):
            return self._control(fields)
        return self.serve(self._phase(), partial(self._answer, fields))

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

    def _answer(self, fields: dict[str, Any]) -> dict[str, Any]:
        state, path = self.state, self.path
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
            return self._answers.listed(str(key), fields)
        if path == f"{V6}/processing/request_count":
            return {
                "status": "success",
                "processing_count": state.in_flight(str(key)),
                "message": "Current processing request count retrieved successfully",
            }
        raise Refusal(404, "not found", code="not_found")

    def _mix(self, wire: str, fields: dict[str, Any]) -> dict[str, Any]:
        state, key = self.state, fields["key"]
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
            return self._answers.success(job)
        fetch = FETCH_V6 if wire == "v6" else f"{V5}/fetch/"
        return self._answers.processing(job, fetch)

    def _fetch(self, name: str) -> dict[str, Any]:
        state = self.state
        job = state.jobs.get(int(name)) if name.isdigit() else None
        if job is None:
            raise Refusal(404, "No such request", code="not_found")
        if state.clock() < job.ready_at:
            return {"status": "processing", "message": "Try Again", "output": ""}
        return self._answers.success(job)

    def _upload(self, uri: str) -> dict[str, Any]:
        state = self.state
        time.sleep(state.manners.upload_seconds)
        data = base64.b64decode(uri.partition(",")[2] or uri)
        if len(data) > MAX_UPLOAD:
            raise Refusal(400, "The image is larger than 5 MB", code="validation_error")
        name = state.keep_upload(data)
        return {"status": "success", "id": len(state.uploads), "output": [f"{self.base}/uploads/{name}.png"]}

    def _download(self) -> bytes:
        state = self.state
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
        if not url.startswith(self.base + "/uploads/"):
            return url
        data = self.state.uploaded(url.partition("#")[0].rpartition("/")[2].removesuffix(".png"))
        if data is None:
            raise Refusal(400, "init_image cannot be read: the URL has expired", code="validation_error")
        return data

    def _hook(self, job: Job) -> None:
        state = self.state
        time.sleep(max(0.0, job.ready_at - state.clock()))
        body = self._answers.success(job) | {"track_id": job.fields.get("track_id")}
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
            self.state.violations.append(f"{what} {self.path}: {found}")
            if what == "request":
                raise Refusal(400, {"body": found}, code="validation_error")

    def _control(self, fields: dict[str, Any]) -> None:
        if self.path.endswith("/fault"):
            self.state.faults.append(Fault(**fields))
        elif self.path.endswith("/manners"):
            for name, value in fields.items():
                setattr(self.state.manners, name, value)
        self.send_json(200, self._view())

    def _view(self) -> dict[str, Any]:
        state = self.state
        return {
            "paid": len(state.paid),
            "paid_twice": state.paid_twice(),
            "violations": state.violations,
            "calls": len(state.calls),
            "jobs": list(state.jobs),
        }


def end_with_input() -> None:
    """End this process when its standard input ends: the process that started it holds the pipe, however that ends."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    """Serve until it is stopped."""
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
