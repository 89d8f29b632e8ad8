"""Fallback across engines in a real ComfyUI: both orders for each cause, chains of three, lists, inside subgraphs.

Elsewhere: test_server.py has local -> local (its models, its latent, bad input and interrupts, which never fall back);
test_remote_node.py has the remote causes with a plain picture as the fallback, and unknown outcomes, which never fall back.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from image_mixer.tests.standin.state import Fault
from image_mixer.tests.support.live import graph, local_graph, report_of
from image_mixer.tests.support.remote_scene import KEY, WRONG, Scene, remote_graph, scene
from image_mixer.tests.support.saved import as_workflow
from image_mixer.tools.comfy_tool.workflow.convert import convert
from PIL import Image

REPORT = {"ImageMixerRemote": 1, "ImageMixerLocal": 2}
GOOD = "modelslab v6"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("hybrid")) as made:
        yield made


@pytest.fixture
def live(running: Scene) -> Iterator[Scene]:
    """The scene as it was set up, before and after."""
    profiles = running.private / "endpoints.toml"
    text, credits = profiles.read_text(encoding="utf-8"), dict(running.service.state.credits)
    yield running
    profiles.write_text(text, encoding="utf-8")
    running.service.state.faults.clear()
    running.service.state.credits = credits


Prompt = dict[str, Any]


def remote(**inputs: Any) -> Prompt:
    """The remote engine; `inputs` change its own."""
    node = json.loads(json.dumps(remote_graph()["remote"]))
    node["inputs"] |= inputs
    return dict(node)


def local(models: str = "models", full: bool = False, **inputs: Any) -> Prompt:
    """The local engine on the models of a node, which run out of memory if `full`; None removes an input."""
    node = json.loads(json.dumps(local_graph()["local"]))
    for name, link in node["inputs"].items():
        if isinstance(link, list) and link[0] == "models":
            node["inputs"][name] = [models, link[1]]
    node["inputs"] |= {"model": [f"full {models}", 0]} if full else {}
    node["inputs"] |= inputs
    node["inputs"] = {name: value for name, value in node["inputs"].items() if value is not None}
    return dict(node)


def chain(*engines: Prompt, seed: int, samples: int = 1) -> Prompt:
    """A graph whose engines, `one`, `two` and so on, are each the fallback of the one before; `one` is saved."""
    prompt = {name: node for name, node in local_graph().items() if name in ("a", "b", "mix", "recipe")}
    prompt["recipe"]["inputs"] |= {
        "prompt": "rose",
        "width": 256,
        "height": 256,
        "steps": 1,
        "seed": seed,
        "samples": samples,
    }
    prompt |= graph(
        models=("ProbeMicroModels", {"seed": 0, "tagged": True}),
        untagged=("ProbeMicroModels", {"seed": 0, "tagged": False}),
        missing=("ProbeMicroModels", {"seed": -1, "tagged": True}),
        save=("ImageMixerSave", {"images": ["one", 0], "filename_prefix": "test/hybrid"}),
        show=("PreviewAny", {"source": ["one", REPORT[engines[0]["class_type"]]]}),
    )
    prompt["full models"] = {"class_type": "ProbeOutOfMemory", "inputs": {"model": ["models", 0]}}
    names = ("one", "two", "three")[: len(engines)]
    prompt |= dict(zip(names, engines, strict=True))
    for name, after in itertools.pairwise(names):
        prompt[name]["inputs"]["fallback"] = [after, 0]
    prompt["save"]["inputs"]["report"] = prompt["show"]["inputs"]["source"]
    return prompt


def hand_overs(live: Scene) -> int:
    """Return how often an engine handed over so far, by the server's log."""
    return live.server.log_text().count("hands over to its fallback")


def profiles(live: Scene, old: str, new: str) -> None:
    file = live.private / "endpoints.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def always(phase: str, status: int, message: str) -> Fault:
    return Fault(phase, status=status, body=json.dumps({"status": "error", "message": message}), times=10**6)


@dataclass(frozen=True)
class Cause:
    """One reason why the remote engine cannot deliver. `spoil` causes it, `mend` removes it."""

    cause: str
    endpoint: str = "hasty"
    samples: int = 1
    spoil: Callable[[Scene], object] = field(default=lambda live: None)
    mend: Callable[[Scene], object] = field(default=lambda live: live.service.state.faults.clear())


