"""The environment variables of the programs that the commands start."""

from __future__ import annotations

import os
from collections.abc import Mapping

_DROPPED = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
_DROPPED |= {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON"}


def clean_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the caller's environment, proxies and certificates included, without the variables that would bring in
    other Python packages or send installed ones elsewhere."""
    kept = {name: value for name, value in (os.environ if env is None else env).items() if name not in _DROPPED}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}


def own_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a ComfyUI of the user's own: its packages may lie in the user's site folder, and
    Python writes no compiled files beside its sources."""
    env = os.environ if env is None else env
    kept = clean_environment(env)
    if "PYTHONNOUSERSITE" not in env:
        del kept["PYTHONNOUSERSITE"]
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}
