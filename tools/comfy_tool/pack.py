"""Those modules of the pack that need no ComfyUI, for commands that run in a plain Python."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .paths import ROOT

ALIAS = "image_mixer"


def module(name: str) -> ModuleType:
    """The module `name` of the pack, "remote.store.ledger". The pack's own __init__, which needs ComfyUI, is not run."""
    if ALIAS not in sys.modules:
        alias = ModuleType(ALIAS)
        alias.__path__ = [str(ROOT)]
        sys.modules[ALIAS] = alias
    return importlib.import_module(f"{ALIAS}.{name}")
