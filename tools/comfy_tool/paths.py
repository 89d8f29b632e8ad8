"""The folders of the pack and of its cache, which outlives a checkout."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE_VARIABLE = "IMAGE_MIXER_CACHE"
NAME = "image-mixer"


def cache_folder(env: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return the user's cache folder for this pack, which may not exist yet. IMAGE_MIXER_CACHE overrides it."""
    env = os.environ if env is None else env
    if chosen := env.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    if platform == "win32":
        local = env.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / NAME / "Cache"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / NAME
    # The XDG specification says to ignore a relative path.
    xdg = env.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if xdg.startswith("/") else Path.home() / ".cache") / NAME


def venv_python(folder: Path, platform: str = sys.platform) -> Path:
    """Return the path of a virtual environment's interpreter."""
    return folder / "Scripts" / "python.exe" if platform == "win32" else folder / "bin" / "python"
