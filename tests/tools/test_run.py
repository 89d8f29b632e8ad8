"""`run` on a stand-in for ComfyUI: what is printed, what is saved, exit codes, one line for every failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tools.comfy_tool.install.installs import Install
from image_mixer.tools.comfy_tool.main import main
from image_mixer.tools.comfy_tool.server import execute
from image_mixer.tools.comfy_tool.server.server import Server

FAKE = Path(__file__).parent / "fake_comfyui"
COMMAND = [sys.executable, str(Path(__file__).resolve().parents[2] / "tools" / "comfy.py"), "run"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_MIXER_CACHE", str(tmp_path_factory.mktemp("cache")))
        with Server(Install(FAKE, Path(sys.executable), sandboxed=False)) as running:
            yield running


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "WAIT_SECONDS", 0.02)


def api(kind: str = "Save", value: Any = "hi") -> dict[str, Any]:
    return {"4": {"class_type": kind, "inputs": {"value": value}, "_meta": {"title": "The end"}}}


UI = {
    "nodes": [{"id": 4, "type": "Save", "mode": 0, "inputs": [], "outputs": [], "widgets_values": ["hello"]}],
    "links": [],
}


def written(folder: Path, workflow: Any) -> str:
    file = folder / "flow.json"
    file.write_text(workflow if isinstance(workflow, str) else json.dumps(workflow), encoding="utf-8")
    return str(file)


def run(folder: Path, server: Server, workflow: Any, *more: str) -> int:
    return main(["run", written(folder, workflow), "--server", server.url, "--out", str(folder / "out"), *more])


@pytest.mark.parametrize(("workflow", "text"), [(api(), "hi"), (UI, "hello"), ({"prompt": api()}, "hi")])
def test_files_and_texts(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str], workflow: Any, text: str
) -> None:
    assert run(tmp_path, server, workflow) == 0
    saved = tmp_path / "out" / "evil.png"
    assert saved.read_bytes() == b"bytes of ../../evil.png"
    assert capsys.readouterr().out.splitlines() == [str(saved), text]


def test_json(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, server, api(), "--json", "--set", "4.value=set") == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("seconds") >= 0
    assert told.pop("prompt_id").startswith("prompt-")
    assert told == {
        "images": [str(tmp_path / "out" / "evil.png")],
        "texts": [{"node": "4", "text": "set"}],
        "error": None,
    }


def test_the_saved_workflow_goes_into_the_images(tmp_path: Path, server: Server) -> None:
    run(tmp_path, server, UI)
    path, body = server.client.get("/told")["told"][-1]
    assert (path, body["extra_data"]) == ("/prompt", {"extra_pnginfo": {"workflow": UI}})
    run(tmp_path, server, api())
    assert server.client.get("/told")["told"][-1][1]["extra_data"] == {}


def test_a_local_picture_is_uploaded(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mine.png").write_bytes(b"\x89PNG\r\n--x")
    workflow = {**api(), "1": {"class_type": "LoadImage", "inputs": {"image": "there.png"}}}
    assert run(tmp_path, server, workflow, "--set", f"1.image={tmp_path / 'mine.png'}") == 0
    told = server.client.get("/told")
    assert told["told"][-1][1]["prompt"]["1"]["inputs"]["image"] == "image-mixer/mine.png"
    boundary, _, rest = told["uploads"][-1].partition("\r\n")
    parts = rest.split(boundary)
    assert parts[2].split("\r\n\r\n", 1)[1] == "\x89PNG\r\n--x\r\n"
    assert 'name="image"; filename="mine.png"' in parts[2]
    assert "image-mixer" in parts[0]


@pytest.mark.parametrize(
    ("workflow", "more", "code", "line"),
    [
        (api("Boom"), (), 1, "error: node 4 (The end): it broke in two lines"),
        (api("Bad"), (), 1, "error: node 4 (The end), input value: Value not in list: value: 'x'"),
        (api("Vanish"), (), 1, "error: the prompt is no longer in the server's queue"),
        (
            UI | {"nodes": [{**UI["nodes"][0], "type": "Gone"}]},
            (),
            2,
            "error: node 4: the server has no node class Gone",
        ),
        (api(), ("--set", "5.value=1"), 2, "error: --set: no node has the id, title or class '5'"),
        ("{", (), 2, "is not JSON"),
        ("[]", (), 2, "is not a ComfyUI workflow"),
        ({"4": {"inputs": {}}}, (), 2, "is not a ComfyUI workflow"),
        (api("Gone"), ("--dry-run",), 2, "error: node 4 (The end): the server has no node class Gone"),
    ],
)
def test_failures(
    tmp_path: Path,
    server: Server,
    capsys: pytest.CaptureFixture[str],
    workflow: Any,
    more: tuple[str, ...],
    code: int,
    line: str,
) -> None:
    assert run(tmp_path, server, workflow, *more) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    (said,) = printed.err.splitlines()
    assert said.startswith("error: ")
    assert line in said
    assert not (tmp_path / "out").exists()


def test_failures_as_json(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, server, api("Boom"), "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "node 4 (The end): it broke in two lines"
    assert told["images"] == []


def test_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", written(tmp_path, api()), "--server", "127.0.0.1:9"]) == 1
    assert "error: the server at http://127.0.0.1:9 does not answer" in capsys.readouterr().err


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "nowhere.json"]) == 2
    assert "error: nowhere.json cannot be read: No such file" in capsys.readouterr().err


def test_dry_run_queues_nothing(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    before = server.client.get("/told")["told"]
    assert run(tmp_path, server, api(), "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "At most: images: 0, paid jobs: 0"
    assert run(tmp_path, server, api(), "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"images": 0, "paid_jobs": 0, "nodes": [], "error": None}
    assert server.client.get("/told")["told"] == before


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_prompt(tmp_path: Path, server: Server, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, written(tmp_path, api("Slow")), "--server", server.url],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUTF8": "1"},
        # A shell lets background processes ignore Ctrl-C, and their children inherit that.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 10
    running: list[Any] = []
    before = len(server.client.get("/queue")["queue_running"])
    while time.monotonic() < deadline and len(running) <= before:
        running = server.client.get("/queue")["queue_running"]
        time.sleep(0.02)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "interrupted\n")
    prompt_id = running[-1][1]
    told = server.client.get("/told")["told"][-2:]
    assert told == [["/queue", {"delete": [prompt_id]}], ["/interrupt", {"prompt_id": prompt_id}]]
