"""bench methods: what each method adds to a forward of the plain model: operations, time, memory, encodes, stalls.

Micro models in the real layouts of SD1.5 (32 channels) and SDXL (64), on the CPU and one thread, at latents of 128 x 128
for time. Operations are those that reach a device, views included, in one guided forward of ComfyUI's sampling.
`bench methods` measures all; `python methods.py time sd15 4` prints one part of the long one alone, `quick` all but it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _measure
from _measure import figure

ROUNDS = 10
LATENT = 128
SMALL = 8
PEAK_LATENT = 64
COUNTS = (1, 2, 4)
TOWER_WIDTH = 768
STALLS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")
"""Operations for whose result the program waits."""


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
        """(model, positive, negative) without a mix."""
        return self.model, self.text, self.text

    def mixed(
        self, weights: tuple[float, ...], combine: str, first: int = 0, before: Any = None
    ) -> tuple[Any, Any, Any]:
        """(model, positive, negative) with a mix of so many pictures, applied to `before` or to the plain model."""
        from image_mixer.local import engine
        from image_mixer.tests.support.mixes import mix_of

        embeddings = engine.embed_all(mix_of(*weights, first=first), None, self.tower, None, "centre crop")
        model, positive, negative = before or self.plain
        settings = {"combine": combine}
        return engine.apply(model, positive, negative, embeddings, None, self.adapter, "ip-adapter", 1.0, settings)


def weights_of(count: int) -> tuple[float, ...]:
    """So many weights, no two alike."""
    return tuple(1.0 - i / 8 for i in range(count))


def forward_of(
    conditioned: tuple[Any, Any, Any], side: int, guidance: float, channels: int = 4, noisiest: float = 5.0
) -> Callable[[Callable[[Any], Any]], None]:
    """A run of one step of ComfyUI's sampling. What it gives is called with a function that runs the step handed to it."""
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
    """What one guided step asks of the device, by the operation's name."""
    return operations_of(forward_of(conditioned, SMALL, 3.0))


def operations_of(run: Callable[[Callable[[Any], Any]], None]) -> Counter[str]:
    """What the step of `forward_of` asks of the device, by the operation's name."""
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


def ip_operations(layout: str, aim: int) -> dict[str, Any]:
    """Operations that the method adds, and those of them that stall the program."""
    scene = Scene(layout)
    plain = operations(scene.plain)
    added, stalls = {}, 0
    for combine in ("shared", "sum"):
        for count in COUNTS:
            found = operations(scene.mixed(weights_of(count), combine))
            added[combine, count] = found.total() - plain.total()
            stalls = max(stalls, sum(found[name] - plain[name] for name in STALLS))
    chained = scene.plain
    for number in range(COUNTS[-1]):
        chained = scene.mixed((1.0,), "sum", number, chained)
    figures = {
        f"plain_ops_{layout}": figure(plain.total(), None, "operations"),
        f"ip_ops_{layout}": figure(max(added["shared", count] for count in COUNTS), f"<= {aim}", "operations"),
        f"ip_stalls_{layout}": figure(stalls, "= 0", "a step"),
    }
    for (combine, count), value in added.items():
        figures[f"ip_ops_{layout}_{combine}_{count}"] = figure(value, None, "operations")
    total = operations(chained).total() - plain.total()
    figures[f"ip_ops_{layout}_chained_{COUNTS[-1]}"] = figure(total, None, "operations")
    return figures


def seconds_of(runs: dict[str, Callable[[Callable[[Any], Any]], None]]) -> dict[str, list[float]]:
    """Processor time of the steps of runs by `forward_of`: each once a round, in turned order, behind a round that warms up."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(ROUNDS + 1):
        for name in list(runs)[:: 1 if number % 2 else -1]:

            def timed(step: Callable[[], Any], name: str = name) -> Any:
                made = []
                spent[name].append(_measure.processor_seconds(lambda: made.append(step())))
                return made[0]

            runs[name](timed)
    return {name: every[1:] for name, every in spent.items()}


def ratio_of(spent: list[float], base: list[float]) -> tuple[float, float]:
    """(median, distance between the quartiles) of the ratios of two rows of seconds, round by round."""
    low, middle, high = statistics.quantiles([one / other for one, other in zip(spent, base, strict=True)], n=4)
    return middle, high - low


def ip_time(layout: str, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Processor time of a step with so many pictures over the plain model's: each case once a round, in turned order."""
    scene = Scene(layout)
    cases = {"plain": scene.plain} | {f"{n}": scene.mixed(weights_of(n), "shared") for n in counts}
    spent = seconds_of({name: forward_of(case, LATENT, 1.0) for name, case in cases.items()})
    figures = {}
    for name in list(cases)[1:]:
        middle, spread = ratio_of(spent[name], spent["plain"])
        figures[f"ip_time_{layout}_{name}"] = figure(middle, None, "ratio")
        figures[f"ip_time_{layout}_{name}_spread"] = figure(spread, None, "between quartiles")
    figures[f"plain_step_{layout}"] = figure(statistics.median(spent["plain"]), None, "s")
    return figures


def worst(figures: dict[str, Any]) -> dict[str, Any]:
    """The aim: the worst of 1, 2 and 4 pictures in both layouts."""
    ratios = [figures[f"ip_time_{layout}_{count}"]["value"] for layout in ("sd15", "sdxl") for count in COUNTS]
    return {"ip_time_ratio": figure(max(ratios), "<= 1.03", "ratio")}


def encodes() -> dict[str, Any]:
    """How often tower or adapter run when nothing but weights has changed."""
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


def memory() -> dict[str, Any]:
    """Peak memory that a guided step at 512 x 512 adds to the process, over the plain model's; a process each."""
    peaks = {}
    for name in ("plain", *map(str, COUNTS)):
        done = subprocess.run([sys.executable, __file__, "peak", name], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        peaks[name] = float(done.stdout.split("peak ")[-1])
    figures = {f"ip_peak_ratio_{count}": figure(peaks[str(count)] / peaks["plain"], None, "ratio") for count in COUNTS}
    return {"plain_peak_mb": figure(peaks["plain"] / 2**20, None, "MB"), **figures}


def peak_of(name: str) -> float:
    """Bytes that a step of the plain model, or with so many pictures, adds at its peak."""
    import psutil

    import local

    scene = Scene("sd15")
    conditioned = scene.plain if name == "plain" else scene.mixed(weights_of(int(name)), "shared")
    forward_of(conditioned, SMALL, 3.0)(lambda step: step())
    before = psutil.Process().memory_info().rss
    forward_of(conditioned, PEAK_LATENT, 3.0)(lambda step: step())
    return float(local._peak_rss() - before)


def main(arguments: list[str]) -> None:
    """Measure everything, or what is named."""
    import torch

    with torch.inference_mode():
        if arguments[:1] == ["peak"]:
            print("peak", peak_of(arguments[1]))
            return
        if arguments[:1] == ["time"]:
            _measure.report(ip_time(arguments[1], tuple(map(int, arguments[2:])) or COUNTS))
            return
        figures = {**ip_operations("sd15", 112), **ip_operations("sdxl", 490), **encodes(), **memory()}
        if arguments[:1] != ["quick"]:
            figures |= {**ip_time("sd15"), **ip_time("sdxl")}
            figures |= worst(figures)
    _measure.report(figures)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    _measure.in_comfyui()
    main(sys.argv[1:])
