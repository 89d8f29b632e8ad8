"""A few paid calls to the real service, which settle what its documents leave open: `comfy.py test --live` runs this.

`python real.py FOLDER` with the key in MODELSLAB_API_KEY. Journal and images stay in FOLDER: run again, it pays for
nothing that it has. The last line is one JSON object.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import runpy
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
runpy.run_path(str(ROOT / "tests" / "conftest.py"))

from image_mixer.mixing.errors import ImageError, MixError  # noqa: E402
from image_mixer.mixing.mix import Ingredient, Mix, Picture  # noqa: E402
from image_mixer.mixing.recipe import Recipe  # noqa: E402
from image_mixer.remote.credentials import Credentials  # noqa: E402
from image_mixer.remote.endpoints import built_in_settings  # noqa: E402
from image_mixer.remote.engine import Engine, Order  # noqa: E402
from image_mixer.remote.pictures import Pictures  # noqa: E402
from image_mixer.remote.store.journal import Journal  # noqa: E402
from image_mixer.remote.store.results import Results  # noqa: E402
from image_mixer.remote.transport import RequestsTransport  # noqa: E402
from PIL import Image  # noqa: E402


@dataclass(frozen=True)
class Question:
    """One paid job, and what it is for."""

    name: str
    endpoint: str
    weights: tuple[float, float]


QUESTIONS = (
    Question("v6, mostly the first picture", "modelslab v6", (1.0, 0.2)),
    Question("v6, mostly the second picture", "modelslab v6", (0.2, 1.0)),
    Question("v5, mostly the first picture", "stable diffusion api v5", (1.0, 0.2)),
)


def picture(path: Path) -> Picture:
    """A photograph as the bytes of its file."""
    data = path.read_bytes()
    return Picture(hashlib.sha256(data).hexdigest(), data)


def size(given: Picture) -> tuple[int, int]:
    """(width, height) in pixels."""
    with Image.open(io.BytesIO(given.pixels)) as image:
        return image.size


def check(data: bytes) -> None:
    """Raises ImageError unless the whole picture can be read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"The download is a broken picture: {type(error).__name__}.") from error


def main(folder: Path) -> int:
    """Asks every question, tells of each, and keeps the images beside the journal."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = built_in_settings()
    pictures = Pictures(lambda given, most, side: (given.pixels, "image/jpeg"), size, check)
    engine = Engine(settings, Credentials(folder / "no-keys.json", os.environ),
                    Journal(folder / "journal.sqlite", time.time), Results(folder / "results", settings.results_bytes),
                    RequestsTransport(), pictures)
    photographs = [picture(ROOT / "tools" / "assets" / name) for name in ("cat.jpg", "coffee.jpg")]
    found: dict[str, str] = {}
    failed = False
    for number, question in enumerate(QUESTIONS):
        mix = Mix(tuple(Ingredient("image", given) for given in photographs), (question.weights,))
        recipe = Recipe(mix, prompt="a cat in a cup of coffee", width=512, height=512, steps=20, seed=12345)
        try:
            outcome = engine.run(Order(recipe, question.endpoint, run="live"), lambda p: print(f"  {p.text}", flush=True))
        except MixError as error:
            print(f"{question.name}: {error}", flush=True)
            failed = True
            continue
        file = folder / f"{number}.image"
        file.write_bytes(outcome.images[0])
        found[question.name] = hashlib.sha256(outcome.images[0]).hexdigest()
        print(f"{question.name}: {file}, {json.dumps(outcome.report.details)}", flush=True)
    first, second = (found.get(question.name) for question in QUESTIONS[:2])
    answer = None if first is None or second is None else first != second
    print(json.dumps({"v6 heeds weights": answer, "images": found}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
