"""`bench`: aims, the table, the form of a script's figures, exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.commands import bench
from image_mixer.tools.comfy_tool.errors import ToolError
from image_mixer.tools.comfy_tool.install.installs import Install
from image_mixer.tools.comfy_tool.main import main

GOOD = {
    "ratio": {"value": 1.01, "aim": "<= 1.02", "unit": ""},
    "import": {"value": 200, "aim": "<= 150", "unit": "ms"},
    "free": {"value": 3, "aim": None, "unit": "s"},
}


class TestBench:
    @pytest.mark.parametrize(
        ("value", "aim", "found"),
        [
            (1.02, "<= 1.02", "met"),
            (1.03, "<= 1.02", "missed"),
            (5, ">= 4", "met"),
            (5, "< 5", "missed"),
            (6, "> 5", "met"),
            (0.0, "= 0", "met"),
            (5, None, ""),
            (5, "small", ""),
            (None, "<= 1", ""),
        ],
    )
    def test_aims(self, value: object, aim: object, found: str) -> None:
        assert bench.verdict(value, aim) == found

    def test_the_table(self) -> None:
        assert bench.table(GOOD).splitlines() == [
            "figure  value   aim",
            "ratio   1.01    <= 1.02  met",
            "import  200 ms  <= 150   missed",
            "free    3 s",
        ]

    @pytest.mark.parametrize(
        "line", ["", "fast", "[]", "{}", '{"a": 1}', '{"a": {"value": 1}}', '{"a": {"value": 1, "aim": "", "unt": ""}}']
    )
    def test_what_does_not_follow_the_contract(self, line: str) -> None:
        with pytest.raises(ToolError, match=r"benchmarks/x\.py"):
            bench.figures_of(line, "x")

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(bench, "FOLDER", tmp_path)
        install = Install(tmp_path, Path(sys.executable), sandboxed=True)
        monkeypatch.setattr(bench, "find_install", lambda comfyui, python, version: install)
        code = "import os, sys, json, _shared\nassert os.environ['COMFYUI_PATH'] in sys.path\nprint('busy')\n"
        (tmp_path / "good.py").write_text(f"{code}print({json.dumps(GOOD)!r})", encoding="utf-8")
        (tmp_path / "bad.py").write_text("raise SystemExit(3)", encoding="utf-8")
        (tmp_path / "_shared.py").touch()
        return tmp_path

    def test_json(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["bench", "good", "--json"]) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out) == GOOD
        assert printed.err == "busy\n"

    def test_for_a_person(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["bench", "good"]) == 0
        assert capsys.readouterr().out == bench.table(GOOD) + "\n"

    @pytest.mark.parametrize(
        ("arguments", "code", "line"),
        [
            (["bad"], 1, "error: benchmarks/bad.py ended with exit code 3: see its output above"),
            (["nope"], 2, "error: no benchmark 'nope': bad, good"),
            ([], 2, "error: benchmarks: bad, good"),
        ],
    )
    def test_failures(
        self, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, line: str
    ) -> None:
        assert main(["bench", *arguments]) == code
        assert capsys.readouterr().err.strip() == line