def credit(key: str, amount: int) -> Callable[[Scene], None]:
    return lambda live: live.service.state.credits.__setitem__(key, amount)


def fault(made: Fault) -> Callable[[Scene], None]:
    return lambda live: live.service.state.faults.append(made)


REMOTE_CAUSES = {
    "no key": Cause(
        "no key",
        "keyless",
        mend=lambda live: live.post("/image_mixer/key", {"endpoint": "keyless", "key": KEY}),
    ),
    "cap of a run": Cause(
        "cap reached",
        samples=5,
        mend=lambda live: profiles(live, "max_jobs_per_run = 4", "max_jobs_per_run = 8"),
    ),
    "cap of a day": Cause(
        "cap reached",
        spoil=lambda live: profiles(live, "max_jobs_per_day = 1000", "max_jobs_per_day = 0"),
        mend=lambda live: profiles(live, "max_jobs_per_day = 0", "max_jobs_per_day = 1000"),
    ),
    "offline": Cause(
        "offline",
        "offline",
        mend=lambda live: profiles(live, "https://nowhere.invalid", live.service.base),
    ),
    "wrong key (401)": Cause("refused", "wrong", mend=credit(WRONG, 1000)),
    "no credit (402)": Cause("refused", spoil=credit(KEY, 0), mend=credit(KEY, 1000)),
    "barred (403)": Cause("refused", spoil=fault(always("mix", 403, "not allowed"))),
    "queue full": Cause("queue full", spoil=fault(always("mix", 429, "full"))),
    "service down": Cause("service down", spoil=fault(always("mix", 404, "nothing here"))),
    "job not taken": Cause("job failed", spoil=fault(always("mix", 400, "odd"))),
}


@pytest.mark.parametrize("name", REMOTE_CAUSES)
def test_local_makes_what_remote_cannot(live: Scene, name: str) -> None:
    case, seed = REMOTE_CAUSES[name], 3000 + 20 * list(REMOTE_CAUSES).index(name)
    prompt = chain(remote(endpoint=case.endpoint), local(), seed=seed, samples=case.samples)
    paid, sampled = live.paid, live.counts()["sampled"]
    case.spoil(live)
    outputs = live.good(prompt)
    report = report_of(outputs)
    assert report["engine"] == "remote" and report["handed_over"].startswith(f"{case.cause}: ")
    assert report["other"]["engine"] == "local" and report["other"]["handed_over"] is None
    assert [image["seed"] for image in report["images"]] == [seed + j for j in range(case.samples)]
    assert len(outputs["save"]["images"]) == case.samples
    assert live.paid == paid and live.counts()["sampled"] > sampled

    sampled, tries = live.counts()["sampled"], hand_overs(live)
    live.good(prompt)
    assert hand_overs(live) == tries + 1, "the next queue did not try the service again"
    assert live.counts()["sampled"] == sampled, "what the fallback had made was made again"

    case.mend(live)
    report = report_of(live.good(prompt))
    assert report["engine"] == "remote" and report["handed_over"] is None and report["other"] is None
    assert live.paid == paid + case.samples
    live.good(prompt)
    assert live.paid == paid + case.samples and live.service.state.paid_twice() == 0
    assert hand_overs(live) == tries + 1 and live.counts()["sampled"] == sampled
    live.send("DELETE", "/image_mixer/key", {"endpoint": "keyless"})


def test_a_job_that_was_taken_and_failed_is_handed_over_and_not_paid_again(live: Scene) -> None:
    prompt = chain(remote(), local(), seed=3300)
    paid = live.paid
    fault(Fault("fetch", body='{"status":"failed","message":"odd"}', times=10**6))(live)
    fault(Fault("image", status=404, times=10**6))(live)
    assert report_of(live.good(prompt))["handed_over"].startswith("job failed: ")
    report = report_of(live.good(prompt))
    assert report["handed_over"].startswith("job failed: ") and "pay_again" in report["handed_over"]
    assert live.paid == paid + 1
    live.service.state.faults.clear()
    assert report_of(live.good(prompt))["handed_over"] is None, "asking once more is free"
    assert live.paid == paid + 1


LOCAL_CAUSES: dict[str, Prompt] = {
    "out of memory": local(full=True),
    "wrong model": local("untagged"),
    "no tower": local(clip_vision=None),
}


