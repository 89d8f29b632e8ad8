"""A stranger's workflow, opened and queued: it reaches no host, spends no more than the caps, writes nowhere else.

The server's proxies lead to the listener too, so that it also sees requests for other hosts.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from image_mixer.tests.standin.listener import Listener
from image_mixer.tests.support.live import graph, local_graph
from image_mixer.tests.support.remote_scene import KEY, Scene, remote_graph, scene
from safetensors.torch import save_file

PER_RUN, PER_DAY = 4, 40
OURS = ("output", "temp", "user/__image_mixer")
"""Where ComfyUI and the pack may write, in the base directory."""


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "outside").mkdir()
    save_file({"secret": torch.ones(4)}, folder / "outside" / "secret.safetensors")
    with scene(folder / "base", per_day=PER_DAY, env=proxies(listener)) as live:
        live.good(remote_graph(recipe={"seed": 1}))
        yield live


def proxies(listener: Listener) -> dict[str, str]:
    """The environment in which every host's proxy is the listener."""
    names = [f"{kind}_proxy" for kind in ("http", "https", "all")]
    both = [name for small in names for name in (small, small.upper())]
    return {"no_proxy": "", "NO_PROXY": "", **dict.fromkeys(both, listener.base)}


def files(base: Path) -> dict[str, str]:
    """Every file in and beside the base directory that a graph may not touch, with its hash."""
    found = {}
    for path in sorted(base.parent.rglob("*")):
        name = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
        if path.is_file() and not path.is_symlink() and path.suffix != ".log" and not name.startswith(OURS):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    profiles = base / "user" / "__image_mixer" / "endpoints.toml"
    return found | {"profiles": profiles.read_text(encoding="utf-8")}


@pytest.fixture
def live(running: Scene, listener: Listener) -> Iterator[Scene]:
    """The scene; afterwards, assert that no host was contacted, no cap was exceeded, and no other file was written."""
    before, paid = files(running.server.base), running.paid
    yield running
    assert listener.heard == 0
    assert running.paid - paid <= PER_RUN and running.paid <= PER_DAY
    assert files(running.server.base) == before
    private = {path.name for path in running.private.iterdir()}
    assert private <= {"endpoints.toml", "owners", "results", *(f"journal.sqlite{end}" for end in ("", "-wal", "-shm"))}
    assert running.server.poll() is None and running.service.state.leaks == []


def queued(live: Scene, prompt: dict[str, Any]) -> str:
    """Return the server's answer to a prompt: why it refused it, the error that ended it, or "made"."""
    status, answer = live.post("/prompt", {"prompt": prompt, "extra_data": {"api_key": "x", "auth_token": "y"}})
    if status != 200:
        assert status == 400, (status, answer)
        return json.dumps(answer)
    entry = live.ended(answer["prompt_id"])
    errors = [body["exception_message"] for kind, body in entry["status"]["messages"] if kind == "execution_error"]
    return str(errors[0]) if errors else "made"


def test_the_listener_hears_who_asks_for_another_host() -> None:
    other = Listener()
    ask = "import requests; requests.get('https://elsewhere.example', timeout=9)"
    asked = subprocess.run([sys.executable, "-c", ask], env=os.environ | proxies(other), capture_output=True)
    other.close()
    assert asked.returncode and other.heard


# Hosts


ENDPOINTS: list[Any] = [
    "{evil}",
    "{evil}/api/v6",
    "http://modelslab v6@127.0.0.1:{port}",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "",
    "modelslab v6\n{evil}",
    "modelslab v6/../{evil}",
    "../../etc/passwd",
    "MODELSLAB V6",
    "modelslab v6 ",
    "\x00",
    None,
    7,
    True,
    {"base_url": "{evil}/api/v6"},
    ["{evil}"],
    ["{evil}", 0, 0],
]


def filled(value: Any, listener: Listener) -> Any:
    """`value` with the listener's address in it."""
    text = json.dumps(value).replace("{evil}", listener.base).replace("{port}", str(listener.port))
    return json.loads(text)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=repr)
