"""A graph that 0.1.0 ran, in a ComfyUI of today with the journal and results that 0.1.0 left: its own pictures come back,
without a key, a call or a payment."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path

from image_mixer.tests.support.live import Live, graph, local_graph, prepared, report_of
from image_mixer.tools.comfy_tool.server.server import Server
from PIL import Image

RELEASED = Path(__file__).parents[1] / "remote" / "released" / "0.1.0"


def test_a_graph_of_0_1_0_is_read_from_its_results(tmp_path: Path) -> None:
    base = prepared(tmp_path)
    shutil.copytree(RELEASED, base / "user" / "__image_mixer")
    for name in "ab":
        shutil.copy(RELEASED / f"{name}.png", base / "input" / f"{name}.png")
    prompt = {name: node for name, node in local_graph().items() if name in ("a", "b", "mix", "recipe")}
    prompt["recipe"]["inputs"] |= {"prompt": "rose man", "width": 256, "height": 256, "steps": 30, "seed": 1}
    remote = {"recipe": ["recipe", 0], "endpoint": "modelslab v6", "take": 0, "track_id": ""}  # as 0.1.0 saved it
    prompt |= graph(
        remote=("ImageMixerRemote", remote),
        save=("SaveImage", {"images": ["remote", 0], "filename_prefix": "released"}),
        show=("PreviewAny", {"source": ["remote", 1]}),
    )
    with Server(base=base) as server:
        live = Live(server)
        outputs = live.good(prompt)
        assert [job["from"] for job in report_of(outputs)["details"]["jobs"]] == ["journal"]
        (wanted,) = json.loads((RELEASED / "images.json").read_text(encoding="utf-8"))["a graph of the page"]
        stored = next(
            path
            for path in (base / "user" / "__image_mixer" / "results").rglob("*.image")
            if hashlib.sha256(path.read_bytes()).hexdigest() == wanted
        )
        with Image.open(io.BytesIO(live.image(outputs["save"]["images"][0]))) as ours, Image.open(stored) as theirs:
            assert ours.convert("RGB").tobytes() == theirs.convert("RGB").tobytes()
