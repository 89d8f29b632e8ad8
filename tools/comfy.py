#!/usr/bin/env python3
"""Run the pack's command line: `python tools/comfy.py --help`. Standard library only, Python 3.10 to 3.13."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 (one line is clearer than a SyntaxError)
    sys.exit("error: tools/comfy.py needs Python 3.10 or newer")

HERE = Path(__file__).resolve().parent

# A pack that lies in a ComfyUI leaves no file there, not even compiled ones.
if HERE.parent.parent.name == "custom_nodes":
    sys.dont_write_bytecode = True

# Python adds this folder by itself, unless it was started with -P, -I or PYTHONSAFEPATH.
sys.path.insert(0, str(HERE))

from comfy_tool.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
