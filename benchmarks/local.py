"""bench local: the local engine's cost beyond core's own nodes, what a batch saves, and the time of the pack's import.

The models are micro models (32 channels) in SD1.5's block layout, 20 steps with guidance at 256 x 256, on the CPU. The
memory of sweeps is measured at 512 x 512.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _measure
from _measure import figure


@dataclass(frozen=True)
class Sizes:
    """How much is measured. Sides are in pixels, `rows` are variants.

    `processes` are the variants whose memory each process measures. A second sweep in a process hides in the first's peak.
    """

    pairs: int = 10
    side: int = 256
    steps: int = 20
    rows: int = 8
    sweep_side: int = 64
    peak_side: int = 512
    processes: tuple[tuple[int, ...], ...] = ((8,), (64,))
    imports: int = 5


QUICK = Sizes(pairs=2, side=64, steps=1, rows=2, peak_side=64, processes=((2, 3),), imports=1)
SD15_LAYOUT = {
    "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "transformer_depth_middle": 1,
}  # fmt: skip


def models() -> Any:
    """Return micro models in SD1.5's layout."""
    import micro

    micro.UNET.update(SD15_LAYOUT)
    return micro.build()


def recipe(rows: Any, side: int, steps: int) -> Any:
    """Return a recipe of two random pictures with these rows of weights."""
    from image_mixer.mixing.mix import Mix
    from image_mixer.mixing.recipe import Recipe
    from image_mixer.tests.support.pictures import picture

    return Recipe(Mix((picture(0, side, side), picture(1, side, side)), rows), width=side, height=side, steps=steps)


def overhead(sizes: Sizes) -> dict[str, Any]:
    """Compare Local with cached vectors to core's KSampler and VAE Decode on Apply's conditioning."""
    import torch
    from image_mixer.local import engine

    import nodes

    made = models()
    connected = engine.Models(made.model, made.vae, None, made.clip_vision)
    rows = ((0.5, 0.7),)
    wanted = recipe(rows, sizes.side, sizes.steps)
    embeddings = engine.embed_all(wanted.mix, engine.Encoders(made.clip_vision))
    model, positive, negative = engine.apply(engine.Target(made.model), embeddings)
    latent = {"samples": torch.zeros(len(rows), 4, sizes.side // 8, sizes.side // 8)}

    def core() -> None:
        (done,) = nodes.common_ksampler(model, 0, sizes.steps, 3.0, "euler", "normal", positive, negative, latent)
        made.vae.decode(done["samples"])

    ratios = _measure.interleaved(lambda: engine.generate(wanted, connected, engine.Options()), core, sizes.pairs)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "overhead_ratio": figure(middle, "<= 1.02", "ratio"),
        "overhead_ratio_q1": figure(low, None, "ratio"),
        "overhead_ratio_q3": figure(high, None, "ratio"),
    }


def sweep(sizes: Sizes) -> dict[str, Any]:
    """Compare eight rows in one sweep to eight single runs, at 64 x 64."""
    from image_mixer.local import engine

    made = models()
    connected = engine.Models(made.model, made.vae, None, made.clip_vision)
    rows = blended(sizes.rows)
    together, *alone = (recipe(some, sizes.sweep_side, sizes.steps) for some in (rows, *((row,) for row in rows)))
    ratios = _measure.interleaved(
        lambda: engine.generate(together, connected, engine.Options()),
        lambda: [engine.generate(one, connected, engine.Options()) for one in alone],
        sizes.pairs,
    )
    return {"sweep8_ratio": figure(statistics.median(ratios), "<= 0.6", "ratio")}


def blended(rows: int) -> tuple[tuple[float, float], ...]:
    """Return so many rows of weights, from the first picture alone to the second alone."""
    return tuple((1 - i / (rows - 1), i / (rows - 1)) for i in range(rows))


def importing(sizes: Sizes) -> dict[str, Any]:
    """Measure the milliseconds that the pack's import takes after ComfyUI's own, each time in a process of its own.

    Python keeps the compiled files, as it does for a user, so the first start is measured apart.
    """
    script = str(Path(__file__).with_name("_import_pack.py"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as compiled:
        first, *times = (float(_child(script, compiled).split("ms ")[-1]) for _ in range(1 + sizes.imports))
    return {
        "import_ms": figure(statistics.median(times), "<= 150", "ms"),
        "import_first_ms": figure(first, None, "ms"),
    }


def memory(sizes: Sizes) -> dict[str, Any]:
    """Compare the peak memory of a 64-row sweep at 512 px to that of an 8-row one, each in a process of its own.

    A peak is what a run adds to the process's resident memory, without the decoded images.
    """
    peaks = [
        peak
        for rows in sizes.processes
        for peak in json.loads(_child(__file__, "peak", str(sizes.peak_side), *map(str, rows)))
    ]
    few, many = peaks
    return {
        "sweep64_peak_ratio": figure(many / few, "<= 1.3", "ratio"),
        "sweep8_peak_mb": figure(few / 2**20, None, "MB"),
        "sweep64_peak_mb": figure(many / 2**20, None, "MB"),
    }


def _peaks(variants: tuple[int, ...], side: int) -> list[float]:
    """Return `peak_of` for each number of variants, measured one after the other in one new process."""
    found: list[float] = json.loads(_child(__file__, "peak", str(side), *map(str, variants)).splitlines()[-1])
    return found


def _child(*command: str) -> str:
    """Return the output of a Python process. Raise RuntimeError if it fails."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def peak_of(rows: int, side: int) -> float:
    """Return the bytes that a sweep adds at its peak, without its decoded images; two levels of blocks, one step."""
    import micro
    import psutil
    import torch
    from image_mixer.local import engine

    made = micro.build()
    connected = engine.Models(made.model, made.vae, None, made.clip_vision)
    with torch.inference_mode():
        engine.generate(recipe(((1.0, 0.0),), side=64, steps=1), connected, engine.Options())
        wanted = recipe(blended(rows), side, steps=1)
        before = psutil.Process().memory_info().rss
        images = engine.generate(wanted, connected, engine.Options()).images
    return max(1.0, _measure.peak_memory() - before - images.nbytes)


def main(sizes: Sizes) -> dict[str, Any]:
    """Measure everything."""
    import torch

    figures = {**importing(sizes), **memory(sizes)}
    with torch.inference_mode():
        return figures | overhead(sizes) | sweep(sizes)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    asked = _measure.options(__doc__, "part")
    _measure.in_comfyui()
    if asked.part:
        side, *variants = map(int, asked.part[1:])
        print(json.dumps([peak_of(rows, side) for rows in variants]))
    else:
        _measure.report(main(QUICK if asked.quick else Sizes()), asked.quick)
