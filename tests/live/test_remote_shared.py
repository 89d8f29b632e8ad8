"""Two ComfyUI processes with one user directory and one graph: each job is paid for once, and both get its bytes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from image_mixer.tests.support.live import Live, prepared, report_of
from image_mixer.tests.support.remote_scene import KEY, Scene, made, pixels, remote_graph, scene, until
from image_mixer.tools.comfy_tool.server.server import Server

SAMPLES = 3


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("one"), took=1.0) as made:
        yield made


@pytest.fixture(scope="module")
def other(live: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A second server with separate folders, except for the user directory."""
    base = prepared(tmp_path_factory.mktemp("two"))
    shared = ("--user-directory", str(live.server.base / "user"))
    with Server(base=base, extra_args=shared, env={"MODELSLAB_API_KEY": KEY}) as server:
        yield Live(server)


def saved(live: Live, outputs: dict[str, dict[str, list[dict[str, str]]]]) -> list[bytes]:
    return [pixels(live.image(image)) for image in outputs["save"]["images"]]


def wanted(live: Scene, before: int) -> list[bytes]:
    """Return what the stand-in made since then, in the order of the seeds."""
    jobs = sorted(
        (live.service.state.jobs[number] for number in live.service.state.paid[before:]), key=lambda j: j.seed
    )
    return [pixels(made(live, job.id)) for job in jobs]


@pytest.mark.parametrize("later", [0.0, 0.3, 1.2], ids=["at once", "while it is made", "while it is collected"])
def test_one_graph_in_two_servers_is_paid_for_once(live: Scene, other: Live, later: float) -> None:
    prompt = remote_graph(recipe={"samples": SAMPLES, "seed": int(1000 * later)})
    before, uploads = live.paid, live.service.state.count("upload")

    def second() -> dict[str, dict[str, list[dict[str, str]]]]:
        time.sleep(later)
        return other.good(prompt)

    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.submit(live.good, prompt), pool.submit(second)
        one, two = ours.result(), theirs.result()
    assert live.paid - before == SAMPLES and live.service.state.paid_twice() == 0
    assert saved(live, one) == saved(other, two) == wanted(live, before)
    assert live.service.state.count("upload") - uploads <= 4
    seeds = [[image["seed"] for image in report_of(outputs)["images"]] for outputs in (one, two)]
    assert seeds[0] == seeds[1]


def test_what_one_was_interrupted_in_the_other_collects(live: Scene, other: Live) -> None:
    prompt, before = remote_graph(recipe={"seed": 5000}), live.paid
    queued = other.queue(prompt)
    until(lambda: live.paid > before)
    other.post("/interrupt", {})
    other.ended(queued)
    assert saved(live, live.good(prompt)) == wanted(live, before)
    assert live.paid == before + 1


def test_what_died_with_one_the_other_collects(live: Scene, other: Live) -> None:
    prompt, before = remote_graph(recipe={"samples": 2, "seed": 6000}), live.paid
    with contextlib.suppress(OSError):
        other.queue(prompt)
    until(lambda: live.paid == before + 2)
    other.server.kill()
    assert saved(live, live.good(prompt)) == wanted(live, before)
    assert live.paid == before + 2
