"""The registry's package, packed and checked by the registry's own programs, in a real ComfyUI."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_mixer.nodes import NODES
from image_mixer.tests.support.live import Live, prepared
from image_mixer.tests.support.registry import copy_of_the_repository, git, packed_files
from image_mixer.tests.support.remote_scene import remote_graph
from image_mixer.tools.comfy_tool.install.sandbox import Builder

LARGEST = 16e6
"""Bytes. Most of them are the demo model."""


@pytest.fixture(scope="module")
def checkers() -> Path:
    """A Python with comfy-cli, comfy-import-guard and comfy-test."""
    return Builder().registry()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, checkers: Path, repository: Path) -> Path:
    """The unpacked zip that `comfy node pack` makes, where a ComfyUI would have it."""
    check(checkers, repository, "comfy_cli", "--skip-prompt", "node", "pack")
    folder = tmp_path_factory.mktemp("comfyui") / "custom_nodes" / "image-mixer"
    with zipfile.ZipFile(repository / "node.zip") as file:
        assert sum(one.compress_size for one in file.infolist()) < LARGEST
        file.extractall(folder)
    return folder


def check(python: Path, folder: Path, *command: str) -> str:
    """Run a checker's module. Return its output, and fail if it does."""
    done = run(python, folder, *command)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def run(python: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    drop = ("PYTHONPATH", "COMFYUI_PATH")
    env = {name: value for name, value in os.environ.items() if name not in drop}
    env |= {"HOME": str(home), "USERPROFILE": str(home), "DO_NOT_TRACK": "1", "PYTHONUTF8": "1"}
    return subprocess.run(
        [str(python), "-m", *command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
    )


def test_the_zip_holds_what_comfyignore_lets_in(package: Path) -> None:
    found = sorted(path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file())
    assert found == packed_files()


def test_the_registrys_own_checks_pass(checkers: Path, repository: Path, package: Path) -> None:
    check(checkers, repository, "comfy_cli", "--skip-prompt", "node", "validate")
    told = check(checkers, package, "comfy_test", "lint", "--strict", ".")
    assert "[SYNTAX] PASSED" in told and "[JAVASCRIPT] PASSED" in told


def test_no_import_of_comfyui_is_missing(checkers: Path, package: Path, tmp_path: Path) -> None:
    clone = tmp_path / "cache" / "ComfyUI"
    clone.mkdir(parents=True)
    git(clone, "init", "--quiet")
    git(
        clone, f"--work-tree={os.environ['COMFYUI_PATH']}", "add", "--all", "comfy", "comfy_api", "comfy_extras", "*.py"
    )
    git(clone, "commit", "--quiet", "--message=ComfyUI")
    git(clone, "reset", "--hard", "--quiet")
    bad = package.parent / "bad"
    bad.mkdir()
    (bad / "__init__.py").write_text("from comfy.samplers import NoSuchSampler\n", encoding="utf-8")
    options = ["--cache-dir", str(tmp_path / "cache"), "--offline", "--json", "check", "--no-update", "--strict"]
    guard = ["comfy_import_guard.cli", *options, "--target", "HEAD", "--comfy-dir", str(package.parent.parent)]
    done = run(checkers, tmp_path, *guard)
    found = {pack["pack"]: pack for pack in json.loads(done.stdout)["packs"]}
    assert found["image-mixer"]["verdict"] == "SAFE" and found["image-mixer"]["references"] > 50, found["image-mixer"]
    assert found["bad"]["verdict"] != "SAFE" and done.returncode != 0


@pytest.fixture(scope="module")
def live(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A ComfyUI with the zip in it, started by the zip's own command line, as `run` starts one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(package / "tools"))
        server_module = importlib.import_module("comfy_tool.server.server")
        with server_module.Server(base=prepared(tmp_path_factory.mktemp("base"))) as server:
            yield Live(server)
        for name in [name for name in sys.modules if name.split(".")[0] == "comfy_tool"]:
            del sys.modules[name]


def test_a_server_loads_every_node_of_the_zip(live: Live, package: Path) -> None:
    assert (live.server.base / "custom_nodes" / "image-mixer").resolve() == package.resolve()
    known = live.get("/object_info")
    assert {node.GET_SCHEMA().node_id for node in NODES} <= set(known)
    assert "imageMixer" in live.get("/i18n")["en"]


def comfy(package: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(package / "tools" / "comfy.py"), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=package, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_zips_command_line_runs_and_counts(live: Live, package: Path, tmp_path: Path) -> None:
    file = tmp_path / "remote.json"
    file.write_text(json.dumps(remote_graph(recipe={"samples": 3})), encoding="utf-8")
    told = comfy(package, "run", str(file), "--server", live.server.url, "--dry-run")
    assert (told["images"], told["paid_jobs"]) == (3, 3)
    nodes = json.loads((package / "workflows" / "demo.json").read_text(encoding="utf-8"))["nodes"]
    recipes = [f"--set={node['id']}.steps=1" for node in nodes if node["type"] == "ImageMixerRecipe"]
    assert recipes
    demo = ["run", "workflows/demo.json", "--server", live.server.url, "--out", str(tmp_path)]
    told = comfy(package, *demo, *recipes)
    assert told["error"] is None and all(Path(path).is_file() for path in told["images"]) and told["images"]


def test_the_count_is_asked_by_anyone_but_only_as_json(live: Live) -> None:
    graph = remote_graph(recipe={"samples": 3})
    path = "/image_mixer/estimate"
    status, answer = live.post(path, {"prompt": graph})
    assert (status, answer["paid_jobs"], answer["images"]) == (200, 3, 3)
    assert [(one["images"], one["paid"]) for one in answer["nodes"]] == [(3, True)]
    proxied = {"X-Forwarded-For": "198.51.100.3"}
    assert live.send("POST", path, {"prompt": graph}, proxied) == (200, answer)
    assert live.send("POST", path, {"prompt": graph}, {"Content-Type": "text/plain"})[0] == 415
    assert live.post(path, {"prompt": None}) == (200, {"images": 0, "paid_jobs": 0, "nodes": []})
    assert live.post(path, [1]) == (400, {"error": "Send a JSON object with the field prompt."})
    assert live.post(path, {"prompt": {"x": "y" * 2**22}})[0] == 413