def test_an_endpoint_is_a_name_of_the_owners_alone(live: Scene, listener: Listener, endpoint: Any) -> None:
    given, calls = filled(endpoint, listener), live.calls
    typed = queued(live, remote_graph(recipe={"seed": 2}, remote={"endpoint": given}))
    assert "endpoint" in typed and typed != "made"
    linked = remote_graph(recipe={"seed": 2}, remote={"endpoint": ["any", 0]})
    linked |= graph(any=("ProbeAnything", {"json": json.dumps(given)}))
    assert "There is no endpoint" in queued(live, linked)
    assert live.calls == calls


def test_an_endpoint_that_is_left_out_or_of_no_node_is_refused(live: Scene) -> None:
    calls = live.calls
    absent = remote_graph(recipe={"seed": 2})
    del absent["remote"]["inputs"]["endpoint"]
    assert "endpoint" in queued(live, absent)
    assert queued(live, remote_graph(recipe={"seed": 2}, remote={"endpoint": ["nowhere", 0]})) != "made"
    assert live.calls == calls


URLS: list[tuple[str, bool]] = [
    ("{evil}/a.png", True),
    ("http://localhost:{port}/a.png", True),
    ("http://[::ffff:127.0.0.1]:{port}/a.png", True),
    ("http://2130706433:{port}/a.png", True),
    ("https://elsewhere.example/a.png", True),
    ("{evil}/a.png,{evil}/b.png", True),
    ("http://user:word@127.0.0.1:{port}/a.png", False),
    ("http://127.0.0.1:{port}\\@elsewhere.example/a.png", False),
    ("//127.0.0.1:{port}/a.png", False),
    ("{evil}/a.png\r\nHost: elsewhere.example", False),
    ("file:///etc/passwd", False),
    ("data:image/png;base64,iVBORw0KGgo=", False),
    ("gopher://127.0.0.1:{port}/", False),
    ("", False),
]


def with_url(url: str, **changes: dict[str, Any]) -> dict[str, Any]:
    """Remote on two pictures and a URL."""
    prompt = remote_graph(**changes)
    link = {"mix": ["mix", 0], "url": url, "weight": 0.5, "start": 0.0, "end": 1.0}
    prompt |= graph(url=("ImageMixerAddURL", link))
    prompt["recipe"]["inputs"]["mix"] = ["url", 0]
    return prompt


@pytest.mark.parametrize(("endpoint", "seed"), [("modelslab v6", 30), ("stable diffusion api v5", 40)])
@pytest.mark.parametrize(("url", "sent"), URLS, ids=[url for url, _ in URLS])
def test_a_url_is_passed_on_as_text_and_never_fetched(
    live: Scene, listener: Listener, url: str, sent: bool, endpoint: str, seed: int
) -> None:
    given, calls, paid = filled(url, listener), live.calls, live.paid
    said = queued(live, with_url(given, recipe={"seed": seed}, remote={"endpoint": endpoint}))
    if not sent:
        assert ("not a plain http or https URL" in said or "is empty" in said) and live.calls == calls
        return
    assert said == "made" and live.paid == paid + 1
    images = live.service.state.jobs[live.service.state.paid[-1]].fields["init_image"]
    passed = images if isinstance(images, list) else [part.replace("%2C", ",") for part in images.split(",")]
    assert len(passed) == 3 and passed[2] == given


def test_the_local_engine_refuses_a_url(live: Scene, listener: Listener) -> None:
    prompt = local_graph()
    prompt |= graph(url=("ImageMixerAddURL", {"url": listener.base, "weight": 1.0, "start": 0.0, "end": 1.0}))
    prompt["recipe"]["inputs"]["mix"] = ["url", 0]
    assert "does not fetch image URLs" in queued(live, prompt)


def test_what_only_a_profile_says_is_not_taken_from_a_node(live: Scene, listener: Listener) -> None:
    fields = ("webhook", "base_url", "fetch_result", "uploader", "download_hosts", "proxies", "key", "credential")
    prompt = remote_graph(recipe={"seed": 50}, remote=dict.fromkeys(fields, listener.base))
    prompt["recipe"]["inputs"] |= dict.fromkeys(fields, listener.base)
    before = live.paid
    queued(live, prompt)
    assert live.paid <= before + 1
    assert all(
        listener.base not in json.dumps(job.fields) for job in live.service.state.jobs.values() if job.seed == 50
    )


