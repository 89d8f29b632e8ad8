"""bench demo: how well the demo model follows its ingredients, through ComfyUI's objects and the pack's nodes.

It is measured on combinations that were held out: neither the model nor the judge was trained or tuned on them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import _measure
from _measure import figure

JUDGE = _measure.ROOT / "tests" / "assets" / "demo_judge.safetensors"


@dataclass(frozen=True)
class Sizes:
    """How much is measured: numbers of pictures, of sweeps, of words per factor, of swapped pairs, of timed pictures."""

    singles: int = 200
    pairs: int = 100
    words: int = 60
    swapped: int = 8
    timed: int = 10
    steps: int = 20


QUICK = Sizes(singles=2, pairs=1, words=1, swapped=1, timed=1, steps=1)


def meaning(make: Any, sizes: Sizes) -> dict[str, Any]:
    """Measure what the judge reads in the pictures."""
    from image_mixer.training import figures, scenes
    from image_mixer.training.through_pack import load_judge

    judge, combinations = load_judge(JUDGE), scenes.split("report")
    single = figures.single_match(make, judge, combinations, sizes.singles)
    done = figures.sweeps(make, judge, combinations, sizes.pairs)
    near, middle = figures.trace(done)
    pull = figures.text_pull(make, judge, combinations, sizes.words)
    print("one ingredient:", single)
    print("a word pulls:", pull)
    return {
        "single_match": figure(single["shape and colour"], ">= 0.92", "share"),
        "ends_match": figure(figures.ends_match(done), ">= 0.93", "share"),
        "spearman": figure(figures.spearman(done), "<= -0.92", "rank correlation"),
        "trace": figure(near, ">= 0.85", "share"),
        "trace_middle": figure(middle, ">= 0.65", "share"),
        "text_pull": figure(min(pull.values()), ">= 0.8", "share"),
        "swap_difference": {
            **figure(0, "<= 0.001", "of 1"),
            "value": figures.swap_difference(make, combinations, sizes.swapped),
        },
    }


def speed(make: Any, sizes: Sizes) -> dict[str, Any]:
    """Measure the median seconds per picture of one ingredient, made alone on one core, with encoding and decoding."""
    from image_mixer.training import figures, scenes

    pictures = scenes.draw(scenes.sample(scenes.split("report"), sizes.timed, scenes.generator(3)))
    asks = [figures.Ask(pictures[i : i + 1], (), ((1.0,),), i) for i in range(len(pictures))]
    taken = sorted(_measure.seconds(lambda ask=ask: make([ask])) for ask in asks)
    return {"seconds_per_image": figure(taken[len(taken) // 2], "<= 1", "s")}


def size() -> dict[str, Any]:
    """Measure the files that ship in the demo model's folder."""
    from image_mixer.local import demo

    return {"size_mb": figure(sum(file.stat().st_size for file in demo.FOLDER.iterdir()) / 1e6, "<= 12", "MB")}


def demo_command() -> dict[str, Any]:
    """Measure the seconds that `tools/comfy.py demo` takes after its set-up."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(_measure.ROOT / "tools" / "comfy.py"), "demo", "--out", folder]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the demo command failed: {done.stderr.strip()[-2000:]}")
    return {"demo_seconds": figure(time.monotonic() - began, "<= 90", "s")}


def main(quick: bool) -> None:
    """Measure everything."""
    sizes = QUICK if quick else Sizes()
    _measure.in_comfyui()
    import torch
    from image_mixer.local import demo
    from image_mixer.training.through_pack import Pack

    torch.set_num_threads(1)  # so small a model gains nothing from more, and waits when another program takes a core
    began = time.monotonic()
    model = demo.load_demo()
    print(f"loaded in {time.monotonic() - began:.2f} s")
    make = Pack(model, sizes.steps)
    _measure.report(
        {**speed(make, sizes), **meaning(make, sizes), **size(), **({} if quick else demo_command())}, quick
    )


if __name__ == "__main__":
    main(_measure.options(__doc__).quick)
