#!/usr/bin/env python3
"""The pack's command line: `python tools/comfy.py --help`. Standard library only, Python 3.10 to 3.13."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 (said in one line rather than by a SyntaxError)
    sys.exit("error: tools/comfy.py needs Python 3.10 or newer")

# Python puts this folder on the path by itself, unless it was told not to (-P, PYTHONSAFEPATH).
sys.path.insert(0, str(Path(__file__).resolve().parent))

from comfy_tool.main import main

if __name__ == "__main__":
    sys.exit(main())
