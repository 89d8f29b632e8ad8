"""Run ComfyUI's main.py so that it cannot outlive the program that started it.

Run as a script: `python child.py <ComfyUI's folder> [arguments of main.py]`. Standard input is a pipe that the parent
never writes to. When the parent ends, for whatever reason, the pipe closes and this process ends too.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from pathlib import Path


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> None:
    """Run ComfyUI's main.py in this process, without this script's folder on the module path."""
    comfyui = Path(sys.argv[1]).resolve()
    threading.Thread(target=_end_with_parent, daemon=True, name="end with parent").start()
    own = str(Path(__file__).resolve().parent)
    sys.path[:] = [str(comfyui), *(entry for entry in sys.path if entry != own)]
    sys.argv = [str(comfyui / "main.py"), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
