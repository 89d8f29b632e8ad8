"""`demo`: two photographs mixed in a real ComfyUI, their weights swept from one to the other."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .client import Client
from .console import printable, run_logged, say
from .errors import ToolError, UsageError
from .execute import execute
from .installs import Install, find_install
from .places import NAME, ROOT, cache_folder
from .results import collect
from .run import Bar
from .sandbox import clean_environment
from .server import Server
from .tiers import safe_script

ASSETS = ROOT / "tools" / "assets"
PICTURES = (ASSETS / "cat.jpg", ASSETS / "coffee.jpg")
VARIANTS = 9
RANDOM_MODEL = "demo-random.ckpt"
RANDOM_SIDE, RANDOM_STEPS = 128, 6
REAL_SIDE, REAL_STEPS = 512, 30


def command(options: argparse.Namespace) -> int:
    """Set up what is missing, mix, save the images and the contact sheet, and print their paths."""
    if options.checkpoint is not None and not options.checkpoint.is_file():
        raise UsageError(f"{options.checkpoint} is not there: --checkpoint names an Image Mixer checkpoint")
    install = find_install(options.comfyui, options.python, options.version)
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-demo-", ignore_cleanup_errors=True) as folder:
        file = _model(install, options.checkpoint, Path(folder))
        say(f"Starting {install.comfyui} ...")
        with Server(install=install, base=folder) as server:
            side, steps = (REAL_SIDE, REAL_STEPS) if options.checkpoint else (RANDOM_SIDE, RANDOM_STEPS)
            paths = _mix(server.client, graph(file, side, steps), options.out)
    for path in paths:
        print(printable(str(path)))
    if options.checkpoint is None:
        say("These pictures come from random numbers, not from a trained model: they show that everything works, and not "
            "what a mix looks like. Name a real model with --checkpoint FILE.")
    return 0


def graph(file: str, side: int, steps: int) -> dict[str, Any]:
    """The demo in API format: `file` in models/checkpoints, square pictures of `side` pixels."""
    pictures = {f"picture{i}": {"class_type": "LoadImage", "inputs": {"image": str(path)}} for i, path in enumerate(PICTURES)}
    return pictures | {
        "weights": {"class_type": "ImageMixerBlendWeights", "inputs": {
            "from": "1, 0", "to": "0, 1", "variants": VARIANTS, "easing": "linear"}},
        "mix": {"class_type": "ImageMixerMix", "inputs": {
            **{f"images.image{i}": [f"picture{i}", 0] for i in range(len(PICTURES))}, "pad": "", "weights": ["weights", 0]}},
        "recipe": {"class_type": "ImageMixerRecipe", "inputs": {
            "mix": ["mix", 0], "prompt": "", "negative_prompt": "", "width": side, "height": side, "steps": steps,
            "guidance_scale": 3.0, "seed": 7, "samples": 1}},
        "models": {"class_type": "ImageMixerLoadCheckpoint", "inputs": {"file": file}},
        "local": {"class_type": "ImageMixerLocal", "inputs": {
            "recipe": ["recipe", 0], "model": ["models", 0], "vae": ["models", 1], "clip_vision": ["models", 2],
            "preparation": "centre crop", "method": "auto", "strength": 1.0, "sampler": "euler", "scheduler": "normal",
            "denoise": 1.0}},
        "sheet": {"class_type": "ImageMixerSheet", "inputs": {
            "images": ["local", 0], "captions": "", "report": ["local", 2], "columns": 0}},
        "images": {"class_type": "ImageMixerSave", "inputs": {
            "images": ["local", 0], "filename_prefix": "mix", "report": ["local", 2]}},
        "contact sheet": {"class_type": "ImageMixerSave", "inputs": {
            "images": ["sheet", 0], "filename_prefix": "sheet", "report": ["local", 2]}},
    }  # fmt: skip


def _mix(client: Client, prompt: dict[str, Any], out: Path) -> list[Path]:
    for node in prompt.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = client.upload_image(Path(node["inputs"]["image"]))
    bar = Bar(prompt)
    try:
        finished = execute(client, prompt, bar)
    finally:
        bar.finish()
    return collect(finished.outputs, out, client.view).files


def _model(install: Install, checkpoint: Path | None, base: Path) -> str:
    """Put the model where the server finds it; gives its name there."""
    folder = base / "models" / "checkpoints"
    folder.mkdir(parents=True)
    if checkpoint is not None:
        _link(checkpoint.resolve(), folder / checkpoint.name)
        return checkpoint.name
    say("No model is named with --checkpoint: making one of random numbers on the spot.")
    script = [str(install.python), *safe_script(ROOT / "tools" / "random_model.py"), str(folder / RANDOM_MODEL)]
    env = {**clean_environment(), "PYTHONPATH": str(install.comfyui)}
    run_logged(script, cache_folder() / "logs" / "random-model.log", env, "making a random model")
    return RANDOM_MODEL


def _link(source: Path, target: Path) -> None:
    for link in (os.symlink, os.link, shutil.copyfile):
        try:
            link(source, target)
            return
        except OSError as error:
            failed = error
    raise ToolError(f"{source} cannot be copied to {target.parent} ({failed})")
