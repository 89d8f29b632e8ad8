"""Tests say `from image_mixer.mixing import …`, wherever the pack's folder lies and whatever it is called."""

from __future__ import annotations

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if "image_mixer" not in sys.modules:
    alias = types.ModuleType("image_mixer")
    alias.__path__ = [str(ROOT)]  # type: ignore[attr-defined]
    sys.modules["image_mixer"] = alias
