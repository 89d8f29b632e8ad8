"""Find a Python that has the libraries for talking to a server, and run the command again in it if necessary.

Every ComfyUI brings requests, aiohttp and tqdm, so its Python has them, and the command line can be started by any other.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..console import say
from ..errors import ToolError
from ..install.environment import clean_environment
from ..install.installs import COMFYUI_VARIABLE, Install, comfyui_around, find_install
from ..paths import ROOT

ENTRY = ROOT / "tools" / "comfy.py"
NEEDED = ("requests",)
WANTED = ("requests", "aiohttp", "tqdm")
"""Without aiohttp the server is polled every second; without tqdm each node is one line."""

AGAIN_VARIABLE = "IMAGE_MIXER_RUN_AGAIN"
"""Set when a command runs again, so that it does so only once."""


def install_for(options: argparse.Namespace) -> Install:
    """Return the ComfyUI that the options choose. If this Python lacks a library, the command runs again in
    ComfyUI's Python, and this function does not return. Raises ToolError if that Python lacks one too."""
    install = find_install(options.comfyui, options.python, options.version)
    if missing(WANTED):
        run_again(install.python, options.given, install.environment())
    announce(install)
    return install


def announce(install: Install) -> None:
    """Say so if the ComfyUI was chosen because this pack lies in it."""
    if install.around:
        say(f"Using the ComfyUI that this pack lies in, {install.comfyui}, and its Python, {install.python}")


def for_running_server(options: argparse.Namespace) -> None:
    """Make sure that this Python can talk to a server that runs already. If it cannot, the command runs again in a
    Python that can, which is installed if there is none, and this function does not return."""
    if not missing(NEEDED):
        return
    if options.comfyui or options.python or os.environ.get(COMFYUI_VARIABLE) or comfyui_around():
        install = find_install(options.comfyui, options.python)
        run_again(install.python, options.given, install.environment())
        return
    try:
        from ..install.sandbox import Builder
    except ModuleNotFoundError as error:
        raise ToolError(f"{sys.executable} does not have requests: name ComfyUI's Python with --python") from error
    run_again(Builder().client(), options.given, clean_environment())


def missing(modules: Sequence[str]) -> list[str]:
    """Return those of the modules that this Python does not have."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def run_again(python: Path, arguments: Sequence[str], env: dict[str, str]) -> None:
    """Run the command line in another Python and end with its exit code.

    A second time it returns, so that the command can do without what is missing, or raises ToolError if it cannot.
    """
    if os.environ.get(AGAIN_VARIABLE):
        if absent := missing(NEEDED):
            raise ToolError(
                f"{sys.executable} does not have {absent[0]}, which ComfyUI requires: "
                "install ComfyUI's requirements in it, or name another Python with --python"
            )
        return
    command = [str(python), str(ENTRY), *arguments]
    env = {**env, AGAIN_VARIABLE: "1"}
    try:
        if sys.platform == "win32":
            # There, exec would return to the console before the command has ended.
            raise SystemExit(subprocess.call(command, env=env))
        os.execve(python, command, env)
    except OSError as error:
        raise ToolError(f"{python} could not be started ({error}): name another Python with --python") from error
