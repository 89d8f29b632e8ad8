"""Workflows by anyone, damaged at random: a message or a run; never a hang, a foreign host, or a file elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.support.hostile import Hostile, paths
from image_mixer.tests.support.live import graph, local_graph
from image_mixer.tests.support.remote_scene import Scene, remote_graph, scene
from image_mixer.tests.support.saved import as_workflow
from image_mixer.tools.comfy_tool.errors import ToolError
from image_mixer.tools.comfy_tool.paths import ROOT
from image_mixer.tools.comfy_tool.workflow.convert import convert

OWN = "ImageMixer"
OWN_ERRORS = re.compile(
    r"(InputError|WeightsError|ImageError|EngineError|UnknownOutcome|ResultGone|StoreError|RunInterrupted)(:|$)"
)
LONGEST_LINE = 1000
OWN_FILES = re.compile(r"[/\\]custom_nodes[/\\]image-mixer[/\\]")
"""Not the name alone: the throw-away ComfyUI lies in a cache folder of that name."""

ENDS_WITHIN = 60.0
CONVERTS_WITHIN = 10.0
MEMORY = 16 * 2**30
"""Bytes of address space that the server may take: what asks for more fails the test and not the machine."""

WRITTEN = ("output", "temp", "user", "input")
"""Folders of the base directory that a run may write to."""


class Range(Scene):
    """The scene, with a listener that nobody may call and a folder beside it that nobody may touch."""

    def __init__(self, made: Scene, outside: Path, listener: socket.socket) -> None:
        vars(self).update(vars(made))
        self.outside = outside
        self.host = f"127.0.0.1:{listener.getsockname()[1]}"
        self.callers: list[Any] = []
        self.files = self.elsewhere()
        self._read = len(self.server.log_text())
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = listener.accept()
                self.callers.append(caller)
                connection.close()

    def elsewhere(self) -> dict[str, tuple[int, int]]:
        """Return size and time of every file around the server that no run may touch."""
        written = tuple(str(self.server.base / name) + os.sep for name in WRITTEN)
        found = {}
        for folder, _, names in os.walk(self.outside.parent):
            for path in (Path(folder) / name for name in names):
                if not str(path).startswith(written):
                    status = path.lstat()
                    found[str(path)] = (status.st_size, status.st_mtime_ns)
        return found

    def judge(self, prompt: Any) -> str:
        """Queue a prompt, check the outcome and return it: "refused", "failed" or "ran"."""
        status, answer = self.post("/prompt", {"prompt": prompt})
        if status == 200:
            entry = self.ended(answer["prompt_id"], ENDS_WITHIN)
            verdict = "ran" if entry["status"]["status_str"] == "success" else "failed"
            for kind, body in entry["status"]["messages"]:
                if kind == "execution_error":
                    self._check_error(body)
        else:
            verdict = "refused"
            assert 400 <= status <= 500 and (status == 500 or answer["error"]), (status, answer)
        self._check_log()
        return verdict

    def _check_error(self, body: dict[str, Any]) -> None:
        frames = body["traceback"]
        called = str(body["node_type"]).startswith(OWN) and frames and "in EXECUTE_NORMALIZED" in frames[-1]
        if called or any(OWN_FILES.search(frame) for frame in frames):
            told = (body["node_type"], body["exception_type"], body["exception_message"][:500], body["traceback"][-2:])
            assert OWN_ERRORS.search(body["exception_type"]), told
            line = body["exception_message"].strip()
            assert line and "\n" not in line and len(line) <= LONGEST_LINE, told

    def _check_log(self) -> None:
        """Assert that every traceback in the log that goes through the pack ends in one of the pack's errors."""
        text = self.server.log_text()
        news, self._read = text[self._read :], len(text)
        for block in news.split("Traceback (most recent call last):")[1:]:
            lines = block.splitlines()
            last = next((line for line in lines[1:] if line and not line.startswith((" ", "\t"))), "")
            if OWN_FILES.search(block.split(last)[0]):
                assert OWN_ERRORS.search(last.partition(" ")[0]), block[-3000:]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    folder = tmp_path_factory.mktemp("fuzz")
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret.safetensors").write_bytes(b"canary")
    with socket.create_server(("127.0.0.1", 0)) as listener, scene(folder / "base", took=0.05) as made:
        text = (made.private / "endpoints.toml").read_text(encoding="utf-8")
        (made.private / "endpoints.toml").write_text(
            text.replace("per_day = 1000", "per_day = 100000"), encoding="utf-8"
        )
        made.service.state.credits = dict.fromkeys(made.service.state.credits, 10**9)
        _limit_memory(made.server.pid)
        yield Range(made, outside, listener)


