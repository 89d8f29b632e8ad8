"""`demo`: mix two pictures in a real ComfyUI, with weights that sweep from one to the other."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..console import printable, say
from ..errors import ToolError, UsageError
from ..paths import NAME, ROOT
from ..server.client import Client
from ..server.execute import execute
from ..server.results import collect
from ..server.server import Server
from ..workflow.prompt import MutablePrompt
from .libraries import install_for
from .progress import Bar

PICTURES = (ROOT / "tools" / "assets" / "cat.jpg", ROOT / "tools" / "assets" / "coffee.jpg")
VARIANTS = 9
SEED = 7
WORD = "cyan"
DEMO_SIDE, DEMO_STEPS = 64, 20
REAL_SIDE, REAL_STEPS = 512, 30

Link = list[Any]


def command(options: argparse.Namespace) -> int:
    """Mix two pictures, save the images and a contact sheet, and print their paths."""
    if options.checkpoint is not None and not options.checkpoint.is_file():
        raise UsageError(
            f"{options.checkpoint} does not exist: give --checkpoint the file of an Image Mixer checkpoint"
        )
    install = install_for(options)
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-demo-", ignore_cleanup_errors=True) as folder:
        if options.checkpoint is not None:
            _put(options.checkpoint, Path(folder) / "models" / "checkpoints")
        say(f"Starting {install.comfyui} ...")
        with Server(install=install, base=folder) as server:
            prompt = demo_graph() if options.checkpoint is None else checkpoint_graph(options.checkpoint.name)
            for path in _mix(server.client, prompt, options.out):
                print(printable(str(path)), flush=True)
    if options.checkpoint is None:
        say("Made by the small demo model of this pack. To mix photographs, name a real model with --checkpoint FILE.")
    return 0


def demo_graph() -> MutablePrompt:
    """Return a graph for the demo model: a sweep between two of its pictures, and one picture pulled by a word."""
    models = {"model": ["models", 0], "clip": ["models", 1], "vae": ["models", 2], "clip_vision": ["models", 3]}
    first, second = ["models", 4], ["models", 5]
    prompt = {"models": _node("ImageMixerDemoModel")}
    prompt |= _sweep(first, second, models, DEMO_SIDE, DEMO_STEPS)
    prompt |= {
        "alone": _node("ImageMixerMix", **{"images.image0": first}, pad="0.5"),
        "word": _node("ImageMixerAddText", mix=["alone", 0], text=WORD, weight=1.5, start=0.0, end=1.0),
        "pulled recipe": _recipe(["word", 0], DEMO_SIDE, DEMO_STEPS),
        "pulled": _local(["pulled recipe", 0], models),
    }
    return prompt | _sheet([first, ["local", 0], second, ["pulled", 0]], [f'first 0.5, "{WORD}" 1.5'])


def checkpoint_graph(file: str) -> MutablePrompt:
    """Return a graph that sweeps between two photographs with the Image Mixer checkpoint `file`."""
    models = {"model": ["models", 0], "vae": ["models", 1], "clip_vision": ["models", 2]}
    prompt = {f"picture{i}": _node("LoadImage", image=str(path)) for i, path in enumerate(PICTURES)}
    prompt["models"] = _node("ImageMixerLoadCheckpoint", file=file)
    first, second = ["picture0", 0], ["picture1", 0]
    prompt |= _sweep(first, second, models, REAL_SIDE, REAL_STEPS)
    return prompt | _sheet([first, ["local", 0], second], [])


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def _recipe(mix: Link, side: int, steps: int) -> dict[str, Any]:
    return _node(
        "ImageMixerRecipe",
        mix=mix,
        prompt="",
        negative_prompt="",
        width=side,
        height=side,
        steps=steps,
        guidance_scale=3.0,
        seed=SEED,
        samples=1,
    )


def _local(recipe: Link, models: dict[str, Link]) -> dict[str, Any]:
    return _node(
        "ImageMixerLocal",
        recipe=recipe,
        **models,
        preparation="centre crop",
        method="auto",
        strength=1.0,
        sampler="euler",
        scheduler="normal",
        denoise=1.0,
    )


def _sweep(first: Link, second: Link, models: dict[str, Link], side: int, steps: int) -> MutablePrompt:
    """Return the nodes of a sweep from the first picture to the second. The images are at ["local", 0]."""
    return {
        "weights": _node(
            "ImageMixerBlendWeights", **{"from": "1, 0", "to": "0, 1"}, variants=VARIANTS, easing="linear"
        ),
        "mix": _node(
            "ImageMixerMix", **{"images.image0": first, "images.image1": second}, pad="", weights=["weights", 0]
        ),
        "recipe": _recipe(["mix", 0], side, steps),
        "local": _local(["recipe", 0], models),
        "images": _node("ImageMixerSave", images=["local", 0], filename_prefix="mix", report=["local", 2]),
    }


def _sheet(cells: list[Link], more_captions: list[str]) -> MutablePrompt:
    """Return the nodes of one contact sheet of all cells: first picture, sweep, second picture, and any others."""
    shares = [f"{round(1 - i / (VARIANTS - 1), 3):g}, {round(i / (VARIANTS - 1), 3):g}" for i in range(VARIANTS)]
    captions = ["first picture", *shares, "second picture", *more_captions]
    prompt: MutablePrompt = {}
    whole = cells[0]
    for number, cell in enumerate(cells[1:]):
        prompt[f"batch{number}"] = _node("ImageBatch", image1=whole, image2=cell)
        whole = [f"batch{number}", 0]
    prompt["sheet"] = _node("ImageMixerSheet", images=whole, captions="\n".join(captions), columns=4)
    prompt["contact sheet"] = _node("ImageMixerSave", images=["sheet", 0], filename_prefix="sheet")
    return prompt


def _mix(client: Client, prompt: MutablePrompt, out: Path) -> list[Path]:
    for node in prompt.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = client.upload_image(Path(node["inputs"]["image"]))
    bar = Bar(prompt)
    try:
        finished = execute(client, prompt, bar)
    finally:
        bar.finish()
    return collect(finished.outputs, out, client.view).files


def _put(checkpoint: Path, folder: Path) -> None:
    """Put a checkpoint into a folder where the server finds it."""
    folder.mkdir(parents=True)
    _link(checkpoint.resolve(), folder / checkpoint.name)


def _link(source: Path, target: Path) -> None:
    for link in (os.symlink, os.link, shutil.copyfile):
        try:
            link(source, target)
            return
        except OSError as error:
            failed = error
    raise ToolError(f"{source} cannot be copied to {target.parent} ({failed})")
