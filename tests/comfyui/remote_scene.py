"""A live ComfyUI beside the stand-in of the service: its profiles, a recorder of its WebSocket, and remote graphs."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from image_mixer.tests.comfyui.live import Live, graph, local_graph, prepared
from image_mixer.tests.service import render
from image_mixer.tests.service.app import Service
from image_mixer.tests.service.state import Manners
from image_mixer.tools.comfy_tool.server import Server
from image_mixer.tools.comfy_tool.websocket import WebSocket, WebSocketError
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
    """The server, the stand-in, and all that the server said on its WebSocket."""

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
        """Keeps what comes over the WebSocket, over restarts of the server."""
        address = self.server.url.replace("http", "ws", 1) + "/ws?clientId=test"
        while not self._over.wait(0.2):
            with contextlib.suppress(WebSocketError), WebSocket(address) as socket:
                while not self._over.is_set():
                    message = socket.receive(0.2)
                    self.heard += message[1] if message else b""

    def quiet(self) -> None:
        """Ends `listen`."""
        self._over.set()


@contextlib.contextmanager
def scene(
    base: Path, took: float = 0.2, per_day: int = 1000, env: Mapping[str, str] | None = None, **more: Any
) -> Iterator[Scene]:
    """A server on the base directory `base`, whose profiles lead to a stand-in; `per_day` paid jobs at most."""
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


def remote_graph(**changes: dict[str, Any]) -> dict[str, Any]:
    """Two pictures, one recipe, Remote and Save; `changes` are inputs by node."""
    prompt = {name: node for name, node in local_graph().items() if name in ("a", "b", "mix", "recipe")}
    prompt["recipe"]["inputs"] |= {"prompt": "rose man", "width": 256, "height": 256, "steps": 30}
    prompt |= graph(
        remote=(
            "ImageMixerRemote", {"recipe": ["recipe", 0], "endpoint": "modelslab v6", "take": 0, "track_id": ""},
        ),
        save=("ImageMixerSave", {"images": ["remote", 0], "filename_prefix": "test/remote", "report": ["remote", 1]}),
        show=("PreviewAny", {"source": ["remote", 1]}),
    )
    for name, inputs in changes.items():
        prompt[name]["inputs"].update(inputs)
    return prompt


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits until `true()` is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def pixels(data: bytes) -> bytes:
    """The RGB values of a picture file."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


def made(live: Scene, number: int) -> bytes:
    """The picture that the stand-in serves for a job."""
    job = live.service.state.jobs[number]
    return render.rendered(job.inputs, job.weights, str(job.fields["prompt"]), job.seed, job.size)