@pytest.mark.parametrize("cause", LOCAL_CAUSES)
def test_remote_makes_what_local_cannot(live: Scene, cause: str) -> None:
    seed = 3400 + 10 * list(LOCAL_CAUSES).index(cause)
    paid, tries = live.paid, hand_overs(live)
    prompt = chain(LOCAL_CAUSES[cause], remote(), seed=seed)
    outputs = live.good(prompt)
    report = report_of(outputs)
    assert report["engine"] == "local" and report["handed_over"].startswith(f"{cause}: ")
    assert report["other"]["engine"] == "remote" and report["other"]["details"]["endpoint"] == GOOD
    assert report["images"] == report["other"]["images"] and report["images"][0]["seed"] == seed
    assert len(outputs["save"]["images"]) == 1 and live.paid == paid + 1

    live.good(prompt)
    assert hand_overs(live) == tries + 2, "the next queue did not try the model again"
    assert live.paid == paid + 1, "a success was paid for again"

    prompt["one"] = local(fallback=["two", 0])
    report = report_of(live.good(prompt))
    assert report["engine"] == "local" and report["handed_over"] is None and live.paid == paid + 1


def test_a_remote_success_loads_no_checkpoint(live: Scene) -> None:
    before, paid = live.counts(), live.paid
    report = report_of(live.good(chain(remote(), local("missing"), local("missing"), seed=3500)))
    assert report["handed_over"] is None and live.paid == paid + 1
    assert live.counts() == before, "the unused branch's loader ran"


def test_a_local_success_asks_no_service_and_loads_no_other_checkpoint(live: Scene) -> None:
    live.good(chain(local(), seed=3509))
    before, calls = live.counts(), live.calls
    report = report_of(live.good(chain(local(), remote(), local("missing"), seed=3510)))
    assert report["handed_over"] is None and live.calls == calls
    after = live.counts()
    assert after["sampled"] == before["sampled"] + 1 and after["loaded"] == before["loaded"]


# Chains of three


def test_remote_then_local_then_remote(live: Scene) -> None:
    paid = live.paid
    report = report_of(live.good(chain(remote(endpoint="keyless"), local(full=True), remote(), seed=3600)))
    assert told(report) == [("remote", "no key"), ("local", "out of memory"), ("remote", None)]
    assert report["images"][0]["seed"] == 3600 and live.paid == paid + 1


def test_local_then_remote_then_local(live: Scene) -> None:
    paid = live.paid
    report = report_of(live.good(chain(local("untagged"), remote(endpoint="offline"), local(), seed=3610)))
    assert told(report) == [("local", "wrong model"), ("remote", "offline"), ("local", None)]
    assert report["images"][0]["seed"] == 3610 and live.paid == paid


def test_the_second_of_three_delivers_and_the_third_is_not_loaded(live: Scene) -> None:
    live.good(chain(local(), seed=3619))
    loaded = live.counts()["loaded"]
    report = report_of(live.good(chain(remote(endpoint="keyless"), local(), local("missing"), seed=3620)))
    assert told(report) == [("remote", "no key"), ("local", None)]
    assert live.counts()["loaded"] == loaded


def test_where_all_three_fail_the_last_one_says_so(live: Scene) -> None:
    error = live.error(chain(remote(endpoint="keyless"), local(full=True), remote(endpoint="wrong"), seed=3630))
    assert error["node_id"] == "three" and "refuses" in error["exception_message"]
    assert "\n" not in error["exception_message"].strip()


def test_a_circle_of_fallbacks_ends_with_a_message(live: Scene) -> None:
    prompt = chain(remote(endpoint="keyless"), local(full=True), seed=3640)
    prompt["two"]["inputs"]["fallback"] = ["one", 0]
    status, answer = live.post("/prompt", {"prompt": prompt})
    if status == 200:
        entry = live.ended(answer["prompt_id"], 60)
        assert entry["status"]["status_str"] == "error" and "ycle" in json.dumps(entry["status"]["messages"])
    assert live.good(chain(local(), seed=3641))


def told(report: dict[str, Any]) -> list[tuple[str, str | None]]:
    """The engines in the order in which they were asked, and why each handed over."""
    reason = report["handed_over"]
    own = (report["engine"], reason and reason.partition(":")[0])
    return [own, *(told(report["other"]) if report["other"] else [])]


