"""What benchmarks share: ComfyUI on the CPU in this process, interleaved pairs, figures as the last line of output."""

from __future__ import annotations

import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def in_comfyui() -> None:
    """Make `image_mixer`, ComfyUI's modules (already on the path) and the tests' micro models importable; no GPU."""
    alias = types.ModuleType("image_mixer")
    alias.__path__ = [str(ROOT)]
    sys.modules["image_mixer"] = alias
    sys.path.append(str(ROOT / "tests" / "support" / "probe"))
    import comfy.cli_args
    import torch

    # One thread: where two share a core with another process, each waits for the other and ratios mean nothing.
    torch.set_num_threads(1)

    comfy.cli_args.args.cpu = True
    # As on a GPU. Without it ComfyUI cuts attention by what memory is free, so that every peak would be the machine's.
    comfy.cli_args.args.use_pytorch_cross_attention = True


def seconds(call: Callable[[], Any]) -> float:
    """Wall-clock time of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def processor_seconds(call: Callable[[], Any]) -> float:
    """Processor time that this process spends in one call: what else runs on the machine does not count."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def interleaved(one: Callable[[], Any], other: Callable[[], Any], pairs: int) -> list[float]:
    """Ratios one / other of `pairs` runs beside each other in processor time, the order turned every time, after a warm-up."""
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


def figure(value: float, aim: str | None, unit: str) -> dict[str, Any]:
    """One figure of the contract."""
    return {"value": round(value, 4), "aim": aim, "unit": unit}


def report(figures: dict[str, dict[str, Any]]) -> None:
    """Print the figures as the contract wants them: one JSON object, the last line."""
    print(json.dumps(figures))
