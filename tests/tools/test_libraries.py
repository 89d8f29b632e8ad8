"""A command that needs libraries runs again in a Python that has them, once, and downloads no more than it must."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tools.comfy_tool.commands import libraries
from image_mixer.tools.comfy_tool.errors import ToolError
from image_mixer.tools.comfy_tool.install.installs import Install
from image_mixer.tools.comfy_tool.install.sandbox import Builder
from image_mixer.tools.comfy_tool.paths import venv_python
from image_mixer.tools.comfy_tool.server.server import Server

FAKE = Path(__file__).parent / "fake_comfyui"
ENTRY = Path(__file__).resolve().parents[2] / "tools" / "comfy.py"
PLAIN = (sys.executable, "-I", "-S")
"""Python without any installed package."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGE_MIXER_CACHE", str(tmp_path_factory.mktemp("cache")))
        with Server(Install(FAKE, Path(sys.executable), sandboxed=False)) as running:
            yield running


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_MIXER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)


def plain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = folder / "flow.json"
    file.write_text(json.dumps({"4": {"class_type": "Save", "inputs": {"value": "hi"}}}), encoding="utf-8")
    return subprocess.run(
        [*PLAIN, str(ENTRY), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    return venv_python(tmp_path / "bare")


def test_a_plain_python_runs_a_workflow_by_another(tmp_path: Path, server: Server) -> None:
    done = plain(
        tmp_path, "run", "flow.json", "--server", server.url, "--python", sys.executable, "--comfyui", str(FAKE)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(Path("out", "evil.png")), "hi"]


def test_a_plain_python_starts_a_server_by_another(tmp_path: Path) -> None:
    done = plain(tmp_path, "run", "flow.json", "--python", sys.executable, "--comfyui", str(FAKE), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["texts"] == [{"node": "4", "text": "hi"}]
    assert done.stderr.splitlines()[0] == f"Starting {FAKE} ..."


def test_an_exit_code_comes_through(tmp_path: Path, server: Server) -> None:
    more = ("--python", sys.executable, "--comfyui", str(FAKE), "--set", "9.value=1")
    done = plain(tmp_path, "run", "flow.json", "--server", server.url, *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --set: no node has the id, title or class '9'")


def test_another_that_has_them_neither_is_one_line(tmp_path: Path, bare: Path) -> None:
    done = plain(tmp_path, "run", "flow.json", "--python", str(bare), "--comfyui", str(FAKE))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: {bare} does not have requests" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("run", "none.json"), "error: none.json cannot be read"),
        (("run", "flow.json", "--server", "ftp://h"), "error: --server 'ftp://h' is not a server's address"),
        (("demo", "--checkpoint", "none"), "error: none does not exist"),
        (("bench", "none"), "error: no benchmark 'none'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_set_up(tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    done = plain(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert not (tmp_path / "cache").exists()


class TestChoices:
    """In this Python, as if libraries were missing."""

    @pytest.fixture(autouse=True)
    def again(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Sequence[str]]]:
        again: list[tuple[Path, Sequence[str]]] = []
        monkeypatch.setattr(libraries, "run_again", lambda python, given, env: again.append((python, given)))
        return again

    def lacking(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        monkeypatch.setattr(libraries, "missing", lambda modules: [name for name in modules if name in names])

    def options(self, **given: Any) -> argparse.Namespace:
        return argparse.Namespace(
            **{"comfyui": None, "python": None, "version": None, "given": ["run", "x.json"], **given}
        )

    @pytest.mark.parametrize("lacks", ["requests", "aiohttp", "tqdm"])
    def test_with_a_comfyui_its_python_is_used_if_anything_is_missing(
        self, monkeypatch: pytest.MonkeyPatch, again: list[Any], lacks: str
    ) -> None:
        self.lacking(monkeypatch, lacks)
        libraries.install_for(self.options(comfyui=FAKE, python=Path("/some/python")))
        assert again == [(Path("/some/python"), ["run", "x.json"])]

    def test_nothing_missing(self, monkeypatch: pytest.MonkeyPatch, again: list[Any]) -> None:
        self.lacking(monkeypatch)
        libraries.install_for(self.options(comfyui=FAKE))
        libraries.for_running_server(self.options())
        assert again == []

    @pytest.mark.parametrize("lacks", ["aiohttp", "tqdm"])
    def test_a_running_server_can_do_without(
        self, monkeypatch: pytest.MonkeyPatch, again: list[Any], lacks: str
    ) -> None:
        self.lacking(monkeypatch, lacks)
        libraries.for_running_server(self.options())
        assert again == []

    def test_a_running_server_and_no_comfyui_here_need_a_small_environment(
        self, monkeypatch: pytest.MonkeyPatch, again: list[Any]
    ) -> None:
        self.lacking(monkeypatch, "requests")
        monkeypatch.setattr(libraries, "comfyui_around", lambda: None)
        monkeypatch.setattr(Builder, "client", lambda self: Path("small"))
        monkeypatch.setattr(Builder, "sandbox", None)
        libraries.for_running_server(self.options())
        assert again == [(Path("small"), ["run", "x.json"])]

    def test_a_running_server_and_the_comfyui_around_the_pack(
        self, monkeypatch: pytest.MonkeyPatch, again: list[Any]
    ) -> None:
        self.lacking(monkeypatch, "requests")
        monkeypatch.setattr(libraries, "comfyui_around", lambda: FAKE)
        monkeypatch.setattr(libraries, "find_install", lambda *_: Install(FAKE, Path("its"), False, True))
        libraries.for_running_server(self.options())
        assert again == [(Path("its"), ["run", "x.json"])]

    @pytest.mark.parametrize("around", [False, True])
    def test_the_comfyui_around_the_pack_is_told_of_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], around: bool
    ) -> None:
        install = Install(Path("Comfy"), Path("its"), sandboxed=False, around=around)
        monkeypatch.setattr(libraries, "find_install", lambda *_: install)
        assert libraries.install_for(self.options()) == install
        line = "Using the ComfyUI that this pack lies in, Comfy, and its Python, its"
        assert capsys.readouterr().err.splitlines() == [line] * around


def test_it_runs_again_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(libraries.AGAIN_VARIABLE, "1")
    libraries.run_again(Path("none"), [], {})
    monkeypatch.setattr(libraries, "missing", lambda modules: ["requests"])
    with pytest.raises(ToolError, match="does not have requests"):
        libraries.run_again(Path("none"), [], {})


def test_a_python_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(libraries.AGAIN_VARIABLE, raising=False)
    with pytest.raises(ToolError, match="could not be started"):
        libraries.run_again(Path("/nowhere/python"), [], {})
