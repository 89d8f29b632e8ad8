"""bench methods: what IP-Adapter adds to a forward of the plain model: operations, time, memory, encodes, stalls.

Micro models in the real layouts of SD1.5 (32 channels) and SDXL (64), on the CPU and one thread, at latents of 128 x 128
for time. Operations are those that reach a device, views included, in one guided forward of ComfyUI's sampling.
`bench methods` measures all; `python methods.py time sd15 4` only the time of one layout with four pictures.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import _measure
from _measure import figure

SMALL = 8
TOWER_WIDTH = 768
STALLS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")
"""Operations whose result the program waits for."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured: latent sides, numbers of pictures, rounds of timing.

    With `one_process`, one process measures the memory of all cases; the later ones hide in the first one's peak.
    """

    rounds: int = 10
    latent: int = 128
    peak_latent: int = 64
    counts: tuple[int, ...] = (1, 2, 4)
    one_process: bool = False


QUICK = Sizes(rounds=2, latent=SMALL, peak_latent=SMALL, counts=(1,), one_process=True)


class Scene:
    """A micro model of a layout with an adapter, a tower, and prompts."""

    def __init__(self, layout: str) -> None:
        import micro
        import micro_adapters
        import micro_unets
        import random_model
        import torch
        from image_mixer.local import ip_adapter_file
        from safetensors.torch import save_file

        self.unet = {"sd15": micro_unets.SD15_LAYOUT, "sdxl": micro_unets.SDXL_LAYOUT}[layout]
        self.model = micro_unets.model_of(random_model.unet_state(self.unet, 1))
        self.tower = micro.vision_tower(4, projection_dim=TOWER_WIDTH)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "adapter.safetensors"
            save_file(micro_adapters.flat(micro_adapters.standard(self.unet, TOWER_WIDTH)), str(path))
            self.adapter = ip_adapter_file.load(str(path))
        pooled = {"pooled_output": torch.zeros(1, 1280)} if layout == "sdxl" else {}
        self.text = [[torch.randn(1, 77, self.unet["context_dim"], generator=torch.Generator().manual_seed(5)), pooled]]

    @property
    def plain(self) -> tuple[Any, Any, Any]:
        """Return (model, positive, negative) without a mix."""
        return self.model, self.text, self.text

    def mixed(
        self, weights: tuple[float, ...], combine: str, first: int = 0, before: Any = None
    ) -> tuple[Any, Any, Any]:
        """Return (model, positive, negative) with a mix of one picture per weight, applied to `before` or to the plain model."""
        from image_mixer.local import engine
        from image_mixer.tests.support.mixes import mix_of

        embeddings = engine.embed_all(mix_of(*weights, first=first), engine.Encoders(self.tower))
        model, positive, negative = before or self.plain
        settings = {"combine": combine}
        return engine.apply(
            engine.Target(model, positive, negative, adapter=self.adapter), embeddings, "ip-adapter", settings=settings
        )


def weights_of(count: int) -> tuple[float, ...]:
    """Return so many weights, no two alike."""
    return tuple(1.0 - i / 8 for i in range(count))


def forward_of(
    conditioned: tuple[Any, Any, Any], side: int, guidance: float, channels: int = 4, noisiest: float = 5.0
) -> Callable[[Callable[[Any], Any]], None]:
    """Return a run of one step of ComfyUI's sampling. Call it with a function that gets the step and runs it."""
    import comfy.samplers
    import torch

    model, positive, negative = conditioned
    x = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(3))

    def run(around: Callable[[Any], Any]) -> None:
        def once(wrapped: Any, _x: Any, sigmas: Any, extra_args: Any = None, **_: Any) -> Any:
            return around(lambda: wrapped(x, sigmas[0].expand(1), **extra_args))

        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(guidance)
        sampler = comfy.samplers.KSAMPLER(once)
        guider.sample(
            torch.zeros_like(x), torch.zeros_like(x), sampler, torch.tensor([noisiest, 0.0]), disable_pbar=True, seed=0
        )

    return run


def operations(conditioned: tuple[Any, Any, Any]) -> Counter[str]:
    """Count the operations of one guided step on the device, by name."""
    return operations_of(forward_of(conditioned, SMALL, 3.0))


def operations_of(run: Callable[[Callable[[Any], Any]], None]) -> Counter[str]:
    """Count the operations of a run by `forward_of` on the device, by name."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    counted: Counter[str] = Counter()

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counted[function.overloadpacket.__name__] += 1
            return function(*args, **(kwargs or {}))

    def around(step: Callable[[], torch.Tensor]) -> torch.Tensor:
        with Counting():
            return step()

    run(around)
    return counted


def ip_operations(layout: str, aim: int, sizes: Sizes) -> dict[str, Any]:
    """Count the operations that the method adds, and those of them that stall the program."""
    scene = Scene(layout)
    plain = operations(scene.plain)
    added, stalls = {}, 0
    for combine in ("shared", "sum"):
        for count in sizes.counts:
            found = operations(scene.mixed(weights_of(count), combine))
            added[combine, count] = found.total() - plain.total()
            stalls = max(stalls, sum(found[name] - plain[name] for name in STALLS))
    chained = scene.plain
    for number in range(sizes.counts[-1]):
        chained = scene.mixed((1.0,), "sum", number, chained)
    figures = {
        f"plain_ops_{layout}": figure(plain.total(), None, "operations"),
        f"ip_ops_{layout}": figure(max(added["shared", count] for count in sizes.counts), f"<= {aim}", "operations"),
        f"ip_stalls_{layout}": figure(stalls, "= 0", "per step"),
    }
    for (combine, count), value in added.items():
        figures[f"ip_ops_{layout}_{combine}_{count}"] = figure(value, None, "operations")
    total = operations(chained).total() - plain.total()
    figures[f"ip_ops_{layout}_chained_{sizes.counts[-1]}"] = figure(total, None, "operations")
    return figures


def seconds_of(runs: dict[str, Callable[[Callable[[Any], Any]], None]], rounds: int) -> dict[str, list[float]]:
    """Measure the processor time of runs by `forward_of`: each once per round, in alternating order, after a warm-up round."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in list(runs)[:: 1 if number % 2 else -1]:

            def timed(step: Callable[[], Any], name: str = name) -> Any:
                made = []
                spent[name].append(_measure.processor_seconds(lambda: made.append(step())))
                return made[0]

            runs[name](timed)
    return {name: every[1:] for name, every in spent.items()}


