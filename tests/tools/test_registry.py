"""The registry's requirements on a pack, as far as they can be tested here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from image_mixer.tests.support.registry import git, packed_files

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings this one
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py") if ".git" not in p.parts)
)
def test_sources_can_be_read_with_windows_own_encoding(path: str) -> None:
    (ROOT / path).read_text(encoding="utf-8").encode("cp1252")


def test_dependencies_have_lower_bounds_only() -> None:
    for dependency in PROJECT["project"]["dependencies"]:
        assert re.fullmatch(r"[a-z-]+>=\d+\.\d+\.\d+", dependency), dependency


def test_the_registrys_fields_are_there() -> None:
    comfy = PROJECT["tool"]["comfy"]
    assert {"PublisherId", "DisplayName", "Icon", "requires-comfyui"} <= set(comfy)
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    assert "comfyui" not in PROJECT["project"]["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["project"]["version"])
    assert "Repository" in PROJECT["project"]["urls"]
    assert (ROOT / PROJECT["project"]["license"]["file"]).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.json")), ids=lambda path: path.stem)
def test_a_workflow_has_its_picture_and_nothing_private(path: Path) -> None:
    assert path.with_suffix(".jpg").is_file()
    text = path.read_text(encoding="utf-8")
    json.loads(text)
    assert not re.search(r"/home/|/root/|/Users/|[A-Z]:\\\\|api[ _-]?key|file://", text, re.IGNORECASE)


SHIPPED = {
    ".": {"__init__.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"},
    "local/demo_model": {"image_mixer_demo.safetensors", "demo_a.png", "demo_b.png", "demo_c.png", "README.md"},
    "tools": {"comfy.py"},
    "tools/comfy_tool/commands": {"__init__.py", "run.py", "jobs.py", "estimate.py", "libraries.py", "progress.py"},
}
"""All files of some folders of the package."""

FOLDERS = {
    "docs",
    "local",
    "locales",
    "mixing",
    "network",
    "nodes",
    "remote",
    "server",
    "tools",
    "web",
    "wire",
    "workflows",
}
MAY_COME = {"subgraphs", "service"}
INSTALLING = re.compile(r"""["']pip["']|ensurepip|apt-get|urlretrieve""")


def test_the_package_holds_what_a_user_runs() -> None:
    packed = packed_files()
    folders = {name.split("/")[0] for name in packed if "/" in name}
    assert FOLDERS <= folders <= FOLDERS | MAY_COME
    for folder, names in SHIPPED.items():
        assert {Path(name).name for name in packed if Path(name).parent.as_posix() == folder} == names, folder
    everything = set(git(ROOT, "ls-files").splitlines())
    for folder in FOLDERS - {"tools"}:
        assert {name for name in everything if name.startswith(f"{folder}/")} <= set(packed), folder


def test_the_package_installs_nothing() -> None:
    for name in packed_files():
        if name.endswith(".py"):
            assert not INSTALLING.search((ROOT / name).read_text(encoding="utf-8")), name


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files in a folder of their own."""
    folder = tmp_path_factory.mktemp("package")
    for name in packed_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def comfy(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(package / "tools" / "comfy.py"), *arguments]
    env = {name: value for name, value in os.environ.items() if name not in ("COMFYUI_PATH", "PYTHONPATH")}
    return subprocess.run(command, capture_output=True, text=True, cwd=package, env=env, timeout=120, check=False)


@pytest.mark.parametrize("name", ["bench", "demo", "locales", "serve", "test"])
def test_what_the_package_leaves_out_is_said_in_one_line(package: Path, name: str) -> None:
    done = comfy(package, name)
    line = f"error: `{name}` is not part of the registry's package: clone the repository to use it\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_the_package_runs_workflows_and_sums_up_jobs(package: Path) -> None:
    shown = comfy(package, "--help")
    assert shown.returncode == 0 and "{" not in shown.stdout and "run " in shown.stdout and "jobs " in shown.stdout
    assert "bench" not in shown.stdout
    done = comfy(package, "run", "workflows/demo.json", "--server", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the server at http://127.0.0.1:9 does not answer"), done.stderr
    done = comfy(package, "jobs", "--base", str(package))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2 and "error: " in done.stderr, done.stderr


def test_without_a_comfyui_the_package_says_what_to_name(package: Path) -> None:
    done = comfy(package, "run", "workflows/demo.json")
    assert done.returncode in (1, 2) and done.stdout == ""
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1, done.stderr
