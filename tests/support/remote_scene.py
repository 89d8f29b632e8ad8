"""A live ComfyUI beside the stand-in of the service: its profiles, a recorder of its WebSocket, and remote graphs."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from image_mixer.tests.standin import render
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Manners
from image_mixer.tests.support.live import Live, graph, local_graph, prepared
from image_mixer.tools.comfy_tool.server.news import News
from image_mixer.tools.comfy_tool.server.server import Server
from PIL import Image

KEY = "canary-7d1f0c52e6b94a38"
WRONG = "wrong-canary-51c6e0aa93"
PROFILES = """
[spending]
max_jobs_per_run = 4
max_jobs_per_day = {per_day}

[endpoints."modelslab v6"]
base_url = "{base}/api/v6"
jobs_in_flight = 10
timeouts = {{ connect = 2.0, read = 5.0, submit = 8.0, call = 8.0, job = 60.0, download = 10.0, queue = 20.0 }}

[endpoints."stable diffusion api v5"]
base_url = "{base}/api/v5"
timeouts = {{ connect = 2.0, read = 5.0, submit = 8.0, call = 8.0, job = 60.0, download = 10.0, queue = 20.0 }}

[endpoints.hasty]
base_url = "{base}/api/v6"
timeouts = {{ connect = 1.0, read = 1.5, submit = 1.5, call = 1.5, job = 4.0, download = 2.0, queue = 1.5 }}

[endpoints.keyless]
base_url = "{base}/api/v6"
credential = "IMAGE_MIXER_TEST_UNSET"

[endpoints.wrong]
base_url = "{base}/api/v6"
credential = "IMAGE_MIXER_TEST_WRONG"

[endpoints.offline]
base_url = "https://nowhere.invalid/api/v6"
timeouts = {{ connect = 1.0, read = 1.0, submit = 1.0, call = 1.0, job = 2.0, download = 1.0, queue = 1.0 }}
"""


class Scene(Live):
    """The server, the stand-in, and all messages from the server's WebSocket."""

    def __init__(self, server: Server, service: Service) -> None:
        super().__init__(server)
        self.service = service
        self.heard = bytearray()
        self._over = threading.Event()

    @property
    def private(self) -> Path:
        """The pack's private folder."""
        return self.server.base / "user" / "__image_mixer"

    @property
    def paid(self) -> int:
        """Jobs paid for so far."""
        return len(self.service.state.paid)

    @property
    def calls(self) -> int:
        """Calls that the stand-in got so far."""
        return len(self.service.state.calls)

    def listen(self) -> None:
        """Record what comes over the WebSocket, also after restarts of the server."""
        with News(self.server.url, "test") as news:
            while not self._over.is_set():
                message = news.next(0.2)
                if message is not None:
                    self.heard += message.encode() if isinstance(message, str) else message

    def quiet(self) -> None:
        """End `listen`."""
        self._over.set()


@contextlib.contextmanager
def scene(
    base: Path, took: float = 0.2, per_day: int = 1000, env: Mapping[str, str] | None = None, **more: Any
) -> Iterator[Scene]:
    """Run a server on the base directory `base` whose profiles lead to a stand-in, with at most `per_day` paid jobs."""
    base.mkdir(exist_ok=True)
    prepared(base)
    with Service(manners=Manners(took=[took], queue_limit=10), keys=(KEY,)).start() as service:
        private = base / "user" / "__image_mixer"
        private.mkdir(parents=True)
        (private / "endpoints.toml").write_text(PROFILES.format(base=service.base, per_day=per_day), encoding="utf-8")
        env = {"MODELSLAB_API_KEY": KEY, "IMAGE_MIXER_TEST_WRONG": WRONG, **(env or {})}
        with Server(base=base, env=env, **more) as server:
            made = Scene(server, service)
            thread = threading.Thread(target=made.listen, daemon=True)
            thread.start()
            try:
                yield made
            finally:
                made.quiet()
                thread.join(5)
                service.shutdown()


@contextlib.contextmanager
def well_behaved(running: Scene) -> Iterator[Scene]:
    """Give the stand-in back its manners after the block, and clear the faults that were set in it."""
    manners = dict(vars(running.service.state.manners))
    yield running
    vars(running.service.state.manners).update(manners)
    running.service.state.faults.clear()


