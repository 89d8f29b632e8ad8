"""Image Mixer (Remote) in a real ComfyUI, against the stand-in of the service."""

from __future__ import annotations

import io
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.comfyui.live import graph, local_graph, report_of
from image_mixer.tests.comfyui.remote_scene import KEY, WRONG, Scene, made, pixels, remote_graph, scene, until
from image_mixer.tests.service.state import Fault
from PIL import Image

WITHIN = 1.0
"""Seconds in which Interrupt must end a prompt."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("remote")) as made:
        yield made


@pytest.fixture
def live(running: Scene) -> Iterator[Scene]:
    """The scene with good manners, before and after."""
    manners = dict(vars(running.service.state.manners))
    yield running
    vars(running.service.state.manners).update(manners)
    running.service.state.faults.clear()


@pytest.mark.parametrize("endpoint", ["modelslab v6", "stable diffusion api v5"])
def test_images_come_bit_for_bit_and_in_order(live: Scene, endpoint: str) -> None:
    before = live.paid
    prompt = remote_graph(
        mix={"pad": "0.5, 0.7"}, recipe={"samples": 3, "seed": 500},
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
    assert "resized to the first's" in " ".join(report_of(outputs)["warnings"])


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
    ("service down", "hasty", (Fault("mix", status=503, body='{"status":"error","message":"later"}', times=999),), {}),
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


def both(first: str, second: str, **changes: dict[str, Any]) -> dict[str, Any]:
    prompt = remote_graph()
    local = {name: node for name, node in local_graph().items() if name in ("models", "local")}
    prompt |= local
    prompt[first]["inputs"]["fallback"] = [second, 0]
    report = {"remote": 1, "local": 2}[first]
    prompt["save"]["inputs"] |= {"images": [first, 0], "report": [first, report]}
    prompt["show"]["inputs"]["source"] = [first, report]
    prompt["recipe"]["inputs"] |= {"width": 256, "height": 256, "prompt": "rose", "steps": 1}
    for name, inputs in changes.items():
        prompt[name]["inputs"].update(inputs)
    return prompt


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


def test_an_unknown_outcome_never_falls_back(live: Scene) -> None:
    live.service.state.faults.append(Fault("mix", "reset"))
    before = live.counts()["sampled"]
    error = live.error(both("remote", "local", recipe={"seed": 720}))
    assert "take" in error["exception_message"] and live.counts()["sampled"] == before
    again = live.error(both("remote", "local", recipe={"seed": 720}))
    assert "take" in again["exception_message"]


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


# Interrupt


PHASES: dict[str, tuple[str, dict[str, Any], Fault | None]] = {
    "upload": ("upload", {"upload_seconds": 3.0}, None),
    "submit": ("mix", {}, Fault("mix", "delay", seconds=3.0)),
    "poll": ("mix", {"took": [4.0]}, None),
    "download": ("image", {}, Fault("image", "delay", seconds=3.0)),
}


@pytest.mark.parametrize("phase", PHASES)
def test_interrupt_ends_the_prompt_and_the_next_queue_collects(live: Scene, phase: str) -> None:
    call, manners, fault = PHASES[phase]
    state, number = live.service.state, list(PHASES).index(phase)
    vars(state.manners).update(manners)
    if fault is not None:
        state.faults.append(fault)
    Image.new("RGB", (96, 64), (number, 90, 20)).save(live.server.base / "input" / f"{phase}.png")
    prompt = remote_graph(a={"image": f"{phase}.png"}, recipe={"seed": 900 + number})
    before, count = live.paid, state.count(call)
    queued = live.queue(prompt)
    until(lambda: state.count(call) > count)
    time.sleep(0.3)
    asked = time.monotonic()
    live.post("/interrupt", {})
    messages = [kind for kind, _ in live.ended(queued)["status"]["messages"]]
    assert time.monotonic() - asked < WITHIN
    assert "execution_interrupted" in messages
    until(lambda: b"Interrupted. " in live.heard)
    vars(state.manners).update({"upload_seconds": 0.0, "took": [0.2]})
    outputs = live.good(prompt)
    assert live.paid == before + 1 and state.paid_twice() == 0
    assert pixels(live.image(outputs["save"]["images"][0])) == pixels(made(live, state.paid[-1]))


def beside_a_sampler(seed: int) -> dict[str, Any]:
    """Remote beside Local with 1000 steps. ComfyUI would run Local first: the ingredients between make it the later."""
    prompt = remote_graph(recipe={"seed": seed})
    prompt |= {name: node for name, node in local_graph().items() if name in ("models", "local")}
    prompt |= graph(
        one=("ImageMixerAddImage", {"mix": ["mix", 0], "image": ["a", 0], "weight": 0.5, "start": 0.0, "end": 1.0}),
        two=("ImageMixerAddImage", {"mix": ["one", 0], "image": ["b", 0], "weight": 0.5, "start": 0.0, "end": 1.0}),
        slow=("ImageMixerRecipe", prompt["recipe"]["inputs"] | {"mix": ["two", 0], "steps": 1000, "prompt": ""}),
        keep=("PreviewImage", {"images": ["local", 0]}),
    )
    prompt["local"]["inputs"]["recipe"] = ["slow", 0]
    return prompt


def test_jobs_go_on_beside_a_sampler(live: Scene) -> None:
    state = live.service.state
    sampled, count, paid = live.counts()["sampled"], state.count("image"), live.paid
    queued = live.queue(beside_a_sampler(950))
    until(lambda: live.counts()["sampled"] > sampled and state.count("image") > count)
    assert not live.get(f"/history/{queued}"), "the sampler was done before the service was"
    live.post("/interrupt", {})
    assert "execution_interrupted" in [kind for kind, _ in live.ended(queued)["status"]["messages"]]
    live.good(remote_graph(recipe={"seed": 950}))
    assert live.paid == paid + 1


def test_a_sampler_that_takes_the_interrupt_cancels_the_waiting_node(live: Scene) -> None:
    state = live.service.state
    state.manners.took = [60.0]
    sampled, paid = live.counts()["sampled"], live.paid
    queued = live.queue(beside_a_sampler(960))
    until(lambda: live.counts()["sampled"] > sampled and live.paid > paid)
    time.sleep(0.3)
    live.heard.clear()
    live.post("/interrupt", {})
    assert "execution_interrupted" in [kind for kind, _ in live.ended(queued)["status"]["messages"]]
    until(lambda: b"cannot be cancelled and will be paid for" in live.heard)
    state.jobs[state.paid[-1]].seconds = 0.1
    live.good(remote_graph(recipe={"seed": 960}))
    assert live.paid == paid + 1


# The key


def test_endpoints_are_listed_without_keys(live: Scene) -> None:
    listed = live.get("/image_mixer/endpoints")
    has = {entry["name"]: entry["has_key"] for entry in listed["endpoints"]}
    assert has["modelslab v6"] and has["stable diffusion api v5"] and not has["keyless"]
    assert listed["max_jobs_per_run"] == 4
    tooltip = live.get("/object_info/ImageMixerRemote")["ImageMixerRemote"]["input"]["required"]["endpoint"][1]
    assert "Without a key: keyless" in tooltip["tooltip"]


def test_a_key_is_stored_and_never_given(live: Scene) -> None:
    body = {"endpoint": "keyless", "key": "stored-canary-0f9e8d7c"}
    assert live.post("/image_mixer/key", body) == (200, {"set": True})
    file = live.private / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(live.private.stat().st_mode) == 0o700
    assert json.loads(file.read_text()) == {"IMAGE_MIXER_TEST_UNSET": "stored-canary-0f9e8d7c"}
    listed = live.get("/image_mixer/endpoints")
    assert {"name": "keyless", "has_key": True, "images_per_job": 1} in listed["endpoints"]
    assert "canary" not in json.dumps(listed)
    for path in ("/userdata/..%2F__image_mixer%2Fkeys.json", "/api/userdata/__image_mixer/keys.json"):
        assert live.send("GET", path)[0] >= 400
    assert live.send("DELETE", "/image_mixer/key", {"endpoint": "keyless"}) == (200, {"set": False})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"X-Forwarded-For": "192.0.2.1"}, 403),
        ({"Host": "rebound.example"}, 403),
    ],
)
def test_others_set_no_key(live: Scene, headers: dict[str, str], status: int) -> None:
    for method in ("POST", "DELETE"):
        found, answer = live.send(method, "/image_mixer/key", {"endpoint": "keyless", "key": "stored-canary"}, headers)
        assert found == status and (answer is None or "\n" not in answer["error"])


def test_no_route_sets_a_key_that_is_none(live: Scene) -> None:
    for body in ({"endpoint": "keyless"}, {"endpoint": "nowhere", "key": "12345678"}, [], {"key": "x" * 5000}):
        status, answer = live.post("/image_mixer/key", body)
        assert status in (400, 413) and set(answer) == {"error"}
    assert KEY not in (live.private / "keys.json").read_text() if (live.private / "keys.json").exists() else True


# Last: what all of the above left behind


def test_a_new_server_sends_nothing_for_what_is_on_disk(live: Scene) -> None:
    prompt = remote_graph(recipe={"samples": 2, "seed": 980})
    first = [live.image(image) for image in live.good(prompt)["save"]["images"]]
    log = live.server.log_text()
    history = json.dumps(live.get("/history"))
    assert KEY not in log + history and WRONG not in log + history
    live.server.restart()
    before = live.calls
    outputs = live.good(prompt)
    assert live.calls == before
    assert [pixels(live.image(image)) for image in outputs["save"]["images"]] == [pixels(data) for data in first]


def test_the_key_is_nowhere(live: Scene) -> None:
    said = live.server.log_text() + json.dumps(live.get("/history")) + json.dumps(live.get("/object_info"))
    said += live.heard.decode("utf-8", "replace") + json.dumps(live.get("/image_mixer/endpoints"))
    files = {path: path.read_bytes() for path in sorted(Path(live.server.base).rglob("*")) if path.is_file()}
    assert any(path.name == "journal.sqlite" for path in files) and any(path.suffix == ".png" for path in files)
    for key in (KEY, WRONG, "stored-canary"):
        assert key not in said
        assert [str(path) for path, data in files.items() if key.encode() in data] == []
    assert live.service.state.leaks == [] and live.service.state.violations == []
    assert live.service.state.paid_twice() == 0