def test_texts_are_texts(live: Scene, listener: Listener) -> None:
    texts = {"prompt": f"{listener.base}/p.png", "negative_prompt": f"<img src={listener.base}>", "seed": 60}
    before = live.paid
    assert queued(live, remote_graph(recipe=texts)) == "made"
    assert live.paid == before + 1
    assert live.service.state.jobs[live.service.state.paid[-1]].fields["prompt"] == texts["prompt"]


TRACKS = ["{evil}", '1","webhook":"{evil}', "1\n2", "../../1", "-1", "1e3", "\u0661\u0662", "1" * 100_000, "\x00"]


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: repr(track[:20]))
def test_a_track_id_is_a_text_and_nothing_else(live: Scene, listener: Listener, track: str) -> None:
    given, calls = filled(track, listener), live.calls
    if not (given.isascii() and given.isdigit()):
        assert "accepts only digits as track_id" in queued(live, remote_graph(remote={"track_id": given}))
        assert live.calls == calls
    before = live.paid
    wanted = {"endpoint": "stable diffusion api v5", "track_id": given}
    said = queued(live, remote_graph(recipe={"seed": 70 + TRACKS.index(track)}, remote=wanted))
    if len(given) > 255:
        assert "at most 255 characters as track_id, not 100000" in said and live.paid == before
        return
    assert live.paid == before + 1
    for number in live.service.state.paid[before:]:
        fields = live.service.state.jobs[number].fields
        assert fields["track_id"] == given.strip() and not fields.get("webhook")


# Files


PREFIXES = [
    "../evil",
    "../../outside/evil",
    "{outside}/evil",
    "a/../../evil",
    "./../evil",
    "..",
    "../user/__image_mixer/x",
    "..\\..\\evil",
    "mix/%batch_num%/../../../evil",
    "%year%/../../evil",
    "a\x00b",
    "/",
    "C:\\evil",
    "e" * 300,
]


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda prefix: repr(prefix[:30]))
def test_saving_stays_in_the_output_folder(live: Scene, prefix: str) -> None:
    given = prefix.replace("{outside}", str(live.server.base.parent / "outside"))
    said = queued(live, remote_graph(recipe={"seed": 1}, save={"filename_prefix": given}))
    assert said == "made" or "filename_prefix" in said
    linked = remote_graph(recipe={"seed": 1}, save={"filename_prefix": ["any", 0]})
    queued(live, linked | graph(any=("ProbeAnything", {"json": json.dumps(given)})))
    embeds = {name: node for name, node in local_graph().items() if name in ("a", "b", "mix", "models")}
    embeds |= graph(
        encode=("ImageMixerEncode", {"mix": ["mix", 0], "clip_vision": ["models", 3], "preparation": "centre crop"}),
        keep=("ImageMixerSaveEmbeds", {"embeddings": ["encode", 0], "filename_prefix": given}),
    )
    kept = queued(live, embeds)
    assert kept == "made" or "filename_prefix" in kept


LOADS = [
    "../../outside/secret.safetensors [output]",
    "../../../outside/secret.safetensors [input]",
    "{outside}/secret.safetensors [output]",
    "{outside}/secret.safetensors",
    "secret.safetensors [outside]",
    "../../outside/secret.safetensors [user]",
    " [output]",
    "\x00 [output]",
]


@pytest.mark.parametrize("name", LOADS, ids=repr)
def test_embeddings_are_read_from_their_folders_alone(live: Scene, name: str) -> None:
    given = name.replace("{outside}", str(live.server.base.parent / "outside"))
    prompt = graph(
        load=("ImageMixerLoadEmbeds", {"file": given}),
        keep=(
            "ImageMixerSaveEmbeds",
            {"embeddings": ["load", 0], "filename_prefix": "stolen"},
        ),
    )
    assert "Value not in list" in queued(live, prompt)
    prompt["load"]["inputs"]["file"] = ["any", 0]
    prompt |= graph(any=("ProbeAnything", {"json": json.dumps(given)}))
    said = queued(live, prompt)
    assert said != "made" and "not an embeddings file" not in said, "it was read"


