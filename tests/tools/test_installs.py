"""Which ComfyUI is used, and with which Python: named, around the pack, or the throw-away one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.errors import ToolError, UsageError
from image_mixer.tools.comfy_tool.install import installs
from image_mixer.tools.comfy_tool.install.installs import Install, can_run_comfyui, find_install, python_of
from image_mixer.tools.comfy_tool.install.sandbox import Sandbox
from image_mixer.tools.comfy_tool.paths import venv_python

FAKE = Path(__file__).parent / "fake_comfyui"


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_MIXER_CACHE", str(tmp_path / "cache"))
    for name in ("COMFYUI_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def never(version: str) -> Sandbox:
    raise AssertionError("nothing must be downloaded")


class TestWhichComfyUI:
    def test_the_sandbox_where_none_is_named(self) -> None:
        built = Sandbox("0.24.0", Path("tree"), Path("python"))
        found = find_install(version="0.24.0", build=lambda version: built)
        assert (found.comfyui, found.python, found.sandboxed) == (Path("tree"), Path("python"), True)

    def test_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COMFYUI_PATH", str(FAKE))
        assert find_install().comfyui == FAKE

    def test_a_version_is_asked_for_whatever_the_variable_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COMFYUI_PATH", str(FAKE))
        built = Sandbox("0.18.2", Path("tree"), Path("python"))
        assert find_install(version="0.18.2", build=lambda version: built).comfyui == Path("tree")

    def test_a_folder_without_one(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="holds no ComfyUI"):
            find_install(tmp_path)

    def test_both(self) -> None:
        with pytest.raises(UsageError, match="exclude each other"):
            find_install(FAKE, version="0.24.0")

    @pytest.mark.parametrize("name", [".venv", "venv"])
    def test_its_own_python(self, tmp_path: Path, name: str) -> None:
        python = venv_python(tmp_path / name)
        python.parent.mkdir(parents=True)
        python.touch()
        assert python_of(tmp_path) == python

    def test_the_portable_editions_python(self, tmp_path: Path) -> None:
        python = tmp_path / "python_embeded" / "python.exe"
        python.parent.mkdir()
        python.touch()
        assert python_of(tmp_path / "ComfyUI") == python
        assert python_of(tmp_path / "a" / "b") == Path(sys.executable)

    def test_a_conda_environments_python(self, tmp_path: Path) -> None:
        python = touched(venv_python(tmp_path / "env"))
        assert python_of(tmp_path) == python
        assert python_of(tmp_path) != touched(tmp_path / "env" / "python.exe")
        python.unlink()
        assert python_of(tmp_path) == tmp_path / "env" / "python.exe"

    def test_one_in_the_folder_comes_first(self, tmp_path: Path) -> None:
        folder = tmp_path / "ComfyUI"
        touched(tmp_path / "python_embeded" / "python.exe")
        touched(venv_python(tmp_path / "venv"))
        assert python_of(folder) == tmp_path / "python_embeded" / "python.exe"
        assert python_of(folder) != touched(venv_python(folder / "env"))
        assert python_of(folder) == venv_python(folder / "env")


class TestTheComfyUIAroundThePack:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "my ComfyUI"
        for name in ("main.py", "folder_paths.py", "custom_nodes/any-name/__init__.py"):
            touched(folder / name)
        return folder

    @pytest.fixture
    def pack(self, folder: Path) -> Path:
        return folder / "custom_nodes" / "any-name"

    def test_it_is_used_with_its_own_python_and_nothing_is_built(self, folder: Path, pack: Path) -> None:
        python = touched(venv_python(folder / ".venv"))
        assert find_install(build=never, pack=pack) == Install(folder, python, sandboxed=False, around=True)

    def test_another_python_can_be_named(self, folder: Path, pack: Path) -> None:
        assert find_install(python="mine", build=never, pack=pack).python == Path.cwd() / "mine"

    def test_another_comfyui_can_be_named(self, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = find_install(FAKE, build=never, pack=pack)
        assert (found.comfyui, found.around) == (FAKE, False)
        monkeypatch.setenv("COMFYUI_PATH", str(FAKE))
        found = find_install(build=never, pack=pack)
        assert (found.comfyui, found.around) == (FAKE, False)

    def test_so_can_the_sandbox(self, pack: Path) -> None:
        built = Sandbox("0.24.0", Path("tree"), Path("python"))
        assert find_install(version="0.24.0", build=lambda version: built, pack=pack).comfyui == Path("tree")

    @pytest.mark.parametrize("missing", ["main.py", "folder_paths.py"])
    def test_a_folder_that_is_not_a_comfyui(self, folder: Path, pack: Path, missing: str) -> None:
        (folder / missing).unlink()
        built = Sandbox("0.30.0", Path("tree"), Path("python"))
        assert find_install(build=lambda version: built, pack=pack).sandboxed

    def test_a_folder_with_another_name(self, folder: Path, pack: Path) -> None:
        built = Sandbox("0.30.0", Path("tree"), Path("python"))
        moved = (folder / "custom_nodes").rename(folder / "extensions") / pack.name
        assert find_install(build=lambda version: built, pack=moved).sandboxed

    def test_without_a_python_that_can_run_it_nothing_is_built(
        self, folder: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ToolError, match="name its Python with --python"):
            find_install(build=never, pack=pack)

    @pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX", None])
    def test_an_environment_beside_it_or_an_active_one_must_be_able_to_run_it(
        self, tmp_path: Path, folder: Path, variable: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment = tmp_path / ("elsewhere" if variable else "venv")
        python = touched(venv_python(environment))
        if variable:
            monkeypatch.setenv(variable, str(environment))
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(installs, "can_run_comfyui", lambda asked: False)
        with pytest.raises(ToolError, match="no Python was found"):
            python_of(folder)
        monkeypatch.setattr(installs, "can_run_comfyui", lambda asked: asked == python)
        assert python_of(folder) == python


def test_a_python_is_asked_what_it_has(tmp_path: Path) -> None:
    assert can_run_comfyui(Path(sys.executable))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    assert not can_run_comfyui(venv_python(tmp_path / "bare"))
    assert not can_run_comfyui(tmp_path / "none")
