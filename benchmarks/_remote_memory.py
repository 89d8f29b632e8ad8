"""Measures how much the memory of a real ComfyUI server grows at the peak of remote jobs."""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE = 512
JOBS_IN_FLIGHT = 15
"""The most that any plan of the service allows."""

PROFILES = """
[spending]
max_jobs_per_run = {jobs}
max_jobs_per_day = {jobs}

[endpoints."modelslab v6"]
base_url = "{address}/api/v6"
jobs_in_flight = {in_flight}
"""


def peak_per_picture(base: Path, variants: int, samples: int) -> float:
    """Return the MB per picture that a server grows by while it makes and saves `variants` x `samples` in one prompt.

    The prompt is the server's first, so what ComfyUI loads for it counts too. The pictures mix two photographs, so that
    their files are as large as the service's.
    """
    from image_mixer.tests.support.live import PHOTOGRAPHS, Live, graph, prepared
    from image_mixer.tests.support.remote_scene import remote_graph
    from image_mixer.tools.comfy_tool.server import standin
    from image_mixer.tools.comfy_tool.server.server import Server
    from PIL import Image

    jobs = variants * samples
    base.mkdir()
    with standin.stand_in(Path(sys.executable)) as address:
        private = prepared(base) / standin.PRIVATE
        private.mkdir(parents=True)
        text = PROFILES.format(jobs=jobs, address=address, in_flight=JOBS_IN_FLIGHT)
        (private / "endpoints.toml").write_text(text, encoding="utf-8")
        for name, photograph in (("a.png", "cat.jpg"), ("b.png", "coffee.jpg")):
            with Image.open(PHOTOGRAPHS / photograph) as image:
                image.resize((SIDE, SIDE)).save(base / "input" / name)
        control(address, took=[0.05], queue_limit=JOBS_IN_FLIGHT)
        size = {"width": SIDE, "height": SIDE, "samples": samples}
        prompt = remote_graph(mix={"weights": ["rows", 0]}, recipe=size) | graph(
            rows=(
                "ImageMixerBlendWeights",
                {"from": "1, 0.1", "to": "0.1, 1", "variants": variants, "easing": "linear"},
            ),
        )
        with Server(base=base, env=standin.ENVIRONMENT) as server:
            live = Live(server)

            def work() -> None:
                entry = live.run(prompt, 600.0)
                assert entry["status"]["status_str"] == "success", str(entry["status"]["messages"])[:2000]

            grown = growth(server.pid, work)
        assert control(address)["paid"] == jobs
    return grown / jobs / 1e6


def control(address: str, **manners: Any) -> dict[str, Any]:
    """Change the behaviour of the stand-in at `address`. Return its record."""
    request = urllib.request.Request(f"{address}/control/manners", json.dumps(manners).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def growth(process_id: int, work: Callable[[], None]) -> float:
    """Return the bytes by which a process's resident memory rises at most during `work`.

    Linux records the highest value exactly (VmHWM, proc(5)); elsewhere it is read every 10 ms.
    """
    import psutil

    process, over = psutil.Process(process_id), threading.Event()
    before = process.memory_info().rss
    seen = [before]

    def watch() -> None:
        while not over.wait(0.01):
            seen[0] = max(seen[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    status = Path(f"/proc/{process_id}/status")
    if status.exists():
        told = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii", errors="replace"))
        assert told is not None
        return float(int(told[1]) * 1024 - before)
    return float(seen[0] - before)
