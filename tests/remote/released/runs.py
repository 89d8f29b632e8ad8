"""Recipes that a released version ran with the URLs of the real services: what it paid for is never paid for again.

`python make.py FOLDER`, next to this file, makes the fixture of the version whose checkout it is in. The folder of a
release is never changed: a journal, the results, and the pictures that the recipes mix.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from image_mixer.mixing import images
from image_mixer.mixing.mix import Ingredient, Mix, Picture
from image_mixer.mixing.recipe import Recipe
from image_mixer.network.pictures import Pictures
from image_mixer.network.transport import Call, Reply
from image_mixer.remote.credentials import Credentials
from image_mixer.remote.endpoints import Settings, parse_settings
from image_mixer.remote.engine import Engine, Order
from image_mixer.remote.store.journal import Journal
from image_mixer.remote.store.results import Results
from PIL import Image

KEY = "released-key-0000"
V6, V5 = "modelslab v6", "stable diffusion api v5"
SETTINGS = """
[spending]
max_jobs_per_run = 64
max_jobs_per_day = 500

[endpoints."four at once"]
base_url = "https://stablediffusionapi.com/api/v5"
wire = "v5"
images_per_job = 4
uploader = "modelslab v6"

[endpoints.repeated]
base_url = "https://modelslab.com/api/v6"
weights = "repeat"

[endpoints.impatient]
base_url = "https://modelslab.com/api/v6"
timeouts = { job = 1.0, download = 1.0, submit = 1.0 }
"""
HOSTS = ("https://modelslab.com", "https://stablediffusionapi.com")


@dataclass(frozen=True)
class Told:
    """One order: the weights of pictures a, b, c (one row per variant), and what else differs from the usual recipe."""

    name: str
    endpoint: str
    weights: tuple[tuple[float, ...], ...]
    changes: dict[str, Any]
    take: int = 0
    also: tuple[tuple[str, str], ...] = ()


FINISHED = (
    Told("a graph of the page", V6, ((0.5, 0.7),), {"seed": 1}),
    Told("two variants, two samples", V6, ((1.0, 0.25), (0.3333333333333333, 2.0)), {"samples": 2, "seed": 2**31 + 5}),
    Told("numbers that are whole", V6, ((1.0, 1.0),), {"guidance_scale": 10, "steps": 41, "seed": 12345}),
    Told("numbers that are not", V6, ((0.1, 0.30000000000000004),), {"guidance_scale": 7.5, "seed": 2**53 - 1}),
    Told("another take", V6, ((0.5, 0.7),), {"seed": 1}, take=3),
    Told(
        "size of the first picture", V6, ((0.5, 0.7),), {"width": 0, "height": 0, "negative_prompt": "A polluted city"}
    ),
    Told("a drawn seed", V6, ((0.5, 0.7),), {"seed": -1, "samples": 2}),
    Told(
        "a URL and a text",
        V5,
        ((0.5, 0.7, 1.0, 1.0),),
        {"width": 0, "height": 0},
        also=(("url", "https://a.example/b,c.png"), ("text", "in oil")),
    ),
    Told("an older endpoint", V5, ((0.5, 0.7),), {"steps": 100, "guidance_scale": 10.0, "seed": 7}),
    Told("four images a job", "four at once", ((0.5, 0.7), (1.0, 0.0)), {"samples": 6, "seed": 99}),
    Told("weights as repeats", "repeated", ((0.5, 0.7, 0.2),), {"prompt": "ein Männchen, \u8594\u8587", "seed": 5}),
)
UNFINISHED = {
    "failed": Told("failed", V6, ((0.5, 0.7),), {"seed": 101}),
    "unknown": Told("unknown", V6, ((0.5, 0.7),), {"seed": 102}),
    "accepted": Told("accepted", "impatient", ((0.5, 0.7),), {"seed": 103}),
    "ready": Told("ready", "impatient", ((0.5, 0.7),), {"seed": 104}),
}


def pictures(folder: Path, size: tuple[int, int] = (96, 64)) -> list[Picture]:
    """Return the pictures a, b and c as Load Image and Image Mix make them."""
    made = []
    for name in "abc":
        with Image.open(folder / f"{name}.png") as file:
            pixels = numpy.array(file.convert("RGB")).astype(numpy.float32) / 255.0
        made.append(images.picture(torch.from_numpy(pixels)[None]))
    return made


def order(told: Told, given: list[Picture]) -> Order:
    """Return the order that the node would give the engine."""
    count = len(told.weights[0]) - len(told.also)
    ingredients = [Ingredient("image", one) for one in given[:count]]
    ingredients += [Ingredient(kind, text) for kind, text in told.also]  # type: ignore[arg-type]
    fields = {"prompt": "rose man", "width": 256, "height": 256, "steps": 30, "guidance_scale": 3.0, "seed": 0}
    recipe = Recipe(Mix(tuple(ingredients), told.weights), **fields | told.changes)
    return Order(recipe, told.endpoint, told.take, run=told.name)


def settings() -> Settings:
    """Return the profiles that the fixture was made with."""
    return parse_settings(SETTINGS)


def engine(folder: Path, transport: Callable[[Call], Reply], key: str = KEY) -> Engine:
    """Return an engine on the journal and the results in `folder`."""
    known = settings()
    return Engine(
        known,
        Credentials(folder / "keys.json", {"MODELSLAB_API_KEY": key} if key else {}),
        Journal(folder / "journal.sqlite", time.time),
        Results(folder / "results", known.results_bytes),
        transport,
        Pictures(
            lambda one, most, side: images.encode_within(one.pixels, most, side),
            lambda one: (int(one.pixels.shape[2]), int(one.pixels.shape[1])),
            images_checked,
        ),
        resolve=lambda host, port: ["93.184.216.34"],
    )


def images_checked(data: bytes) -> None:
    """Raise ImageError if `data` is not a picture."""
    images.decode(data)
