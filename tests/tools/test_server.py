"""Start and end a ComfyUI. Here it is a stand-in of a few lines: see fake_comfyui/main.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.errors import ToolError, UsageError
from image_mixer.tools.comfy_tool.install.installs import Install, find_install
from image_mixer.tools.comfy_tool.install.linking import COPY_MARK, link_pack, unlink_pack
from image_mixer.tools.comfy_tool.server import server as server_module
from image_mixer.tools.comfy_tool.server.client import Client
from image_mixer.tools.comfy_tool.server.server import Server

FAKE = Path(__file__).parent / "fake_comfyui"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_MIXER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)


def fake(way: str = "", **more: object) -> Server:
    install = Install(FAKE, Path(sys.executable), sandboxed=False)
    return Server(install, env={"FAKE_COMFYUI": way}, **more)  # type: ignore[arg-type]


def arguments(server: Server) -> list[str]:
    match = re.search(r"^arguments: (.*)$", server.log_text(), re.MULTILINE)
    assert match
    return list(json.loads(match[1]))


def test_it_is_there_inside_the_block_and_gone_after_it() -> None:
    with fake() as server:
        assert server.client.get("/system_stats")["system"]["argv"][0] == str(FAKE / "main.py")
        base, pid = server.base, server.pid
        assert (base / "custom_nodes" / "image-mixer" / "__init__.py").exists()
        assert f"pack: {(ROOT / '__init__.py').is_file()} path: {FAKE}" in server.log_text()
    assert not base.exists()
    assert not alive(pid)
    assert (ROOT / "pyproject.toml").is_file()


def test_it_ends_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), fake() as server:
        pid = server.pid
        raise ZeroDivisionError
    assert not alive(pid)


def test_a_base_folder_of_ones_own_is_kept(tmp_path: Path) -> None:
    with fake(base=tmp_path / "base") as server:
        (server.base / "output" / "kept.png").touch()
    assert (tmp_path / "base" / "output" / "kept.png").exists()
    assert not os.path.lexists(tmp_path / "base" / "custom_nodes" / "image-mixer")


def test_two_at_once_have_ports_and_folders_of_their_own() -> None:
    with fake() as one, fake() as other:
        assert one.port != other.port
        assert one.base != other.base


def test_killed_and_started_again(tmp_path: Path) -> None:
    with fake(base=tmp_path / "base") as server:
        before, port = server.pid, server.port
        server.kill()
        assert not alive(before)
        server.restart()
        assert (server.pid != before, server.port) == (True, port)
        assert server.client.get("/object_info")


@pytest.mark.parametrize(
    ("way", "problem", "shown"),
    [
        ("dies", "ended with exit code 1 before it was ready", "torch is missing"),
        ("no import", "could not import this pack", "ValueError: a fault"),
        ("no nodes", "does not have this pack's node ImageMixerMix", ""),
    ],
)
def test_a_start_that_fails(way: str, problem: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = fake(way)
    with pytest.raises(ToolError, match=problem) as caught:
        server.start()
    assert str(server.log) in str(caught.value)
    assert shown in capsys.readouterr().err
    assert not server.base.exists()


@pytest.mark.parametrize("way", ["no import", "no nodes"])
def test_without_expectations(way: str) -> None:
    with fake(way, expect=None) as server:
        assert server.client.get("/object_info")


def test_another_packs_failure_is_not_ours() -> None:
    with fake("another fails") as server:
        assert server.poll() is None


def test_another_server_on_the_port_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "START_SECONDS", 5.0)
    with fake() as first, pytest.raises(ToolError, match="ended with exit code"):
        fake(port=first.port).start()


def test_a_port_lost_in_between_is_chosen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake() as first:
        ports = iter([first.port, server_module.free_port()])
        monkeypatch.setattr(server_module, "free_port", lambda listen: next(ports))
        with fake() as second:
            assert second.port != first.port


def test_what_comfyui_is_started_with(tmp_path: Path) -> None:
    own = tmp_path / "own: it's"
    (own / "models" / "loras").mkdir(parents=True)
    for name in ("main.py", "folder_paths.py"):
        (own / name).write_text((FAKE / name).read_text(encoding="utf-8"), encoding="utf-8")
    with Server(find_install(own, sys.executable), extra_args=["--cpu", "--fast"]) as server:
        given = arguments(server)
        assert given[:4] == ["--listen", "127.0.0.1", "--port", str(server.port)]
        assert given[4:6] == ["--base-directory", str(server.base)]
        assert given.count("--cpu") == 1
        assert given[-1] == "--fast"
        config = Path(given[given.index("--extra-model-paths-config") + 1]).read_text(encoding="utf-8")
    assert config.splitlines()[1:] == [f"  base_path: {json.dumps(str(own / 'models'))}", '  "loras": "loras"']
    assert sorted(path.name for path in own.iterdir()) == ["folder_paths.py", "main.py", "models"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
def test_it_does_not_outlive_a_killed_parent() -> None:
    code = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT / "tools")!r})
        from comfy_tool.install.installs import find_install
        from comfy_tool.server.server import Server
        server = Server(find_install({str(FAKE)!r}, sys.executable)).start()
        print(server.pid, server.base, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid, _, base = parent.stdout.readline().strip().partition(" ")
    assert alive(int(pid))
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 5
    while alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(pid))
    unlink_pack(Path(base))
    shutil.rmtree(base)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
def test_neither_does_the_stand_in() -> None:
    code = f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(ROOT / "tools")!r})
        from comfy_tool.server.standin import stand_in
        with stand_in(Path(sys.executable)) as address:
            print(address, flush=True)
            time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    address = ("127.0.0.1", int(parent.stdout.readline().strip().rpartition(":")[2]))
    socket.create_connection(address, 5).close()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 5
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(address, 5).close()
            time.sleep(0.05)


def alive(pid: int) -> bool:
    """Return whether a process runs. A zombie does not."""
    status = Path(f"/proc/{pid}/status")
    if status.parent.parent.joinpath("self").exists():
        return status.exists() and "State:\tZ" not in status.read_text()
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


class TestTheLink:
    def test_made_and_removed_twice(self, tmp_path: Path) -> None:
        pack = tmp_path / "pack"
        (pack / "web").mkdir(parents=True)
        for _ in range(2):
            assert (link_pack(tmp_path / "base", pack) / "web").is_dir()
        unlink_pack(tmp_path / "base")
        unlink_pack(tmp_path / "base")
        assert (pack / "web").is_dir()
        assert list((tmp_path / "base" / "custom_nodes").iterdir()) == []

    def test_a_copy_where_no_link_can_be_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError("no links here")

        monkeypatch.setattr(Path, "symlink_to", refuse)
        pack = tmp_path / "pack"
        (pack / ".git").mkdir(parents=True)
        (pack / "one.py").touch()
        link = link_pack(tmp_path / "base", pack)
        assert sorted(path.name for path in link.iterdir()) == [COPY_MARK, "one.py"]
        (pack / "two.py").touch()
        assert (link_pack(tmp_path / "base", pack) / "two.py").exists()
        unlink_pack(tmp_path / "base")
        assert not link.exists()

    def test_somebody_elses_folder_is_left_alone(self, tmp_path: Path) -> None:
        there = tmp_path / "custom_nodes" / "image-mixer"
        there.mkdir(parents=True)
        (there / "theirs.py").touch()
        with pytest.raises(ToolError, match="is in the way"):
            link_pack(tmp_path)
        unlink_pack(tmp_path)
        assert (there / "theirs.py").exists()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("https://h/comfy/", "https://h/comfy"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_addresses(given: str, url: str) -> None:
    assert Client(given).url == url


@pytest.mark.parametrize("given", ["ftp://h", "http://", ""])
def test_no_addresses(given: str) -> None:
    with pytest.raises(UsageError, match="not a server's address"):
        Client(given)
