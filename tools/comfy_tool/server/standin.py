"""Run the stand-in of the paid service beside a server, and name it in the server's endpoints.toml."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ToolError
from ..install.environment import clean_environment
from ..paths import ROOT
from .server import own_group

SCRIPT = ROOT / "tests" / "standin" / "app.py"
PRIVATE = Path("user") / "__image_mixer"
DEMO_KEY = "demo-key-0000"
ENVIRONMENT = {"MODELSLAB_API_KEY": DEMO_KEY}
NAMES = {"modelslab v6": "v6", "stable diffusion api v5": "v5"}


@contextlib.contextmanager
def stand_in(python: Path) -> Iterator[str]:
    """Run the stand-in in its own process on a free port, and yield its address, such as http://127.0.0.1:4321.

    `python` needs Pillow. The stand-in cannot outlive the program that started it. Raises ToolError if it does not start.
    """
    command = [str(python), "-u", str(SCRIPT), "--port", "0", "--key", DEMO_KEY, "--end-with-input"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**clean_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
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
    """Write endpoints.toml into the server's base directory, with a base URL per name. Return its path.

    Raises ToolError if there is one that was not written by this function: it is the owner's."""
    folder = base / PRIVATE
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform != "win32":
        folder.chmod(0o700)
    file = folder / "endpoints.toml"
    tables = [f"[endpoints.{json.dumps(name)}]\nbase_url = {json.dumps(url)}\n" for name, url in addresses.items()]
    text = "# Made by serve --with-service; safe to remove.\n\n" + "\n".join(tables)
    if file.exists() and not file.read_text(encoding="utf-8").startswith(text.split("\n")[0]):
        raise ToolError(f"{file} already exists and is yours: choose another --base for --with-service")
    file.write_text(text, encoding="utf-8")
    return file
