"""What wire and network may import: neither knows remote, wire does no I/O, and no format knows another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_mixer.wire.formats import WIRES

ROOT = Path(__file__).resolve().parents[2]
FOUNDATION = {"mixing.errors", "mixing.urls"}
PURE = {"__future__", "collections.abc", "dataclasses", "json", "math", "re", "typing", "urllib.parse"}
"""The parts of the standard library that wire needs. None of them does I/O."""


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports: those of the pack by their path in it, others by name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parent.parts
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            if node.level and ROOT.joinpath(*module.split(".")).is_dir():
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def test_imports_are_found() -> None:
    formats = {"__future__", "mixing.errors", "wire.declaration", *(f"wire.{wire.name}" for wire in WIRES)}
    assert set(imported(ROOT / "wire" / "formats.py")) == formats
    assert {"requests", "requests.utils", "mixing.urls", "network.lookups", "zlib"} <= set(
        imported(ROOT / "network" / "transport.py")
    )


@pytest.mark.parametrize("path", sorted((ROOT / "wire").glob("*.py")), ids=lambda path: path.stem)
def test_wire_is_pure(path: Path) -> None:
    others = {name for name in imported(path) if not name.startswith("wire.")}
    assert others <= FOUNDATION | PURE


@pytest.mark.parametrize("path", sorted((ROOT / "network").glob("*.py")), ids=lambda path: path.stem)
def test_network_knows_no_engine_and_no_format(path: Path) -> None:
    inside = {name for name in imported(path) if (ROOT / name.split(".")[0]).is_dir()}
    assert {name for name in inside if not name.startswith("network.")} <= FOUNDATION


def test_only_the_list_and_the_built_in_profiles_import_a_format() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ("mixing", "wire", "network", "remote", "server", "nodes", "tools", "local")
        for path in (ROOT / room).rglob("*.py")
        if {f"wire.{wire.name}" for wire in WIRES} & set(imported(path))
    }
    assert found == {"wire/formats.py", "remote/endpoints.py"}
