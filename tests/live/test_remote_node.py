"""Image Mixer (Remote) in a real ComfyUI, against the stand-in of the service."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from image_mixer.tests.standin.state import Fault
from image_mixer.tests.support.live import graph, report_of
from image_mixer.tests.support.remote_scene import (
    KEY,
    WRONG,
    Scene,
    assert_nowhere,
    both,
    made,
    pixels,
    remote_graph,
    scene,
    until,
    well_behaved,
)
from PIL import Image


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("remote")) as made:
        yield made


@pytest.fixture
def live(running: Scene) -> Iterator[Scene]:
    with well_behaved(running) as behaved:
        yield behaved


@pytest.mark.parametrize("endpoint", ["modelslab v6", "stable diffusion api v5"])
def test_images_come_bit_for_bit_and_in_order(live: Scene, endpoint: str) -> None:
    before = live.paid
    prompt = remote_graph(
        mix={"pad": "0.5, 0.7"},
        recipe={"samples": 3, "seed": 500},
        remote={"endpoint": endpoint, "track_id": "77"},
    )
    outputs = live.good(prompt)
    jobs = sorted((live.service.state.jobs[n] for n in live.service.state.paid[before:]), key=lambda job: job.seed)
    assert [job.seed for job in jobs] == [500, 501, 502]
    assert all(job.weights == [0.5, 0.7] and str(job.fields["track_id"]) == "77" for job in jobs)
    saved = [pixels(live.image(image)) for image in outputs["save"]["images"]]
    assert saved == [pixels(made(live, job.id)) for job in jobs]
    kept = {path.read_bytes() for path in (live.private / "results").rglob("*.image")}
    assert {made(live, job.id) for job in jobs} <= kept
    report = report_of(outputs)
    assert report["engine"] == "remote" and report["details"]["endpoint"] == endpoint
    assert [image["seed"] for image in report["images"]] == [500, 501, 502]
    assert report["images"][0]["weights"] == [0.5, 0.7]
    assert report["details"]["weights"].startswith("sent")
    assert live.service.state.violations == []


def test_images_of_several_sizes_become_one_batch(live: Scene) -> None:
    live.service.state.faults.append(Fault("image", body=_png((128, 64)), skip=1))
    outputs = live.good(remote_graph(recipe={"samples": 2, "seed": 540}))
    assert len(outputs["save"]["images"]) == 2
    assert "resized to the size of the first" in " ".join(report_of(outputs)["warnings"])


def _png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (9, 9, 9)).save(file, "PNG")
    return file.getvalue()


def test_progress_is_shown(live: Scene) -> None:
    live.good(remote_graph(recipe={"samples": 2, "seed": 560}))
    until(lambda: b"2 of 2 done" in live.heard or b"done in" in live.heard)
    assert b"queued" in live.heard or b"uploading" in live.heard


# Fallback


CAUSES: list[tuple[str, str, tuple[Fault, ...], dict[str, Any]]] = [
    ("no key", "keyless", (), {}),
    ("cap reached", "modelslab v6", (), {"samples": 5}),
    ("offline", "offline", (), {}),
    ("refused", "wrong", (), {}),
    ("queue full", "hasty", (Fault("mix", status=429, body='{"status":"error","message":"full"}', times=999),), {}),
    ("service down", "hasty", (Fault("mix", status=404, body="<html>", times=999),), {}),
    ("job failed", "hasty", (Fault("mix", status=400, body='{"status":"error","message":"odd"}', times=999),), {}),
]


@pytest.mark.parametrize(("cause", "endpoint", "faults", "recipe"), CAUSES, ids=[case[0] for case in CAUSES])
def test_the_fallback_takes_over(
    live: Scene, cause: str, endpoint: str, faults: tuple[Fault, ...], recipe: dict[str, Any]
) -> None:
    live.service.state.faults.extend(faults)
    before, seed = live.paid, 600 + 10 * [case[0] for case in CAUSES].index(cause)
    prompt = remote_graph(recipe={"seed": seed} | recipe, remote={"endpoint": endpoint})
    alone = live.error(prompt)
    assert alone["node_type"] == "ImageMixerRemote" and "\n" not in alone["exception_message"].strip()
    prompt["remote"]["inputs"]["fallback"] = ["b", 0]
    report = report_of(live.good(prompt))
    assert report["handed_over"].startswith(f"{cause}: ")
    assert live.paid == before
    assert KEY not in report["handed_over"] and WRONG not in json.dumps(alone)


def test_local_is_a_fallback_of_remote_and_tells_of_itself(live: Scene) -> None:
    before = live.counts()["sampled"]
    report = report_of(live.good(both("remote", "local", remote={"endpoint": "keyless"}, recipe={"seed": 700})))
    assert report["handed_over"].startswith("no key: ") and report["other"]["engine"] == "local"
    assert live.counts()["sampled"] == before + 1


def test_remote_is_a_fallback_of_local(live: Scene) -> None:
    before = live.paid
    prompt = both("local", "remote", recipe={"seed": 710})
    live.good(prompt)
    assert live.paid == before, "the local engine delivered, and the other was asked"
    prompt |= graph(full=("ProbeOutOfMemory", {"model": ["models", 0]}))
    prompt["local"]["inputs"]["model"] = ["full", 0]
    report = report_of(live.good(prompt))
    assert report["handed_over"].startswith("out of memory") and report["other"]["engine"] == "remote"
    assert live.paid == before + 1


def test_a_success_runs_no_fallback(live: Scene) -> None:
    before = live.counts()
    live.good(both("remote", "local", recipe={"seed": 715}))
    assert live.counts() == before


# Money


def test_a_run_is_one_prompt_with_all_its_nodes(live: Scene) -> None:
    before = live.paid
    prompt = remote_graph(recipe={"samples": 3, "seed": 800})
    prompt |= graph(
        other=("ImageMixerRecipe", prompt["recipe"]["inputs"] | {"seed": 830}),
        second=("ImageMixerRemote", prompt["remote"]["inputs"] | {"recipe": ["other", 0]}),
        keep=("PreviewImage", {"images": ["second", 0]}),
    )
    message = live.error(prompt)["exception_message"]
    assert "max_jobs_per_run" in message and "4" in message
    assert live.paid - before <= 4


def test_bad_input_is_refused_before_anything_is_sent(live: Scene) -> None:
    before = live.calls
    for changes, line in (
        ({"recipe": {"prompt": ""}}, "needs a prompt"),
        ({"mix": {"pad": "0, 0"}}, "no image has a weight above 0"),
        ({"remote": {"track_id": "abc"}}, "track"),
    ):
        assert line in live.error(remote_graph(**changes))["exception_message"]
    status, answer = live.post("/prompt", {"prompt": remote_graph(remote={"endpoint": "https://elsewhere.example"})})
    assert status == 400 and "endpoint" in json.dumps(answer["node_errors"])
    assert live.calls == before


# Last: what all of the above left on disk, in a new server with a new log and history


def test_a_new_server_sends_nothing_for_what_is_on_disk(live: Scene) -> None:
    prompt = remote_graph(recipe={"samples": 2, "seed": 980})
    first = [live.image(image) for image in live.good(prompt)["save"]["images"]]
    assert_nowhere(live, KEY, WRONG)
    live.server.restart()
    before = live.calls
    outputs = live.good(prompt)
    assert live.calls == before
    assert [pixels(live.image(image)) for image in outputs["save"]["images"]] == [pixels(data) for data in first]


def test_the_key_is_nowhere(live: Scene) -> None:
    assert_nowhere(live, KEY, WRONG)
    assert live.service.state.leaks == [] and live.service.state.violations == []
    assert live.service.state.paid_twice() == 0
