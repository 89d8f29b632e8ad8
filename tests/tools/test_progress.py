"""What a person sees of a run: a line or a bar per node, whatever happens to the connection for messages."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from image_mixer.tools.comfy_tool.commands import progress
from image_mixer.tools.comfy_tool.main import main
from image_mixer.tools.comfy_tool.server import execute, news

PROMPT = {
    "1": {"class_type": "Load", "inputs": {}},
    "2": {"class_type": "Sample", "inputs": {}, "_meta": {"title": "The sampler"}},
    "3": {"class_type": "Save", "inputs": {}},
}
INFO = {name: {"input": {}, "output": [], "output_node": True} for name in ("Load", "Sample", "Save")}


def begins(node: str | None, prompt_id: str = "p") -> str:
    return json.dumps({"type": "executing", "data": {"node": node, "prompt_id": prompt_id}})


def steps(node: str, value: int, prompt_id: str = "p") -> str:
    return json.dumps({"type": "progress", "data": {"node": node, "value": value, "max": 4, "prompt_id": prompt_id}})


class Comfy:
    """A ComfyUI that sends `script` once a prompt is queued: messages, None to break the connection, and then the end."""

    def __init__(self, script: list[str | bytes | None], ends: bool = True) -> None:
        self.script = script
        self.ends = ends
        self.done = False
        self.told: list[str] = []
        self.sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()

    def routes(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", self.ws)
        for path in ("/object_info", "/history/p", "/queue"):
            app.router.add_get(path, self.answer)
        app.router.add_post("/prompt", self.prompt)
        for path in ("/queue", "/interrupt"):
            app.router.add_post(path, self.tell)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        history = {"p": {"outputs": {}}} if self.done else {}
        answers: dict[str, Any] = {"/object_info": INFO, "/history/p": history}
        return web.json_response(answers.get(request.path, {"queue_running": [[0, "p"]]}))

    async def tell(self, request: web.Request) -> web.Response:
        self.told.append(request.path)
        return web.Response()

    async def ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.sockets.put(socket)
        async for _ in socket:
            pass
        return socket

    async def prompt(self, request: web.Request) -> web.Response:
        self.playing = asyncio.create_task(self.play())
        return web.json_response({"prompt_id": "p", "node_errors": {}})

    async def play(self) -> None:
        if not self.script:
            self.done = self.ends
            return
        socket = await self.sockets.get()
        for line in self.script:
            if line is None:
                await socket.close()
                socket = await self.sockets.get()
            elif isinstance(line, bytes):
                await socket.send_bytes(line)
            else:
                self.done = self.ends and line == begins(None)
                await socket.send_str(line)
        self.done = self.ends


@contextmanager
def serving(comfy: Comfy) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(comfy.routes(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(news, "RETRY_SECONDS", 0.05)


def run(folder: Path, comfy: Comfy) -> int:
    file = folder / "flow.json"
    file.write_text(json.dumps(PROMPT), encoding="utf-8")
    with serving(comfy) as url:
        return main(["run", str(file), "--server", url, "--out", str(folder / "out")])


FORGED = steps("3", 1).encode()
ALL = ["  Load", "  The sampler", "  Save"]


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ([begins("1"), begins("2"), steps("2", 1), steps("2", 4), begins("3"), begins(None)], ALL),
        ([begins("1"), begins("1"), begins("2"), FORGED, b"\0\0\0\1\0\0\0\1PNG", begins("3"), begins(None)], ALL),
        ([begins("1"), b"", begins("2"), FORGED, begins(None)], ALL[:2]),
        (
            [begins("3", "another"), steps("3", 1, "another"), begins(None, "another"), begins("1"), begins(None)],
            ALL[:1],
        ),
        ([begins("1"), "no JSON", "[]", '{"type": "status", "data": {}}', begins("2"), begins(None)], ALL[:2]),
        ([begins("1"), None, begins("2"), None, None, begins("3"), begins(None)], ALL),
    ],
    ids=[
        "each node",
        "previews between",
        "a preview that looks like news",
        "another prompt",
        "other news",
        "broken off",
    ],
)
def test_a_line_per_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], script: list[str | bytes | None], lines: list[str]
) -> None:
    assert run(tmp_path, Comfy(script)) == 0
    assert capsys.readouterr().err.splitlines() == [*lines, "The run succeeded and made no files."]


def test_an_end_that_no_message_tells_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(execute, "LOOK_SECONDS", 0.2)
    assert run(tmp_path, Comfy([begins("1")])) == 0
    assert capsys.readouterr().err.splitlines()[0] == "  Load"


def test_without_aiohttp_the_server_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(news.importlib.util, "find_spec", lambda name: None if name == "aiohttp" else object())
    assert run(tmp_path, Comfy([])) == 0
    assert capsys.readouterr().err.splitlines() == ["The run succeeded and made no files."]


def test_an_interrupt_while_messages_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: progress.Bar, node_id: str, value: float, most: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.Bar, "step", interrupt)
    comfy = Comfy([begins("2"), steps("2", 1)], ends=False)
    assert run(tmp_path, comfy) == 130
    assert comfy.told == ["/queue", "/interrupt"]
    assert capsys.readouterr().err.splitlines() == ["  The sampler", "interrupted"]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class TestOnATerminal:
    def test_a_bar_per_node(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", shown := Terminal())
        bar = progress.Bar(PROMPT)
        bar.node("1")
        bar.node("2")
        for value in range(5):
            bar.step("2", value, 4)
        bar.step("3", 9, 0)
        bar.finish()
        lines = [line.split("\r")[-1].rstrip() for line in shown.getvalue().split("\n")]
        assert [line.split(" [")[0] for line in lines] == [*ALL, ""]
        assert lines[1].endswith(" 4/4") and "0/4" in shown.getvalue() and "/" not in lines[2]

    def test_without_tqdm_a_line_per_node(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", shown := Terminal())
        monkeypatch.setitem(sys.modules, "tqdm", None)
        bar = progress.Bar(PROMPT)
        bar.node("1")
        bar.step("2", 1, 4)
        bar.step("2", 2, 4)
        bar.finish()
        assert shown.getvalue().splitlines() == ALL[:2]