@pytest.fixture
def live(running: Range) -> Iterator[Range]:
    """Afterwards the server is alive and well, nobody was called, and nothing elsewhere has changed."""
    yield running
    assert running.server.poll() is None, "the server ended"
    running.good(local_graph(recipe={"seed": random.randrange(10**6)}))
    assert running.callers == []
    assert running.elsewhere() == running.files
    assert running.service.state.violations == [] and running.service.state.leaks == []


def _limit_memory(pid: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    if hasattr(resource, "prlimit"):
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))


def prompts() -> list[dict[str, Any]]:
    """The graphs that are damaged: between them every node of the pack but the checkpoint's loader and the model in
    the box, each small."""
    every = local_graph(recipe={"mix": ["url", 0], "prompt": "a rose", "samples": 2}, mix={"weights": ["sweep", 0]})
    every |= graph(
        mask=("SolidMask", {"value": 1.0, "width": 64, "height": 64}),
        sweep=("ImageMixerSweepWeights", {"ingredients": 2, "pattern": "ramp", "variants": 2, "seed": 0}),
        extra=(
            "ImageMixerAddImage",
            {"mix": ["mix", 0], "image": ["a", 0], "weight": 0.5, "region": ["mask", 0], "start": 0.0, "end": 0.8},
        ),
        text=("ImageMixerAddText", {"mix": ["extra", 0], "text": "a cat", "weight": 0.3, "start": 0.0, "end": 1.0}),
        url=(
            "ImageMixerAddURL",
            {"mix": ["text", 0], "url": "https://a.example/b.png", "weight": 0.0, "start": 0.0, "end": 1.0},
        ),
        seed=("ImageMixerSeed", {"seed": 41}),
        sequence=("ImageMixerSeedSequence", {"seed": ["seed", 0], "count": 2, "mode": "count up"}),
        sheet=("ImageMixerSheet", {"images": ["local", 0], "report": ["local", 2], "captions": "", "columns": 0}),
        keep=("ImageMixerSave", {"images": ["sheet", 0], "filename_prefix": "test/sheet"}),
    )
    every["recipe"]["inputs"]["seed"] = ["sequence", 0]
    apply = {name: node for name, node in local_graph().items() if name in ("a", "b", "mix", "models")}
    apply |= graph(
        weights=("ImageMixerWeights", {"text": "1, 0.5", "normalisation": "max to 1"}),
        blend=("ImageMixerBlendWeights", {"from": ["weights", 1], "to": "0 1", "variants": 2, "easing": "linear"}),
        encode=("ImageMixerEncode", {"mix": ["mix", 0], "clip_vision": ["models", 3], "preparation": "centre crop"}),
        apply=(
            "ImageMixerApply",
            {
                "model": ["models", 0],
                "embeddings": ["encode", 0],
                "weights": ["weights", 0],
                "method": "image mixer",
                "strength": 1.0,
            },
        ),
        empty=("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        sampler=(
            "KSampler",
            {
                "model": ["apply", 0],
                "positive": ["apply", 1],
                "negative": ["apply", 2],
                "latent_image": ["empty", 0],
                "seed": 1,
                "steps": 1,
                "cfg": 3.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        ),
        decode=("VAEDecode", {"samples": ["sampler", 0], "vae": ["models", 2]}),
        save=("ImageMixerSave", {"images": ["decode", 0], "filename_prefix": "test/apply"}),
        keep=("ImageMixerSaveEmbeds", {"embeddings": ["encode", 0], "filename_prefix": "kept"}),
        load=("ImageMixerLoadEmbeds", {"file": "../../outside/secret.safetensors [output]"}),
        hand=("ImageMixerHandOver", {"image": ["decode", 0], "engine": "local", "reason": "no key: none", "item": 0}),
        show=("PreviewAny", {"source": ["hand", 2]}),
    )
    hybrid = remote_graph(recipe={"steps": 1})
    hybrid |= {name: node for name, node in local_graph().items() if name in ("models", "local")}
    hybrid["remote"]["inputs"] |= {"fallback": ["local", 0], "endpoint": "keyless"}
    return [local_graph(), remote_graph(), hybrid, every, apply]


def fuzz_prompts(live: Range, cases: int, seed: int) -> dict[str, int]:
    """How many damaged prompts were refused, failed and ran."""
    made, goods = Hostile(random.Random(seed), live.host, str(live.outside)), prompts()
    verdicts = {"refused": 0, "failed": 0, "ran": 0}
    for case in range(cases):
        prompt = made.prompt(goods[case % len(goods)], OWN)
        try:
            verdicts[live.judge(prompt)] += 1
        except Exception as error:
            raise AssertionError(f"case {case} of seed {seed}: {error}: {json.dumps(prompt)[:3000]}") from error
    return verdicts


def fuzz_files(live: Range, cases: int, seed: int) -> dict[str, int]:
    """How many damaged files were refused by the conversion, and by the server; failed; and ran."""
    made, info = Hostile(random.Random(seed), live.host, str(live.outside)), live.get("/object_info")
    goods = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "workflows").glob("*.json"))]
    templates = len(goods)
    goods += [
        as_workflow(prompt, info, inside)[0] for prompt in prompts() for inside in ((), ("mix", "recipe", "local"))
    ]
    verdicts = {"unreadable": 0, "refused": 0, "failed": 0, "ran": 0}
    for case in range(cases):
        at = case % len(goods)
        file, begun = made.tree(goods[at]), time.monotonic()
        try:
            prompt = convert(file, info, random.Random(case))
            json.dumps(prompt)
        except ToolError as error:
            assert str(error) and "\n" not in str(error)
            verdicts["unreadable"] += 1
            prompt = {}
        except Exception as error:
            raise AssertionError(f"case {case} of seed {seed}: {type(error).__name__}: {error}") from error
        assert time.monotonic() - begun < CONVERTS_WITHIN, f"case {case} of seed {seed}"
        if prompt and at >= templates:  # templates are made for real models, and for sizes of real pictures
            verdicts[live.judge(prompt)] += 1
    return verdicts


