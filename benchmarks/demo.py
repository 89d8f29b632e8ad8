"""Figures of the demo model, through ComfyUI's objects and the pack's engine, on combinations it was never shown.

The last line of the output is one JSON object: figure name → value, aim, unit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
JUDGE = ROOT / "tests" / "assets" / "demo_judge.safetensors"


def main() -> None:
    """Measure and print."""
    _prepare()
    from image_mixer.local import demo
    from image_mixer.tools.demo_training import figures, scenes
    from image_mixer.tools.demo_training.through_pack import Pack, load_judge

    began = time.monotonic()
    model = demo.load_demo()
    print(f"loaded in {time.monotonic() - began:.2f} s")
    judge, make, combinations = load_judge(JUDGE), Pack(model), scenes.split("report")

    seconds = seconds_per_image(make, combinations)
    single = figures.single_match(make, judge, combinations)
    print("single ingredient:", single)
    done = figures.sweeps(make, judge, combinations)
    near, middle = figures.trace(done)
    pull = figures.text_pull(make, judge, combinations)
    print("a word pulls:", pull)
    values: dict[str, tuple[float, str | None, str]] = {
        "single_match": (single["shape and colour"], ">= 0.92", "share"),
        "ends_match": (figures.ends_match(done), ">= 0.93", "share"),
        "spearman": (figures.spearman(done), "<= -0.92", "rank correlation"),
        "trace": (near, ">= 0.85", "share"),
        "trace_middle": (middle, ">= 0.65", "share"),
        "text_pull": (min(pull.values()), ">= 0.8", "share"),
        "swap_difference": (figures.swap_difference(make, combinations), "<= 0.001", "of 1"),
        "seconds_per_image": (seconds, "<= 1", "s"),
        "size_mb": (sum(file.stat().st_size for file in demo.FOLDER.iterdir()) / 1e6, "<= 12", "MB"),
    }
    taken = demo_seconds()
    if taken is not None:
        values["demo_seconds"] = (taken, "<= 90", "s")
    result = {
        name: {"value": round(value, 6), "aim": aim, "unit": unit} for name, (value, aim, unit) in values.items()
    }
    print(json.dumps(result))


def seconds_per_image(make: Any, combinations: Any) -> float:
    """The median of five pictures of one ingredient, each sampled alone, towers and decoding included."""
    from image_mixer.tools.demo_training import figures, scenes

    pictures = scenes.draw(scenes.sample(combinations, 6, scenes.generator(3)))
    taken = []
    for number in range(6):
        began = time.monotonic()
        make([figures.Ask(pictures[number : number + 1], (), ((1.0,),), number)])
        taken.append(time.monotonic() - began)
    return sorted(taken[1:])[2]


def demo_seconds() -> float | None:
    """How long `tools/comfy.py demo` takes with everything it needs in place, or None where it cannot run."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "tools" / "comfy.py"), "demo", "--out", folder]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print("the demo command did not run:", done.stderr.strip()[-200:])
        return None
    return time.monotonic() - began


def _prepare() -> None:
    if os.environ.get("COMFYUI_PATH"):
        sys.path.insert(0, os.environ["COMFYUI_PATH"])
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    if "image_mixer" not in sys.modules:
        alias = types.ModuleType("image_mixer")
        alias.__path__ = [str(ROOT)]
        sys.modules["image_mixer"] = alias


if __name__ == "__main__":
    main()
