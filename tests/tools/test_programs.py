"""Chromium and Node.js are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.errors import ToolError
from image_mixer.tools.comfy_tool.install import programs


class TestPrograms:
    def test_a_named_chromium_comes_first(self, tmp_path: Path) -> None:
        mine = tmp_path / "chrome"
        mine.touch()
        env = {"IMAGE_MIXER_CHROMIUM": str(mine)}
        assert programs.find_chromium(env, which=lambda name: "/other") == mine

    def test_a_named_chromium_that_is_not_there(self) -> None:
        with pytest.raises(ToolError, match="CHROME_PATH names /nowhere"):
            programs.find_chromium({"CHROME_PATH": "/nowhere"})

    @pytest.mark.parametrize("name", ["chromium", "google-chrome", "msedge"])
    def test_one_on_the_path(self, name: str) -> None:
        found = programs.find_chromium({}, which=lambda asked: f"/bin/{asked}" if asked == name else None)
        assert found == Path(f"/bin/{name}")

    def test_one_in_its_usual_place(self, tmp_path: Path) -> None:
        place = tmp_path / "Google" / "Chrome" / "Application" / "chrome.exe"
        place.parent.mkdir(parents=True)
        place.touch()
        assert programs.find_chromium({"PROGRAMFILES": str(tmp_path)}, "win32", lambda name: None) == place
        assert programs.find_chromium({}, "win32", lambda name: None) is None

    @pytest.mark.parametrize(("text", "major"), [("v18.19.0", 18), ("v9.1.0", 9), ("nonsense", 0)])
    def test_the_version_of_node(self, tmp_path: Path, text: str, major: int) -> None:
        if sys.platform == "win32":
            pytest.skip("a script cannot stand for a program there")
        node = tmp_path / "node"
        node.write_text(f"#!/bin/sh\necho {text}\n", encoding="ascii")
        node.chmod(0o755)
        assert programs.node_major(node) == major
        assert programs.node_major(tmp_path / "gone") == 0
