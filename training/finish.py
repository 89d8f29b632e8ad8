"""Do the last step: write the model file, the judge, the bundled pictures, the figures and the model card."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import comfy
import torch
from image_mixer.local import demo
from PIL import Image
from safetensors.torch import save_file

from . import export, scenes
from .card import card

log = logging.getLogger("demo_training")

BUNDLED = (
    ("a", ("heart", "yellow", "plain", "night")),
    ("b", ("star", "red", "dotted", "snow")),
    ("c", ("ring", "cyan", "striped", "sunset")),
)
"""The factors of the bundled pictures: combinations that are held out for choices."""
BUNDLED_PIXELS = 320
_JUDGE = "judge.done.pt"


def finish(work: Path, root: Path) -> None:
    """Write everything that ships, measure it with benchmarks/demo.py, and write the card."""
    parts = {
        name: torch.load(work / f"{name}.done.pt", weights_only=True) for name in ("mixtures", "vae", "vision_wide")
    }
    text = torch.load(work / "text.done.pt", weights_only=True)
    size = export.write(demo.FILE, parts["mixtures"], text["tower"], text["tokens"], parts["vae"], parts["vision_wide"])
    judge = torch.load(work / _JUDGE, weights_only=True)
    shipped = root / "tests" / "assets" / "demo_judge.safetensors"
    shipped.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half().contiguous() for key, value in judge.items()}, shipped)
    shipped.chmod(0o644)
    write_pictures()
    log.info("%s: %.2f MB; %s: %.2f MB", demo.FILE.name, size / 1e6, shipped.name, shipped.stat().st_size / 1e6)
    figures = measure(root)
    notes = json.loads((work / "notes.json").read_text("utf-8")) if (work / "notes.json").exists() else {}
    (demo.FOLDER / "README.md").write_text(card(figures, notes, size), "utf-8")


def measure(root: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of benchmarks/demo.py, run in a separate process."""
    comfyui = str(Path(comfy.__path__[0]).parent)
    environment = {**os.environ, "PYTHONPATH": comfyui, "TQDM_DISABLE": "1"}
    command = [sys.executable, str(root / "benchmarks" / "demo.py")]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    log.info("%s", done.stdout)
    figures: dict[str, dict[str, Any]] = json.loads(done.stdout.rstrip().splitlines()[-1])
    return figures


def write_pictures() -> None:
    """Draw the bundled pictures, larger than the 64 pixels of the tower, so that people can see them well."""
    held_out = {tuple(row) for row in scenes.split("choose").tolist()}
    values = list(scenes.FACTORS.values())
    for file, (_, words) in zip(demo.PICTURES, BUNDLED, strict=True):
        row = tuple(values[column].index(word) for column, word in enumerate(words))
        if row not in held_out:
            raise ValueError(f"{' '.join(words)} is not a combination held out for choices: take another.")
        one = scenes.Scenes(torch.tensor([row]), torch.tensor([[0.5, 0.5]]), torch.tensor([0.38]))
        pixels = (scenes.draw(one, BUNDLED_PIXELS)[0].permute(1, 2, 0) * 255).round().byte()
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.numpy()).save(file, optimize=True)
