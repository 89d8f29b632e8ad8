"""How scripts and modules run in the sandbox's Python."""

from __future__ import annotations

import sys
from pathlib import Path

from ..install.environment import clean_environment
from ..install.sandbox import Sandbox


def sandbox_environment(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment of tests and benchmarks that need ComfyUI: importable, and found by COMFYUI_PATH."""
    return {**clean_environment(), "COMFYUI_PATH": str(sandbox.comfyui), "PYTHONPATH": str(sandbox.comfyui)}


def safe_module(module: str) -> list[str]:
    """Return Python's arguments to run a module without the current folder on the path.

    This pack has a folder `nodes`, and ComfyUI has a module of that name.
    """
    if sys.version_info >= (3, 11):
        return ["-P", "-m", module]
    start = "import runpy, sys; sys.path[:] = [p for p in sys.path if p]; "
    return ["-c", f"{start}runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"]


def safe_script(script: Path) -> list[str]:
    """Return Python's arguments to run a script without its folder on the path."""
    if sys.version_info >= (3, 11):
        return ["-P", str(script)]
    start = "import runpy, sys; sys.path[:] = [p for p in sys.path if p]; "
    return ["-c", f"{start}runpy.run_path({str(script)!r}, run_name='__main__')"]
