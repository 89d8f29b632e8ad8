"""bench demo: what the demo model means, through ComfyUI's objects and the pack's nodes, on combinations held out for it.

No choice was made on these combinations; the judge learnt from real pictures of others.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from typing import Any

import _measure
from _measure import figure

JUDGE = _measure.ROOT / "tests" / "assets" / "demo_judge.safetensors"


def meaning(make: Any) -> dict[str, Any]:
    """What the judge reads in the pictures."""
    from image_mixer.training import figures, scenes
    from image_mixer.training.through_pack import load_judge

    judge, combinations = load_judge(JUDGE), scenes.split("report")
    single = figures.single_match(make, judge, combinations)
    done = figures.sweeps(make, judge, combinations)
    near, middle = figures.trace(done)
    pull = figures.text_pull(make, judge, combinations)
    print("one ingredient:", single)
    print("a word pulls:", pull)
    return {
        "single_match": figure(single["shape and colour"], ">= 0.92", "share"),
        "ends_match": figure(figures.ends_match(done), ">= 0.93", "share"),
        "spearman": figure(figures.spearman(done), "<= -0.92", "rank correlation"),
        "trace": figure(near, ">= 0.85", "share"),
        "trace_middle": figure(middle, ">= 0.65", "share"),
        "text_pull": figure(min(pull.values()), ">= 0.8", "share"),
        "swap_difference": {**figure(0, "<= 0.001", "of 1"), "value": figures.swap_difference(make, combinations)},
    }


def speed(make: Any) -> dict[str, Any]:
    """The median of nine pictures of one ingredient, each made alone on one core, its encoding and decoding included."""
    from image_mixer.training import figures, scenes

    pictures = scenes.draw(scenes.sample(scenes.split("report"), 10, scenes.generator(3)))
    asks = [figures.Ask(pictures[i : i + 1], (), ((1.0,),), i) for i in range(len(pictures))]
    taken = sorted(_measure.seconds(lambda ask=ask: make([ask])) for ask in asks)
    return {"seconds_per_image": figure(taken[len(taken) // 2], "<= 1", "s")}


def size() -> dict[str, Any]:
    """Everything that ships in the demo model's folder."""
    from image_mixer.local import demo

    return {"size_mb": figure(sum(file.stat().st_size for file in demo.FOLDER.iterdir()) / 1e6, "<= 12", "MB")}


def demo_command() -> dict[str, Any]:
    """How long `tools/comfy.py demo` takes with everything it needs in place."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(_measure.ROOT / "tools" / "comfy.py"), "demo", "--out", folder]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print("the demo command failed:", done.stderr.strip()[-300:])
        return {}
    return {"demo_seconds": figure(time.monotonic() - began, "<= 90", "s")}


def main() -> None:
    """Measure everything."""
    _measure.in_comfyui()
    import torch
    from image_mixer.local import demo
    from image_mixer.training.through_pack import Pack

    torch.set_num_threads(1)  # so small a model gains nothing from more, and stands still where a core is taken away
    began = time.monotonic()
    model = demo.load_demo()
    print(f"loaded in {time.monotonic() - began:.2f} s")
    make = Pack(model)
    _measure.report({**speed(make), **meaning(make), **size(), **demo_command()})


if __name__ == "__main__":
    main()