def ratio_of(spent: list[float], base: list[float]) -> tuple[float, float]:
    """Return (median, distance between the quartiles) of the ratios of two lists of seconds, round by round."""
    low, middle, high = statistics.quantiles([one / other for one, other in zip(spent, base, strict=True)], n=4)
    return middle, high - low


def ip_time(layout: str, sizes: Sizes) -> dict[str, Any]:
    """Compare the processor time of a step with that many pictures to the plain model's."""
    scene = Scene(layout)
    cases = {"plain": scene.plain} | {f"{n}": scene.mixed(weights_of(n), "shared") for n in sizes.counts}
    spent = seconds_of({name: forward_of(case, sizes.latent, 1.0) for name, case in cases.items()}, sizes.rounds)
    figures = {}
    for name in list(cases)[1:]:
        middle, spread = ratio_of(spent[name], spent["plain"])
        figures[f"ip_time_{layout}_{name}"] = figure(middle, None, "ratio")
        figures[f"ip_time_{layout}_{name}_spread"] = figure(spread, None, "between quartiles")
    figures[f"plain_step_{layout}"] = figure(statistics.median(spent["plain"]), None, "s")
    return figures


def worst(figures: dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    """Return the worst ratio of 1, 2 and 4 pictures in both layouts, which has the aim."""
    ratios = [figures[f"ip_time_{layout}_{count}"]["value"] for layout in ("sd15", "sdxl") for count in sizes.counts]
    return {"ip_time_ratio": figure(max(ratios), "<= 1.03", "ratio")}


def encodes() -> dict[str, Any]:
    """Count how often the vision encoder or the adapter runs when only weights have changed."""
    import comfy.clip_vision
    from image_mixer.local import ip_adapter_file

    scene, calls = Scene("sd15"), Counter[str]()
    scene.mixed((1.0, 0.5), "shared")
    for owner, name in ((comfy.clip_vision.ClipVisionModel, "encode_image"), (ip_adapter_file.Layers, "forward")):
        original = getattr(owner, name)

        def counting(*args: Any, original: Any = original, name: str = name, **kwargs: Any) -> Any:
            calls[name] += 1
            return original(*args, **kwargs)

        setattr(owner, name, counting)
    scene.mixed((0.2, 0.9), "sum")
    return {"encodes_on_weight_change": figure(calls.total(), "= 0", "runs")}


def memory(sizes: Sizes) -> dict[str, Any]:
    """Compare the peak memory of a guided step at 512 x 512 to the plain model's, each in a process of its own."""
    names = ["plain", *map(str, sizes.counts)]
    peaks: dict[str, float] = {}
    for group in [names] if sizes.one_process else [[name] for name in names]:
        command = [sys.executable, __file__, "peak", str(sizes.peak_latent), *group]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        peaks |= zip(group, json.loads(done.stdout.splitlines()[-1]), strict=True)
    figures = {
        f"ip_peak_ratio_{count}": figure(peaks[str(count)] / peaks["plain"], None, "ratio") for count in sizes.counts
    }
    return {"plain_peak_mb": figure(peaks["plain"] / 2**20, None, "MB"), **figures}


def peak_of(name: str, latent: int) -> float:
    """Return the bytes that a step of the plain model ("plain"), or with that many pictures, adds at its peak."""
    import psutil

    scene = Scene("sd15")
    conditioned = scene.plain if name == "plain" else scene.mixed(weights_of(int(name)), "shared")
    forward_of(conditioned, SMALL, 3.0)(lambda step: step())
    before = psutil.Process().memory_info().rss
    forward_of(conditioned, latent, 3.0)(lambda step: step())
    return max(1.0, _measure.peak_memory() - before)


def main(part: list[str], sizes: Sizes, quick: bool) -> None:
    """Measure everything, or the named part: ["peak", latent, name, ...] or ["time", layout, count, ...]."""
    import torch

    with torch.inference_mode():
        if part[:1] == ["peak"]:
            print(json.dumps([peak_of(name, int(part[1])) for name in part[2:]]))
            return
        if part[:1] == ["time"]:
            _measure.report(ip_time(part[1], replace(sizes, counts=tuple(map(int, part[2:])) or sizes.counts)), quick)
            return
        figures = {
            **ip_operations("sd15", 112, sizes),
            **ip_operations("sdxl", 490, sizes),
            **encodes(),
            **memory(sizes),
        }
        figures |= {**ip_time("sd15", sizes), **ip_time("sdxl", sizes)}
    _measure.report(figures | worst(figures, sizes), quick)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    asked = _measure.options(__doc__, "part")
    _measure.in_comfyui()
    main(asked.part, QUICK if asked.quick else Sizes(), asked.quick)
