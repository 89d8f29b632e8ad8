"""bench hybrid: both engines side by side on one recipe, compared to each alone.

Micro models on one thread of a ComfyUI; the stand-in of the service runs in a process of its own. The remote job takes
as long as the local one: then the slower engine hides the least of the other's time.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _measure

SIDE = 256  # the smallest that the service takes
WAYS = ("local", "remote", "both")


@dataclass(frozen=True)
class Sizes:
    """How much is measured. One engine alone takes about `seconds`, found by a trial."""

    seconds: float = 5.0
    trial_steps: int = 8
    most_steps: int = 50
    repetitions: int = 8


QUICK = Sizes(seconds=0.1, trial_steps=1, most_steps=1, repetitions=2)


def prompt(way: str, seed: int, steps: int) -> dict[str, Any]:
    """Return the graph of one engine, or of both on the same recipe, each with its own Save Mix."""
    from image_mixer.tests.support.live import local_graph
    from image_mixer.tests.support.remote_scene import remote_graph

    local, remote = local_graph(), remote_graph()
    both = {name: remote[name] for name in ("a", "b", "mix", "recipe")}
    both["recipe"]["inputs"] |= {
        "prompt": "rose",
        "width": SIDE,
        "height": SIDE,
        "steps": steps,
        "seed": seed,
        "samples": 1,
    }
    if way != "remote":
        both |= {name: local[name] for name in ("models", "local")} | {"save local": local["save"]}
    if way != "local":
        both |= {"remote": remote["remote"], "save remote": remote["save"]}
    return both


def seconds(live: Any, graph: dict[str, Any]) -> float:
    """Return the seconds from the start of a prompt to its success, by the server's own clock."""
    entry = live.run(graph)
    at = {kind: body["timestamp"] for kind, body in entry["status"]["messages"]}
    if "execution_success" not in at:
        raise RuntimeError(str(entry["status"]["messages"])[:2000])
    return float(at["execution_success"] - at["execution_start"]) / 1000


def take(address: str, each: float) -> None:
    """Set how many seconds a job takes in the stand-in."""
    body = json.dumps({"took": [each], "queue_limit": 20}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{address}/control/manners", body, method="POST"), timeout=10
    ).close()


def measured(live: Any, address: str, sizes: Sizes) -> dict[str, list[float]]:
    """Measure the seconds of each way, one value per repetition; the order of the ways rotates."""

    def took_by(way: str, seed: int, steps: int) -> float:
        return seconds(live, prompt(way, seed, steps))

    took_by("local", 1, 1)  # loads the models
    trial = took_by("local", 2, sizes.trial_steps) / sizes.trial_steps
    steps = max(sizes.trial_steps, min(sizes.most_steps, round(sizes.seconds / trial)))
    alone = [took_by("local", 3 + n, steps) for n in range(2)]
    take(address, statistics.fmean(alone))
    print(f"{steps} steps, a remote job of {statistics.fmean(alone):.2f} s")
    took_by("remote", 10, steps)  # uploads the pictures
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(sizes.repetitions):
        for at in range(len(WAYS)):
            number = (turn + at) % len(WAYS)
            took[WAYS[number]].append(took_by(WAYS[number], 1000 * (number + 1) + turn, steps))
        print(", ".join(f"{way} {took[way][-1]:.2f} s" for way in WAYS))
    return took


def main(quick: bool) -> None:
    """Measure, and print the figures."""
    _measure.importable()
    from image_mixer.tests.support.live import Live, prepared
    from image_mixer.tools.comfy_tool.server import standin
    from image_mixer.tools.comfy_tool.server.server import Server

    with tempfile.TemporaryDirectory() as name, standin.stand_in(Path(sys.executable)) as address:
        base = prepared(Path(name))
        standin.write_profiles(base, {"modelslab v6": f"{address}/api/v6"})
        env = {**standin.ENVIRONMENT, "OMP_NUM_THREADS": "1"}
        with Server(base=base, env=env) as server:
            took = measured(Live(server), address, QUICK if quick else Sizes())
    slower = max(("local", "remote"), key=lambda way: statistics.median(took[way]))
    ratios = [both / alone for both, alone in zip(took["both"], took[slower], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    figures = {
        "overlap_ratio": _measure.figure(middle, "<= 1.1", "ratio"),
        "overlap_ratio_q1": _measure.figure(low, None, "ratio"),
        "overlap_ratio_q3": _measure.figure(high, None, "ratio"),
    }
    for way in WAYS:
        figures[f"{way}_s"] = _measure.figure(statistics.median(took[way]), None, "s")
    _measure.report(figures, quick)


if __name__ == "__main__":
    main(_measure.options(__doc__).quick)
