"""A process that runs one recipe and may be killed at any moment: worker.py FOLDER BASE SEED SAMPLES."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def main(folder: str, base: str, seed: str, samples: str) -> None:
    """Print "go" before the run, and one line of JSON after it."""
    spec = importlib.util.spec_from_file_location("alias", ROOT / "tests" / "conftest.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    from image_mixer.mixing.errors import MixError
    from image_mixer.tests.remote import harness

    print("go", flush=True)
    try:
        engine = harness.engine(base, Path(folder))
        order = harness.order(
            harness.recipe(seed=int(seed), samples=int(samples)), run=seed, when_missing="placeholder"
        )
        outcome = engine.run(order)
        said = {
            "images": [None if data is None else hashlib.sha256(data).hexdigest() for data in outcome.images],
            "unknown": sum(one.kind == "unknown" for one in outcome.missing),
        }
    except MixError as error:
        said = {"error": type(error).__name__, "line": str(error)}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
