"""The registry's requirements on a pack, as far as they can be tested here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings this one
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py") if ".git" not in p.parts)
)
def test_sources_can_be_read_with_windows_own_encoding(path: str) -> None:
    (ROOT / path).read_text(encoding="utf-8").encode("cp1252")


def test_dependencies_have_lower_bounds_only() -> None:
    for dependency in PROJECT["project"]["dependencies"]:
        assert re.fullmatch(r"[a-z-]+>=\d+\.\d+\.\d+", dependency), dependency


def test_the_registrys_fields_are_there() -> None:
    comfy = PROJECT["tool"]["comfy"]
    assert {"PublisherId", "DisplayName", "Icon", "requires-comfyui"} <= set(comfy)
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    assert "comfyui" not in PROJECT["project"]["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["project"]["version"])
    assert "Repository" in PROJECT["project"]["urls"]
    assert (ROOT / PROJECT["project"]["license"]["file"]).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.json")), ids=lambda path: path.stem)
def test_a_workflow_has_its_picture_and_nothing_private(path: Path) -> None:
    assert path.with_suffix(".jpg").is_file()
    text = path.read_text(encoding="utf-8")
    json.loads(text)
    assert not re.search(r"/home/|/root/|/Users/|[A-Z]:\\\\|api[ _-]?key|file://", text, re.IGNORECASE)
