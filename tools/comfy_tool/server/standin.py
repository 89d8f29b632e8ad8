"""The stand-in of the paid service beside a server: started, and named in the server's endpoints.toml."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ToolError
from ..install.sandbox import clean_environment
from ..paths import ROOT
from .server import own_group

SCRIPT = ROOT / "tests" / "standin" / "app.py"
PRIVATE = Path("user") / "__image_mixer"
DEMO_KEY = "demo-key-0000"
ENVIRONMENT = {"MODELSLAB_API_KEY": DEMO_KEY}
NAMES = {"modelslab v6": "v6", "stable diffusion api v5": "v5"}


@contextlib.contextmanager
def stand_in(python: Path) -> Iterator[str]:
    """The stand-in in a process of its own, on a free port; gives its address. Raises ToolError. `python` is one that
    has Pillow. It cannot outlive the program that started it."""
    command = [str(python), "-u", str(SCRIPT), "--port", "0", "--key", DEMO_KEY, "--end-with-input"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        cwd=SCRIPT.parent,
        **own_group(),
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        address = next((word.removesuffix("/api/v6") for word in line.split() if word.endswith("/api/v6")), "")
        if not address:
            raise ToolError("the stand-in of the service did not start: see its output above")
        yield address
    finally:
        process.kill()
        process.communicate()


def write_profiles(base: Path, addresses: Mapping[str, str]) -> Path:
    """Writes endpoints.toml in the server's base directory, with a base URL for each name. Raises ToolError where one
    is there already: it is the owner's."""
    folder = base / PRIVATE
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform != "win32":
        folder.chmod(0o700)
    file = folder / "endpoints.toml"
    tables = [f"[endpoints.{json.dumps(name)}]\nbase_url = {json.dumps(url)}\n" for name, url in addresses.items()]
    text = "# Made by serve --with-service; safe to remove.\n\n" + "\n".join(tables)
    if file.exists() and not file.read_text(encoding="utf-8").startswith(text.split("\n")[0]):
        raise ToolError(f"{file} is there already, and yours: use another --base with --with-service")
    file.write_text(text, encoding="utf-8")
    return file