def remote_graph(**changes: dict[str, Any]) -> dict[str, Any]:
    """Return a prompt with two pictures, one recipe, Remote and Save; `changes` are inputs by node."""
    prompt = {name: node for name, node in local_graph().items() if name in ("a", "b", "mix", "recipe")}
    prompt["recipe"]["inputs"] |= {"prompt": "rose man", "width": 256, "height": 256, "steps": 30}
    prompt |= graph(
        remote=(
            "ImageMixerRemote",
            {"recipe": ["recipe", 0], "endpoint": "modelslab v6", "take": 0, "track_id": ""},
        ),
        save=("ImageMixerSave", {"images": ["remote", 0], "filename_prefix": "test/remote", "report": ["remote", 1]}),
        show=("PreviewAny", {"source": ["remote", 1]}),
    )
    for name, inputs in changes.items():
        prompt[name]["inputs"].update(inputs)
    return prompt


def both(first: str, second: str, **changes: dict[str, Any]) -> dict[str, Any]:
    """Return a prompt with two engine nodes on one recipe, "remote" and "local", `second` being the fallback of `first`."""
    prompt = remote_graph()
    local = {name: node for name, node in local_graph().items() if name in ("models", "local")}
    prompt |= local
    prompt[first]["inputs"]["fallback"] = [second, 0]
    report = {"remote": 1, "local": 2}[first]
    prompt["save"]["inputs"] |= {"images": [first, 0], "report": [first, report]}
    prompt["show"]["inputs"]["source"] = [first, report]
    prompt["recipe"]["inputs"] |= {"width": 256, "height": 256, "prompt": "rose", "steps": 1}
    for name, inputs in changes.items():
        prompt[name]["inputs"].update(inputs)
    return prompt


def beside_a_sampler(seed: int) -> dict[str, Any]:
    """Return a prompt with Remote, and Local with 1000 steps. The ingredients in between make ComfyUI run Local last."""
    prompt = remote_graph(recipe={"seed": seed})
    prompt |= {name: node for name, node in local_graph().items() if name in ("models", "local")}
    prompt |= graph(
        one=("ImageMixerAddImage", {"mix": ["mix", 0], "image": ["a", 0], "weight": 0.5, "start": 0.0, "end": 1.0}),
        two=("ImageMixerAddImage", {"mix": ["one", 0], "image": ["b", 0], "weight": 0.5, "start": 0.0, "end": 1.0}),
        slow=("ImageMixerRecipe", prompt["recipe"]["inputs"] | {"mix": ["two", 0], "steps": 1000, "prompt": ""}),
        keep=("PreviewImage", {"images": ["local", 0]}),
    )
    prompt["local"]["inputs"]["recipe"] = ["slow", 0]
    return prompt


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `true()` is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def pixels(data: bytes) -> bytes:
    """Return the RGB values of a picture file."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


def made(live: Scene, number: int) -> bytes:
    """Return the picture that the stand-in serves for a job."""
    job = live.service.state.jobs[number]
    return render.rendered(job.inputs, job.weights, str(job.fields["prompt"]), job.seed, job.size)


SAID = (
    "/history",
    "/queue",
    "/object_info",
    "/settings",
    "/internal/logs",
    "/internal/logs/raw",
    "/system_stats",
    "/image_mixer/endpoints",
)


def told(live: Scene) -> dict[str, str]:
    """Return every text of the server and its folders by source: answers, WebSocket, log, files, rows, texts in pictures."""
    found = {path: json.dumps(live.get(path)) for path in SAID}
    found |= {"the WebSocket": live.heard.decode("utf-8", "replace"), "the log": live.server.log_text()}
    for path in sorted(live.server.base.rglob("*")):
        if not path.is_file():
            continue
        found[str(path)] = path.read_bytes().decode("latin-1")
        if path.suffix == ".png":
            with Image.open(path) as image:
                found[f"the texts of {path}"] = json.dumps(getattr(image, "text", {}))
    with contextlib.closing(sqlite3.connect(f"file:{live.private / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
        for (table,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            found[f"the journal's {table}"] = repr(journal.execute(f"SELECT * FROM {table}").fetchall())
    return found


def assert_nowhere(live: Scene, *keys: str, but: tuple[Path, ...] = ()) -> None:
    """Assert that none of `keys` is in anything that the server sent or wrote, except in the files `but`."""
    found = told(live)
    assert found["the journal's jobs"] != "[]" and found["the log"] and len(found["the WebSocket"]) > 100
    assert any(name.startswith("the texts of") for name in found)
    allowed = {str(path) for path in but}
    leaks = [(name, key[:9]) for name, text in found.items() for key in keys if key in text and name not in allowed]
    assert not leaks, leaks
