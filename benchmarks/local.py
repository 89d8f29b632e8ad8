"""bench local: what the local engine costs beyond core's own nodes, what a batch saves, and what importing the pack takes.

Models are micro ones (32 channels) in SD1.5's block layout, 20 steps with guidance at 256 x 256, on the CPU; the
memory of sweeps is that of 512 x 512.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import _measure
from _measure import figure

PAIRS = 10
SIDE = 256
SWEEP_SIDE = 64
PEAK_SIDE = 512
STEPS = 20
SD15_LAYOUT = {
    "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "transformer_depth_middle": 1,
}  # fmt: skip


def models() -> Any:
    """Micro models in SD1.5's layout."""
    import micro

    micro.UNET.update(SD15_LAYOUT)
    return micro.build()


def recipe(rows: Any, side: int = SIDE, steps: int = STEPS) -> Any:
    """Two random pictures with those rows of weights."""
    from image_mixer.mixing.mix import Mix
    from image_mixer.mixing.recipe import Recipe
    from image_mixer.tests.support.pictures import picture

    return Recipe(Mix((picture(0, side, side), picture(1, side, side)), rows), width=side, height=side, steps=steps)


def overhead() -> dict[str, Any]:
    """Local with cached vectors against core's KSampler and VAE Decode on Apply's conditioning."""
    import torch
    from image_mixer.local import engine

    import nodes

    made = models()
    connected = engine.Models(made.model, made.vae, None, made.clip_vision)
    rows = ((0.5, 0.7),)
    wanted = recipe(rows)
    embeddings = engine.embed_all(wanted.mix, None, made.clip_vision, None, "centre crop")
    model, positive, negative = engine.apply(made.model, None, None, embeddings, None, None, "auto", 1.0)
    latent = {"samples": torch.zeros(len(rows), 4, SIDE // 8, SIDE // 8)}

    def core() -> None:
        (done,) = nodes.common_ksampler(model, 0, STEPS, 3.0, "euler", "normal", positive, negative, latent)
        made.vae.decode(done["samples"])

    ratios = _measure.interleaved(lambda: engine.generate(wanted, connected, engine.Options()), core, PAIRS)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "overhead_ratio": figure(middle, "<= 1.02", "ratio"),
        "overhead_ratio_q1": figure(low, None, "ratio"),
        "overhead_ratio_q3": figure(high, None, "ratio"),
    }


def sweep() -> dict[str, Any]:
    """Eight rows in one sweep against eight single runs, at 64 x 64."""
    from image_mixer.local import engine

    made = models()
    connected = engine.Models(made.model, made.vae, None, made.clip_vision)
    rows = tuple((1 - i / 7, i / 7) for i in range(8))
    together, alone = recipe(rows, SWEEP_SIDE), [recipe((row,), SWEEP_SIDE) for row in rows]
    ratios = _measure.interleaved(
        lambda: engine.generate(together, connected, engine.Options()),
        lambda: [engine.generate(one, connected, engine.Options()) for one in alone],
        PAIRS,
    )
    return {"sweep8_ratio": figure(statistics.median(ratios), "<= 0.6", "ratio")}


def importing() -> dict[str, Any]:
    """Milliseconds that the pack's import takes once ComfyUI has imported itself, in processes of their own."""
    code = (
        "import sys; sys.argv = ['main.py', '--cpu']; import comfy.options; comfy.options.enable_args_parsing();"
        "import nodes, asyncio; asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False));"
        "import comfy_extras, latent_preview, server, execution, importlib.util, time;"
        f"root = {str(_measure.ROOT)!r};"
        "spec = importlib.util.spec_from_file_location('pack', root + '/__init__.py', submodule_search_locations=[root]);"
        "module = importlib.util.module_from_spec(spec); sys.modules['pack'] = module;"
        "begun = time.perf_counter(); spec.loader.exec_module(module);"
        "print('ms', (time.perf_counter() - begun) * 1000)"
    )
    times = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        times.append(float(done.stdout.split("ms ")[-1]))
    return {"import_ms": figure(statistics.median(times), "<= 150", "ms")}


def memory() -> dict[str, Any]:
    """Peak memory of a 64-row sweep at 512 px over that of an 8-row one, decoded images aside, a process each.

    Counted is what a run adds to the process's resident memory before it.
    """
    peaks = {}
    for rows in (8, 64):
        done = subprocess.run(
            [sys.executable, __file__, "--peak", str(rows)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        peaks[rows] = float(done.stdout.split("peak ")[-1])
    return {
        "sweep64_peak_ratio": figure(peaks[64] / peaks[8], "<= 1.3", "ratio"),
        "sweep8_peak_mb": figure(peaks[8] / 2**20, None, "MB"),
        "sweep64_peak_mb": figure(peaks[64] / 2**20, None, "MB"),
    }


def peak_of(rows: int) -> float:
    """Bytes that a sweep of so many rows adds at its peak, without its decoded images; two levels of blocks, one step."""
    import micro
    import psutil
    import torch
    from image_mixer.local import engine

    made = micro.build()
    connected = engine.Models(made.model, made.vae, None, made.clip_vision)
    with torch.inference_mode():
        engine.generate(recipe(((1.0, 0.0),), side=64, steps=1), connected, engine.Options())
        wanted = recipe(tuple((1 - i / (rows - 1), i / (rows - 1)) for i in range(rows)), PEAK_SIDE, steps=1)
        before = psutil.Process().memory_info().rss
        images = engine.generate(wanted, connected, engine.Options()).images
    return float(_peak_rss() - before - images.nbytes)


def _peak_rss() -> int:
    """Bytes; the process's high-water mark as its system tells it."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Measure everything."""
    import torch

    figures = {**importing(), **memory()}
    with torch.inference_mode():
        figures |= overhead() | sweep()
    _measure.report(figures)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    _measure.in_comfyui()
    if sys.argv[1:2] == ["--peak"]:
        print("peak", peak_of(int(sys.argv[2])))
    else:
        main()
