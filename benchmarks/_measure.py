"""Code that the benchmarks share: ComfyUI on the CPU in this process, interleaved pairs, the report of figures.

Every benchmark takes --quick: all figures at their smallest sizes, to show that the benchmark works. They have no aims then.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def importable() -> None:
    """Make the pack importable as `image_mixer`, whatever its folder is called."""
    alias = types.ModuleType("image_mixer")
    alias.__path__ = [str(ROOT)]
    sys.modules["image_mixer"] = alias


def in_comfyui() -> None:
    """Make `image_mixer`, ComfyUI's modules (already on the path) and the tests' micro models importable; no GPU."""
    importable()
    sys.path.append(str(ROOT / "tests" / "support" / "probe"))
    import comfy.cli_args
    import torch

    # One thread: two threads that share a core with another process wait for each other, and ratios mean nothing.
    torch.set_num_threads(1)

    comfy.cli_args.args.cpu = True
    # As on a GPU. Without it ComfyUI splits attention by the free memory, so that peaks would depend on the machine.
    comfy.cli_args.args.use_pytorch_cross_attention = True


def seconds(call: Callable[[], Any]) -> float:
    """Return the wall-clock time of one call, in seconds."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def processor_seconds(call: Callable[[], Any]) -> float:
    """Return the processor time that this process spends in one call, in seconds. Other programs do not count."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def interleaved(one: Callable[[], Any], other: Callable[[], Any], pairs: int) -> list[float]:
    """Return the ratios one / other in processor time of `pairs` pairs of runs, after a warm-up; the order alternates."""
    one(), other()
    ratios = []
    for pair in range(pairs):
        if pair % 2:
            second = processor_seconds(other)
            first = processor_seconds(one)
        else:
            first = processor_seconds(one)
            second = processor_seconds(other)
        ratios.append(first / second)
    return ratios


def peak_memory() -> int:
    """Return the most resident memory that the process has had, in bytes, as its system records it."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def figure(value: float, aim: str | None, unit: str) -> dict[str, Any]:
    """Return one figure of the contract in tools/comfy_tool/commands/bench.py."""
    return {"value": round(value, 4), "aim": aim, "unit": unit}


def report(figures: dict[str, dict[str, Any]], quick: bool = False) -> None:
    """Print the figures as one JSON object, the last line of the output; without aims if they were `quick`."""
    print(json.dumps({name: facts | {"aim": None} if quick else facts for name, facts in figures.items()}))


def options(description: str | None, *positional: str) -> argparse.Namespace:
    """Read the command line: --quick, and positional arguments by these names, any number of each."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="every figure at its smallest size, without aims")
    for name in positional:
        parser.add_argument(name, nargs="*")
    return parser.parse_args()
