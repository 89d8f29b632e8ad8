"""Which ComfyUI to use, and with which Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..paths import cache_folder, venv_python
from . import pins
from .sandbox import Builder, Sandbox, clean_environment

COMFYUI_VARIABLE = "COMFYUI_PATH"


@dataclass(frozen=True)
class Install:
    """A ComfyUI folder and the Python to run it with. `sandboxed` tells whether it is the throw-away one."""

    comfyui: Path
    python: Path
    sandboxed: bool


def find_install(
    comfyui: Path | str | None = None,
    python: Path | str | None = None,
    version: str | None = None,
    build: Callable[[str], Sandbox] | None = None,
) -> Install:
    """The user's own ComfyUI where one is named, by `comfyui` or by COMFYUI_PATH, and otherwise the sandbox.

    A `version` asks for the sandbox of that version, whatever COMFYUI_PATH says. Raises UsageError for a folder that
    holds no ComfyUI, and ToolError when the sandbox cannot be set up.
    """
    if comfyui and version:
        raise UsageError("--comfyui and --version exclude each other: a ComfyUI of your own has its own version")
    chosen = comfyui or (None if version else os.environ.get(COMFYUI_VARIABLE))
    if chosen:
        folder = Path(chosen).expanduser().resolve()
        if not (folder / "main.py").is_file() or not (folder / "folder_paths.py").is_file():
            raise UsageError(f"{folder} holds no ComfyUI: name the folder that its main.py lies in")
        # Tests run in the sandbox's Python with COMFYUI_PATH naming its ComfyUI.
        sandboxed = folder.parent == cache_folder().resolve()
        return Install(folder, Path(python) if python else python_of(folder), sandboxed)
    made = (build or Builder().sandbox)(version or pins.DEFAULT_VERSION)
    return Install(made.comfyui, Path(python) if python else made.python, sandboxed=True)


def python_of(comfyui: Path) -> Path:
    """The Python that goes with a ComfyUI folder: a virtual environment in it, the portable edition's beside it, or
    the one that runs this."""
    candidates = [venv_python(comfyui / name) for name in (".venv", "venv")]
    candidates.append(comfyui.parent / "python_embeded" / "python.exe")
    return next((path for path in candidates if path.is_file()), Path(sys.executable))


def has_accelerator(python: Path) -> bool:
    """Whether PyTorch in that Python can use a GPU of any maker. Without a device file nobody is asked: importing
    PyTorch takes seconds."""
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
    try:
        asked = subprocess.run(
            [str(python), "-c", question],
            capture_output=True,
            text=True,
            timeout=180,
            env=clean_environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.stdout.strip().endswith("yes")
