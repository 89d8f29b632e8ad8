"""A second stand-in for the service, written from its documents alone: a Transport that answers without a network."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_mixer.network.transport import Call, Reply
from image_mixer.remote.endpoints import Timeouts
from image_mixer.remote.engine import Engine, Order, Outcome
from image_mixer.tests.remote import harness
from PIL import Image

BASE = "http://127.0.0.1:9"
PACE = 300.0
LONG = 3000.0
TIMES = Timeouts(connect=LONG, read=LONG, submit=LONG, call=LONG, job=LONG, download=LONG, queue=LONG)
PLAIN = {"prompt": "rose man", "steps": 30, "init_image_weights": "0.5,0.7"}

Fields = dict[str, Any]
Hook = Callable[..., "Reply | None"]


def told(value: Any, status: int = 200) -> Reply:
    """Return an answer in JSON."""
    return Reply(status, {}, json.dumps(value).encode())


BROKEN = Reply(500, {}, b"<html>")
FAILED = told({"status": "failed", "message": "Something went wrong"})


def png(fields: Fields, sample: int = 0) -> bytes:
    """Return the picture of a request's sample: a different one for each seed, prompt, steps and weights."""
    said = [int(fields["seed"]) + sample, *(fields[name] for name in PLAIN)]
    file = io.BytesIO()
    Image.new("RGB", (8, 8), tuple(hashlib.sha256(json.dumps(said).encode()).digest()[:3])).save(file, "PNG")
    return file.getvalue()


def full_meta(job: Fields) -> Fields:
    """Return a complete echo of a job."""
    names = ("seed", "prompt", "init_image", "init_image_weights", "steps", "guidance_scale", "negative_prompt")
    return {name: job["fields"].get(name) for name in names}


def plain_meta(job: Fields) -> Fields:
    """Return the echo of a service without weights, as on today's page of v6."""
    return {name: job["fields"].get(name) for name in ("seed", "prompt", "init_image", "steps")}


def no_meta(job: Fields) -> Fields:
    """Return no echo."""
    return {}


def page_of(rows: list[Fields], body: Fields) -> Reply:
    """Return a page of the account's list."""
    per, page = int(body["per_page"]), int(body["page"])
    return told(
        {
            "status": "success",
            "data": rows[(page - 1) * per : page * per],
            "pagination": {"last_page": max(1, -(-len(rows) // per))},
        }
    )


class ScriptedService:
    """The service. Tests replace `mix(fields)`, `fetch(id, body)`, `listing(rows, body)` and `links(job)`."""

    def __init__(self) -> None:
        self.jobs: dict[int, Fields] = {}
        self.pictures: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.uploads, self.step = 0, 1
        self.meta: Callable[[Fields], Fields] = full_meta
        self.mix: Hook = lambda fields: None
        self.fetch: Hook = lambda job, body: None
        self.listing: Hook = page_of
        self.links: Callable[[Fields], list[str]] = self.own_links
        self._lock = threading.Lock()

    def take(self, fields: Fields) -> int:
        """Accept a job, which is then paid for. Return its id."""
        with self._lock:
            job = 1000 + self.step * (len(self.jobs) + 1)
            self.jobs[job] = {"id": job, "fields": fields}
            return job

    def take_and_break(self, fields: Fields) -> Reply:
        """Accept a job, and answer something that tells nothing."""
        self.take(fields)
        return BROKEN

    def hold(self, job: int, sample: int, name: str) -> str:
        """Serve a picture of a job under a file name. Return its URL."""
        self.pictures[f"{BASE}/{name}"] = png(self.jobs[job]["fields"], sample)
        return f"{BASE}/{name}"

    def own_links(self, job: Fields) -> list[str]:
        return [self.hold(job["id"], i, f"{job['id']}-{i}.png") for i in range(int(job["fields"]["samples"]))]

    def success(self, job: int) -> Reply:
        """Return the answer about a job that is done."""
        made = self.jobs[job]
        return told({"status": "success", "id": job, "output": self.links(made), "meta": self.meta(made)})

    def __call__(self, call: Call) -> Reply:
        if call.method == "GET":
            data = self.pictures.get(call.url)
            return Reply(404, {}, b"") if data is None else Reply(200, {}, data)
        body, kind = json.loads(call.body or b"{}"), call.url.rpartition("/")[0].rpartition("/")[2]
        if call.url.endswith("/img_mixer"):
            self.calls.append("mix")
            return self.mix(body) or told({"status": "processing", "id": self.take(body), "eta": 1})
        if call.url.endswith("/assets_generated"):
            self.calls.append("list")
            answer = self.listing([{"id": job} for job in reversed(list(self.jobs))], body)
            assert answer is not None
            return answer
        if kind == "fetch":
            self.calls.append("fetch")
            job = int(call.url.rpartition("/")[2])
            return self.fetch(job, body) or self.success(job)
        self.uploads += 1
        return told({"status": "success", "output": [f"{BASE}/up/{self.uploads}.png"]})


class Scene(harness.Clocks):
    """An engine and a scripted service, with clocks that run PACE times as fast as the world."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PACE)
        self.folder, self.service = folder, ScriptedService()
        self.key, self.results = harness.KEY, 2_000_000_000
        self.endpoint: Fields = {"timeouts": TIMES}

    def engine(self) -> Engine:
        settings = replace(harness.endpoints(BASE, **self.endpoint), results_bytes=self.results)
        return harness.engine(BASE, self.folder, settings, self.key, transport=self.service, **self.given())

    def run(self, order: Order) -> Outcome:
        return self.engine().run(order)

    def tried(self, order: Order) -> Outcome | Exception:
        """Return the outcome, or what was raised."""
        try:
            return self.run(order)
        except Exception as error:
            return error

    def lost(self, seed: int, listed: bool = True) -> int:
        """Pay for a job whose answer is lost; unless `listed`, it is not in the account's list yet. Return its id."""
        self.service.mix = self.service.take_and_break
        meta, self.service.meta = self.service.meta, no_meta
        before = set(self.service.jobs)
        listing, self.service.listing = (
            self.service.listing,
            lambda rows, body: page_of([row for row in rows if row["id"] in before or listed], body),
        )
        assert isinstance(self.tried(order(seed)), Exception)
        self.service.mix, self.service.meta, self.service.listing = lambda fields: None, meta, listing
        return next(job for job in self.service.jobs if job not in before)

    def hide(self, *jobs: int) -> None:
        """Make a list that does not show these jobs yet."""
        self.service.listing = lambda rows, body: page_of([row for row in rows if row["id"] not in jobs], body)

    def paid_by(self, order: Order) -> int:
        """Run `order`; return how many jobs it paid for, however it ends."""
        before = len(self.service.jobs)
        self.tried(order)
        return len(self.service.jobs) - before


def order(seed: int, endpoint: str = "v6", **more: Any) -> Order:
    """Return an order in a run of its own."""
    recipe = {name: more.pop(name) for name in ("samples", "weights") if name in more}
    more.setdefault("run", str(seed))
    return harness.order(harness.recipe(seed=seed, **recipe), endpoint, **more)
