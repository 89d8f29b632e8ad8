"""Choose the ComfyUI to use, and the Python that it runs with."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ToolError, UsageError
from ..paths import ROOT, cache_folder, venv_python
from . import pins
from .environment import clean_environment, own_environment

if TYPE_CHECKING:
    from .sandbox import Sandbox

COMFYUI_VARIABLE = "COMFYUI_PATH"
ENVIRONMENTS = (".venv", "venv", "env", ".conda")
REQUIRED = ("torch", "torchvision", "aiohttp", "einops", "safetensors", "yaml", "requests", "tqdm")
"""Modules by which a Python that can run ComfyUI is recognised."""


@dataclass(frozen=True)
class Install:
    """A ComfyUI folder and the Python to run it with.

    `sandboxed` is true for the throw-away ComfyUI in the cache folder, `around` for the one whose custom_nodes folder
    this pack lies in.
    """

    comfyui: Path
    python: Path
    sandboxed: bool
    around: bool = False

    def environment(self) -> dict[str, str]:
        """Return the environment for programs that run in its Python."""
        return clean_environment() if self.sandboxed else own_environment()


def find_install(
    comfyui: Path | str | None = None,
    python: Path | str | None = None,
    version: str | None = None,
    build: Callable[[str], Sandbox] | None = None,
    pack: Path = ROOT,
) -> Install:
    """Return the ComfyUI to use, the first of: `comfyui`, COMFYUI_PATH, the one whose custom_nodes folder `pack` lies
    in, and the sandbox, which `build` sets up if necessary.

    A `version` asks for the sandbox of that version in any case. Raises UsageError for a folder without a ComfyUI, and
    ToolError if no Python can run it or the sandbox cannot be set up.
    """
    if comfyui and version:
        raise UsageError("--comfyui and --version exclude each other: a ComfyUI of your own has its own version")
    if not version:
        if chosen := comfyui or os.environ.get(COMFYUI_VARIABLE):
            return _own(Path(chosen).expanduser().resolve(), python)
        if folder := comfyui_around(pack):
            return _own(folder, python, around=True)
    made = (build or _build)(version or pins.DEFAULT_VERSION)
    return Install(made.comfyui, _absolute(python) if python else made.python, sandboxed=True)


def comfyui_around(pack: Path = ROOT) -> Path | None:
    """Return the ComfyUI folder whose custom_nodes folder `pack` lies in, or None."""
    folder = pack.parent.parent
    return folder if pack.parent.name == "custom_nodes" and _holds_comfyui(folder) else None


def python_of(comfyui: Path) -> Path:
    """Return the Python of a ComfyUI folder.

    These are tried in turn: a virtual or conda environment in the folder, the portable edition's Python beside it, and
    then those that have what ComfyUI requires of the Python that runs this, an environment beside the folder, and the
    active one. Raises ToolError if there is none.
    """
    inside = [*_pythons(comfyui), comfyui.parent / "python_embeded" / "python.exe"]
    if found := next((path for path in inside if path.is_file()), None):
        return found
    if all(importlib.util.find_spec(name) for name in REQUIRED):
        return Path(sys.executable)
    active = [os.environ[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if os.environ.get(name)]
    others = [*_pythons(comfyui.parent), *(path for folder in active for path in _interpreters(Path(folder)))]
    if found := next((path for path in others if path.is_file() and can_run_comfyui(path)), None):
        return found
    raise ToolError(
        f"no Python was found that has what the ComfyUI in {comfyui} requires: name its Python with --python, "
        "or use a throw-away ComfyUI with --version"
    )


def can_run_comfyui(python: Path) -> bool:
    """Return whether a Python has the modules that ComfyUI requires. Nothing is imported there."""
    question = f"import importlib.util as u; print(all(u.find_spec(n) for n in {REQUIRED!r}))"
    return _ask(python, question, own_environment(), seconds=30) == "True"


def has_accelerator(install: Install) -> bool:
    """Return whether PyTorch in an install's Python can use a GPU of any maker.

    If there is no device file, PyTorch is not asked: importing it takes seconds.
    """
    if sys.platform.startswith("linux"):
        devices = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/dev/dri")
        if not any(Path(device).exists() for device in devices):
            return False
    elif sys.platform == "win32" and shutil.which("nvidia-smi") is None:
        return False
    question = (
        "import torch; x = getattr(torch, 'xpu', None); "
        "print('yes' if torch.cuda.is_available() or torch.backends.mps.is_available() "
        "or (x is not None and x.is_available()) else 'no')"
    )
    return _ask(install.python, question, install.environment(), seconds=180).endswith("yes")


def _own(folder: Path, python: Path | str | None, around: bool = False) -> Install:
    if not _holds_comfyui(folder):
        raise UsageError(f"{folder} holds no ComfyUI: name the folder that its main.py lies in")
    # Tests run in the sandbox's Python with COMFYUI_PATH naming its ComfyUI.
    sandboxed = folder.parent == cache_folder().resolve()
    return Install(folder, _absolute(python) if python else python_of(folder), sandboxed, around)


def _holds_comfyui(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "folder_paths.py").is_file()


def _absolute(path: Path | str) -> Path:
    """Return an absolute path without following links: a virtual environment's Python is a link."""
    return Path(path).expanduser().absolute()


def _pythons(folder: Path) -> list[Path]:
    """Return where the Python of an environment in `folder` may be."""
    return [path for name in ENVIRONMENTS for path in _interpreters(folder / name)]


def _interpreters(environment: Path) -> tuple[Path, ...]:
    """Return where an environment's Python may be: conda on Windows puts it directly into the environment."""
    return (venv_python(environment), environment / "python.exe")


def _build(version: str) -> Sandbox:
    try:
        from .sandbox import Builder
    except ModuleNotFoundError as error:
        raise ToolError(
            "this copy of the pack cannot set up a ComfyUI: name yours with --comfyui, or use a clone of the repository"
        ) from error
    return Builder().sandbox(version)


def _ask(python: Path, code: str, env: dict[str, str], seconds: float) -> str:
    """Return what a line of code prints in another Python, or "" if it cannot be run."""
    try:
        asked = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, timeout=seconds, env=env, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()