# Lists: each item falls back by itself


def over_seeds(prompt: Prompt, first: int) -> Prompt:
    prompt["sequence"] = {
        "class_type": "ImageMixerSeedSequence",
        "inputs": {"seed": first, "count": 2, "mode": "count up"},
    }
    prompt["recipe"]["inputs"]["seed"] = ["sequence", 0]
    return prompt


@pytest.mark.parametrize("order", ["remote, local", "local, remote"])
def test_every_item_of_a_list_gets_its_own_images(live: Scene, order: str) -> None:
    engines = [remote(endpoint="keyless"), local()] if order == "remote, local" else [local(full=True), remote()]
    seed = 3700 + 10 * (order == "local, remote")
    outputs = live.good(over_seeds(chain(*engines, seed=0), seed))
    reports = [json.loads(text) for text in outputs["show"]["text"]]
    assert [report["images"][0]["seed"] for report in reports] == [seed, seed + 1]
    assert all(report["handed_over"] for report in reports)
    assert len(outputs["save"]["images"]) == 2
    last = engines[-1]["class_type"]
    alone = [live.good(chain(remote() if last == "ImageMixerRemote" else local(), seed=seed + j)) for j in range(2)]
    saved = [pixels(live, image) for image in outputs["save"]["images"]]
    assert saved == [pixels(live, one["save"]["images"][0]) for one in alone]


def test_only_the_items_that_failed_are_handed_over(live: Scene) -> None:
    kept = live.good(chain(remote(), seed=3720))
    paid = live.paid
    outputs = live.good(over_seeds(chain(remote(endpoint="keyless"), local(), seed=0), 3720))
    first, second = (json.loads(text) for text in outputs["show"]["text"])
    assert told(first) == [("remote", None)] and told(second) == [("remote", "no key"), ("local", None)]
    saved = [pixels(live, image) for image in outputs["save"]["images"]]
    alone = live.good(chain(local(), seed=3721))
    assert saved == [pixels(live, one["save"]["images"][0]) for one in (kept, alone)]
    assert live.paid == paid


def pixels(live: Scene, saved: dict[str, Any]) -> bytes:
    with Image.open(io.BytesIO(live.image(saved))) as image:
        return image.convert("RGB").tobytes()


# Inside subgraphs


def test_with_the_ids_of_nodes_in_subgraphs(live: Scene) -> None:
    prompt = chain(local("untagged"), remote(endpoint="keyless"), local(), seed=3800)
    names = {name: f"5:{3 + at}:{at}" for at, name in enumerate(prompt) if name not in ("save", "show")}
    outputs = live.good(renamed(prompt, names))
    assert told(report_of(outputs)) == [("local", "wrong model"), ("remote", "no key"), ("local", None)]
    assert len(outputs["save"]["images"]) == 1


def renamed(prompt: Prompt, names: dict[str, str]) -> Prompt:
    """The same graph with other ids."""
    changed: Prompt = {}
    for name, node in prompt.items():
        inputs = {
            key: [names.get(value[0], value[0]), value[1]] if isinstance(value, list) else value
            for key, value in node["inputs"].items()
        }
        changed[names.get(name, name)] = {**node, "inputs": inputs}
    return changed


INSIDE: dict[str, set[str]] = {
    "both engines": {"one", "two", "full models", "models"},
    "the first engine": {"one"},
    "the fallback": {"two", "models"},
}


@pytest.mark.parametrize("inside", INSIDE)
def test_a_saved_workflow_with_a_subgraph(live: Scene, inside: str) -> None:
    number = list(INSIDE).index(inside)
    prompt = chain(remote(endpoint="keyless"), local(), seed=3850 + number)
    for unused in ("untagged", "missing", "full models"):
        del prompt[unused]
    workflow, ids = as_workflow(prompt, live.get("/object_info"), INSIDE[inside])
    converted = convert(workflow, live.get("/object_info"))
    assert {":" in ids[name] for name in INSIDE[inside] & set(ids)} == {True}
    outputs = live.good(converted)
    assert told(report_of(outputs, ids["show"])) == [("remote", "no key"), ("local", None)]
    assert report_of(outputs, ids["show"])["images"][0]["seed"] == 3850 + number