def test_models_are_read_from_their_folders_alone(live: Scene) -> None:
    outside = live.server.base.parent / "outside" / "secret.safetensors"
    for name in (str(outside), f"../../../{outside.parent.name}/{outside.name}"):
        prompt = graph(
            any=("ProbeAnything", {"json": json.dumps(name)}),
            load=("ImageMixerLoadCheckpoint", {"file": ["any", 0]}),
            show=("PreviewAny", {"source": ["load", 0]}),
        )
        assert "not found" in queued(live, prompt)


def test_a_report_is_only_text(live: Scene, listener: Listener) -> None:
    report = json.dumps({"images": [{"file": "/etc/passwd", "url": listener.base}], "captions": ["../../x"] * 9})
    prompt = {name: node for name, node in remote_graph().items() if name in ("a", "save")}
    prompt["save"]["inputs"] |= {"images": ["a", 0], "report": ["any", 0]}
    prompt |= graph(
        any=("ProbeAnything", {"json": json.dumps(report)}),
        sheet=("ImageMixerSheet", {"images": ["a", 0], "report": ["any", 0]}),
        keep=("PreviewImage", {"images": ["sheet", 0]}),
    )
    queued(live, prompt)


# Money


def test_more_than_a_run_may_spend_is_refused_before_an_upload(live: Scene) -> None:
    calls = live.calls
    many = remote_graph(recipe={"samples": 64, "seed": 90})
    assert "max_jobs_per_run" in queued(live, many)
    rows = remote_graph(recipe={"samples": 64, "seed": 90}, mix={"weights": ["rows", 0]})
    sweep = {"ingredients": 2, "pattern": "random", "variants": 256, "seed": 0}
    rows |= graph(rows=("ImageMixerSweepWeights", sweep))
    assert "max_jobs_per_run" in queued(live, rows)
    for changes in ({"samples": 10**9}, {"samples": -1}, {"width": 10**9, "height": 10**9}, {"steps": 10**9}):
        assert queued(live, remote_graph(recipe=changes)) != "made"
    assert live.calls == calls


def test_a_crowd_of_nodes_spends_what_one_run_may(live: Scene) -> None:
    crowd = remote_graph(recipe={"seed": 100})
    for number in range(12):
        crowd |= graph(
            **{
                f"remote{number}": ("ImageMixerRemote", crowd["remote"]["inputs"] | {"take": number + 1}),
                f"keep{number}": ("PreviewImage", {"images": [f"remote{number}", 0]}),
            }
        )
    assert "max_jobs_per_run" in queued(live, crowd)


def test_a_list_of_seeds_spends_what_one_run_may(live: Scene) -> None:
    listed = remote_graph(recipe={"seed": ["seeds", 0]})
    listed |= graph(seeds=("ImageMixerSeedSequence", {"seed": 200, "count": 50, "mode": "count up"}))
    assert "max_jobs_per_run" in queued(live, listed)


def test_a_fallback_that_is_no_other_branch_pays_for_nothing(live: Scene, listener: Listener) -> None:
    calls = live.calls
    for fallback in (listener.base, ["remote", 0], ["save", 0], ["nowhere", 0], ["a", 99], {}, [], ["a", -1]):
        queued(live, remote_graph(recipe={"seed": 110}, remote={"endpoint": "keyless", "fallback": fallback}))
    assert live.calls == calls


@pytest.mark.parametrize("samples", [PER_RUN, 1])
def test_queued_again_and_again_it_spends_what_a_day_may(running: Scene, listener: Listener, samples: int) -> None:
    for take in range(PER_DAY + 1):
        said = queued(running, remote_graph(recipe={"seed": 300, "samples": samples}, remote={"take": take}))
        if said != "made":
            break
    assert "max_jobs_per_day" in said and KEY not in said
    assert PER_DAY - samples < running.paid <= PER_DAY
    assert listener.heard == 0
