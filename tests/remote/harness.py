"""An engine on a folder and a service's URL. The pixels of its pictures are the bytes of PNG files."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_mixer.mixing.mix import Ingredient, Mix, Picture
from image_mixer.mixing.recipe import Recipe
from image_mixer.mixing.seeds import sample_seed
from image_mixer.network.transport import RequestsTransport
from image_mixer.remote.credentials import Credentials
from image_mixer.remote.endpoints import Endpoint, Settings, Timeouts
from image_mixer.remote.engine import Engine, Order
from image_mixer.remote.pictures import Pictures
from image_mixer.remote.store.journal import Journal
from image_mixer.remote.store.results import Results
from image_mixer.tests.standin import render
from image_mixer.tests.support.pictures import check, coloured, size_of

KEY = "demo-key-0000"
QUICK = Timeouts(connect=10.0, read=10.0, submit=10.0, call=10.0, job=20.0, download=10.0, queue=10.0)


class Clocks:
    """The clocks of an engine that runs `pace` times as fast as the world.

    `later` is how much time has passed in addition, and `ahead` by how much the time of day is wrong, in seconds.
    """

    def __init__(self, pace: float) -> None:
        self.pace, self.later, self.ahead = pace, 0.0, 0.0

    def clock(self) -> float:
        """The engine's monotonic clock."""
        return time.monotonic() * self.pace

    def ticks(self) -> float:
        """The journal's monotonic clock."""
        return self.clock() + self.later

    def wall(self) -> float:
        """The time of day."""
        return 1_000_000.0 + self.ticks() + self.ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.pace)

    def given(self) -> dict[str, Any]:
        """Return all of them, as arguments of `engine`."""
        return {"clock": self.clock, "ticks": self.ticks, "wall": self.wall, "sleep": self.sleep}


def encode(given: Picture, max_bytes: int, max_side: int) -> tuple[bytes, str]:
    """Encode a picture as the pack does, but for pixels that are the bytes of a PNG."""
    assert len(given.pixels) <= max_bytes
    return given.pixels, "image/png"


PICTURES = Pictures(encode, size_of, check)


def recipe(weights: tuple[tuple[float, ...], ...] = ((0.5, 0.7),), **changes: Any) -> Recipe:
    """Return a recipe of one colour per weight, 256 x 256; `changes` are fields of it."""
    colours = ((200, 30, 30), (30, 30, 200), (30, 200, 30), (200, 200, 30))
    ingredients = tuple(Ingredient("image", coloured(colours[i])) for i in range(len(weights[0])))
    fields = {"prompt": "rose man", "width": 256, "height": 256, "seed": 12345} | changes
    return Recipe(Mix(ingredients, weights), **fields)


def endpoints(base: str, **changes: Any) -> Settings:
    """Return profiles "v6" and "v5" on the stand-in, and "four", a v5 that makes four images per job."""
    changes = {"timeouts": QUICK} | changes
    v6 = Endpoint("v6", f"{base}/api/v6", **changes)
    v5 = replace(v6, name="v5", base_url=f"{base}/api/v5", wire="v5", uploader="v6")
    four = replace(v5, name="four", images_per_job=4)
    return Settings({"v6": v6, "v5": v5, "four": four}, max_jobs_per_run=64, max_jobs_per_day=1000)


def engine(base: str, folder: Path, settings: Settings | None = None, key: str = KEY, **more: Any) -> Engine:
    """Return an engine whose files are in `folder`. Several engines may share one."""
    settings = settings or endpoints(base)
    return Engine(
        settings,
        Credentials(folder / "keys.json", {"MODELSLAB_API_KEY": key} if key else {}),
        Journal(
            folder / "journal.sqlite",
            more.get("wall", time.time),
            more.pop("busy_seconds", 5.0),
            more.pop("ticks", time.monotonic),
        ),
        Results(folder / "results", settings.results_bytes),
        more.pop("transport", None) or RequestsTransport(),
        PICTURES,
        **more,
    )


def rendered(given: Recipe, index: int = 0) -> bytes:
    """Return picture `index` of a recipe (by variant, then sample) as the stand-in makes it."""
    variant, sample = divmod(index, given.samples)
    row = given.mix.weights[variant]
    used = [(i.content.pixels, weight) for i, weight in zip(given.mix.ingredients, row, strict=True) if weight]
    pixels, weights = [one for one, _ in used], [weight for _, weight in used]
    size = (given.width, given.height)
    return render.rendered(pixels, weights, given.prompt, sample_seed(given.seed, sample), size)


def order(given: Recipe | None = None, endpoint: str = "v6", run: str = "run", **more: Any) -> Order:
    """Return an order of `given`."""
    return Order(given or recipe(), endpoint, run=run, **more)
