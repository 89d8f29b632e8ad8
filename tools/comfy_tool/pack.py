"""Import those modules of the pack that do not need ComfyUI, for commands that run in a plain Python."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .paths import ROOT

ALIAS = "image_mixer"


def module(name: str) -> ModuleType:
    """Import a module of the pack, such as "remote.store.ledger", without the pack's __init__, which needs ComfyUI."""
    if ALIAS not in sys.modules:
        alias = ModuleType(ALIAS)
        alias.__path__ = [str(ROOT)]
        sys.modules[ALIAS] = alias
    return importlib.import_module(f"{ALIAS}.{name}")
