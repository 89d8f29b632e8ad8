"""A copy of the pack in a ComfyUI's custom_nodes: `demo` uses that ComfyUI, downloads nothing and leaves no trace in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.install.sandbox import Builder, site_packages
from image_mixer.tools.comfy_tool.paths import ROOT, venv_python

ABSENT = (".git", "__pycache__", ".*_cache", ".hypothesis", "node_modules", "out", "demo")


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """A ComfyUI with an environment of its own, a model, a setting, another pack, and this pack."""
    folder = tmp_path / "ComfyUI"
    shutil.copytree(os.environ["COMFYUI_PATH"], folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    Builder()._see_through(folder / "venv", Path(sys.prefix))
    assert site_packages(Path(sys.prefix)).is_dir()
    for path, text in (
        ("models/checkpoints/mine.safetensors", "a model"),
        ("user/default/comfy.settings.json", "{}"),
        ("custom_nodes/other/__init__.py", "raise RuntimeError('another pack was loaded')"),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    shutil.copytree(ROOT, folder / "custom_nodes" / "cloned", ignore=shutil.ignore_patterns(*ABSENT))
    return folder


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size and the time of change of every file and folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return found


def test_the_demo(
    comfyui: Path, tmp_path: Path, record_property: Callable[[str, object], None], capfd: pytest.CaptureFixture[str]
) -> None:
    before, started, first = listing(comfyui), time.monotonic(), 0.0
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        dropped = {"COMFYUI_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "NO_PROXY", "no_proxy"}
        env = {
            name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("PYTHON")
        }
        env |= {"IMAGE_MIXER_CACHE": str(tmp_path / "cache"), "HTTP_PROXY": address, "HTTPS_PROXY": address}
        env |= {"http_proxy": address, "https_proxy": address, "PIP_NO_CACHE_DIR": "1"}
        entry = comfyui / "custom_nodes" / "cloned" / "tools" / "comfy.py"
        # -I and -S leave out every installed package: the command must find ComfyUI's Python by itself.
        command = [sys.executable, "-I", "-S", str(entry), "demo", "--out", str(tmp_path / "out")]
        with subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout and process.stderr
            lines = []
            for line in process.stdout:
                first = first or time.monotonic() - started
                lines.append(Path(line.strip()))
            said = process.stderr.read()
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody asked the proxy
            proxy.accept()
    assert process.returncode == 0, said
    assert len(lines) == 10 and all(path.stat().st_size > 0 for path in lines)
    assert (
        said.splitlines()[0]
        == f"Using the ComfyUI that this pack lies in, {comfyui}, and its Python, {venv_python(comfyui / 'venv')}"
    )
    changed = {path for path, facts in listing(comfyui).items() ^ before.items()}
    downloaded = sum(
        path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".log"
    )
    folders = {path.name for path in (tmp_path / "cache").iterdir()}
    record_property("seconds to the first picture", round(first, 1))
    record_property("bytes downloaded", downloaded)
    record_property("files changed in that ComfyUI", len(changed))
    with capfd.disabled():
        print(f"\nfirst picture after {first:.1f} s, {len(changed)} files changed, {downloaded} bytes downloaded")
    assert changed == set()
    assert folders == {"logs"} and downloaded == 0


def test_its_models_are_there_and_its_other_packs_are_not_loaded(comfyui: Path, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from comfy_tool.install.installs import find_install
        from comfy_tool.server.server import Server
        with Server(find_install()) as server:
            options = server.client.get("/object_info/CheckpointLoaderSimple")["CheckpointLoaderSimple"]
            print(options["input"]["required"]["ckpt_name"])
            print("another pack was loaded" in server.log_text())
    """
    env = {name: value for name, value in os.environ.items() if name not in ("COMFYUI_PATH", "PYTHONPATH")}
    env |= {"IMAGE_MIXER_CACHE": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    tools = comfyui / "custom_nodes" / "cloned" / "tools"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tools)], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mine.safetensors" in done.stdout and "False" in done.stdout.splitlines()[-1]
