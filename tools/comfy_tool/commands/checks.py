"""The checks that run no test of Python: ruff, its formatter, mypy, and the tests of the web part."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ..install.linking import link_folder
from ..install.programs import ensure_node
from ..install.sandbox import Sandbox
from ..paths import ROOT, cache_folder
from .lanes import Output
from .sandboxed import safe_module

TYPED = ("mixing", "wire", "network", "remote", "local", "nodes", "server", "tools")
"""The rooms that mypy reads, strictly."""


def static_checks(sandbox: Sandbox, env: Mapping[str, str], output: Output) -> list[str]:
    """Run all of them, and return one line for each that failed."""
    python = str(sandbox.python)
    checks: dict[str, Callable[[], list[str]]] = {
        "ruff": lambda: [python, *safe_module("ruff"), "check"],
        "ruff format": lambda: [python, *safe_module("ruff"), "format", "--check"],
    }
    web = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "web").glob("*.test.mjs"))
    if web:
        checks["node --test"] = lambda: [str(ensure_node()), "--test", *web]
    problems = []
    for name, made in checks.items():
        output.say(f"-- {name}")
        if output.run(made(), ROOT, env) != 0:
            problems.append(f"{name} found faults")
    output.say("-- mypy")
    return problems + ([] if types_hold(python, env, output) else ["mypy found faults"])


def types_hold(python: str, env: Mapping[str, str], output: Output) -> bool:
    """Return whether mypy finds no fault.

    The pack is read as the package `image_mixer`, whatever its folder is called: its relative imports lead from one
    room to another, and mypy takes what it cannot find for Any. What mypy learned of unchanged files is kept in the
    user's cache folder.
    """
    with tempfile.TemporaryDirectory(prefix="image-mixer-types-") as scratch:
        link_folder(Path(scratch) / "image_mixer", ROOT)
        rooms = [part for room in TYPED for part in ("-p", f"image_mixer.{room}")]
        config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache_folder() / "types")]
        return output.run([python, *safe_module("mypy"), *config, *rooms], scratch, env) == 0