def test_the_graphs_run_undamaged(live: Range) -> None:
    for prompt in prompts():
        prompt.pop("load", None)
        assert live.judge(prompt) == "ran"


def test_a_file_outside_is_not_offered_and_not_read(live: Range) -> None:
    prompt = prompts()[-1]
    prompt["apply"]["inputs"]["embeddings"] = ["load", 0]
    del prompt["keep"]
    for file in paths(str(live.outside)):
        prompt["load"]["inputs"]["file"] = file
        assert live.judge(prompt) == "refused", file


def test_a_method_that_is_none_is_refused(live: Range) -> None:
    for at, node in ((0, "local"), (4, "apply")):
        for method in ("no such method", -0.0, {}, ["seed", 0], None):
            prompt = prompts()[at]
            prompt["seed"] = {"class_type": "ImageMixerSeed", "inputs": {"seed": 1}}
            prompt[node]["inputs"]["method"] = method
            if method is None:
                del prompt[node]["inputs"]["method"]
            for other in ("keep", "hand", "show"):
                prompt.pop(other, None)
            assert live.judge(prompt) == "refused", (node, method)


def test_a_value_where_only_a_link_can_be_is_left_out(live: Range) -> None:
    prompt = prompts()[3]
    prompt["extra"]["inputs"]["region"] = prompt["local"]["inputs"]["adapter"] = "../mask.png"
    assert live.judge(prompt) == "ran"
    prompt["mix"]["inputs"]["images.image0"] = {"__value__": [1, 2]}
    assert live.judge(prompt) == "refused"


def test_some_damaged_prompts(live: Range) -> None:
    verdicts = fuzz_prompts(live, 60, seed=1)
    assert verdicts["refused"] and verdicts["failed"] and verdicts["ran"]


def test_some_damaged_files(live: Range) -> None:
    verdicts = fuzz_files(live, 400, seed=2)
    assert verdicts["unreadable"] and verdicts["refused"]


@pytest.mark.soak
def test_many_damaged_prompts(live: Range) -> None:
    verdicts = fuzz_prompts(live, 600, seed=3)
    assert min(verdicts.values()) > 20, verdicts


@pytest.mark.soak
def test_many_damaged_files(live: Range) -> None:
    verdicts = fuzz_files(live, 2000, seed=4)
    assert verdicts["unreadable"] > 20 and verdicts["refused"] > 20, verdicts


# What is linked to a widget's input is checked by no widget


LINKED: list[tuple[str, str, Any]] = [
    (node, name, value)
    for node, names in {
        "recipe": ("width", "height", "steps", "samples", "seed"),
        "sequence": ("seed", "count"),
        "sweep": ("ingredients", "variants", "seed"),
        "sheet": ("columns",),
    }.items()
    for name in names
    for value in (2**53 - 1, 2**62, -1, -(2**62))
] + [
    (node, name, value)
    for node, names in {
        "recipe": ("guidance_scale",),
        "extra": ("weight", "start", "end"),
        "text": ("weight",),
        "local": ("strength", "denoise"),
    }.items()
    for name in names
    for value in (9e18, -9e18, 1e-300)
]


def test_numbers_from_links_are_refused_or_run(live: Range) -> None:
    for node, name, value in LINKED:
        prompt = prompts()[3]
        prompt["number"] = {
            "class_type": "PrimitiveInt" if isinstance(value, int) else "PrimitiveFloat",
            "inputs": {"value": value},
        }
        prompt[node]["inputs"][name] = ["number", 0]
        begun = time.monotonic()
        try:
            live.judge(prompt)
        except AssertionError as error:
            raise AssertionError(f"{node}.{name} = {value}: {error}") from error
        assert time.monotonic() - begun < ENDS_WITHIN / 2, f"{node}.{name} = {value}"
