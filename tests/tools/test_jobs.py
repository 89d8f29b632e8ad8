"""`jobs`: which journal is read, what is printed and exported, and that a plain Python is enough."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tools.comfy_tool.commands import jobs
from image_mixer.tools.comfy_tool.errors import ToolError
from image_mixer.tools.comfy_tool.main import main

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ROOT / "tests" / "remote" / "released" / "0.1.0" / "journal.sqlite"
CANARY = "canary-0123456789-key"


def journal(user_directory: Path) -> Path:
    """Write a journal of version 0.1.0 with one reason from a hostile service. Return its user directory."""
    folder = user_directory / "__image_mixer"
    folder.mkdir(parents=True)
    shutil.copy(RELEASED, folder / "journal.sqlite")
    with sqlite3.connect(folder / "journal.sqlite") as db:
        db.execute("UPDATE jobs SET place = ? WHERE state = 'failed'", (f"https://modelslab.com/{CANARY}/v6",))
        db.execute("UPDATE jobs SET reason = '=1+1: rose man', seed = NULL WHERE state = 'failed'")
    db.close()
    return user_directory


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    assert main(["jobs", *arguments]) == 0
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_a_plain_python_is_enough(tmp_path: Path) -> None:
    """-S leaves out every installed package, -I the environment: no requests, no torch, no ComfyUI."""
    journal(tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            str(ROOT / "tools" / "comfy.py"),
            "jobs",
            "--user-directory",
            str(tmp_path),
            "--by",
            "run",
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert (done.returncode, done.stderr.strip()) == (0, f"Reading {tmp_path / '__image_mixer' / 'journal.sqlite'}")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["run", "begun", "paid", "jobs", "images", "delivered", "missing", "may", "be", "paid"]
    assert [line.split()[-5:] for line in lines if line.startswith(("four images a job", "unknown", "total"))] == [
        ["4", "12", "12", "0", "0"],
        ["0", "0", "0", "0", "1"],
        ["21", "29", "26", "3", "1"],
    ]
    assert lines[-1].startswith("3 images are paid for and not here and 1 job may be paid for: queue the graph again")


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, "--user-directory", str(journal(tmp_path)), "--by", "endpoint", "--json")
    told = json.loads(out)
    assert told["total"] == {"paid_jobs": 21, "images": 29, "delivered": 26, "missing": 3, "may_be_paid_jobs": 1}
    assert [(one["name"], one["paid_jobs"]) for one in told["groups"]] == [
        ("modelslab.com", 15),
        ("stablediffusionapi.com", 6),
    ]
    assert told["advice"] and told["journal"].endswith("journal.sqlite") and CANARY not in out


def test_one_month(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = journal(tmp_path)
    out, _ = said(capsys, "--user-directory", str(base), "--month", "2026-11")
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["month", "2026-11", "total"]
    out, _ = said(capsys, "--user-directory", str(base), "--month", "2026-12")
    assert out.splitlines()[1].split() == ["total", "0", "0", "0", "0", "0"] and len(out.splitlines()) == 2
    with pytest.raises(SystemExit):
        main(["jobs", "--month", "2026-13"])


@pytest.mark.parametrize("name", ["jobs.csv", "jobs.json"])
def test_an_export_has_a_row_for_each_attempt_and_nothing_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = tmp_path / name
    _, err = said(capsys, "--user-directory", str(journal(tmp_path / "user")), "--export", str(file))
    assert err.splitlines()[-1] == f"Wrote 22 attempts to {file}"
    text = file.read_text(encoding="utf-8")
    assert CANARY not in text and "rose" not in text and "://" not in text
    if name.endswith("json"):
        rows: list[dict[str, Any]] = json.loads(text)
    else:
        with file.open(encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source))
    assert len(rows) == 22 and list(rows[0]) == list(jobs.COLUMNS)
    failed = next(row for row in rows if row["state"] == "failed")
    assert (failed["reason"], str(failed["seed"])) == ("'=1+1: ***" if name.endswith("csv") else "=1+1: ***", "101")
    four = next(row for row in rows if row["service_id"] == "1015")
    assert (str(four["images_wanted"]), str(four["images_delivered"]), four["identity"]) == ("4", "4", "efc387e9508c")


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--user-directory", "none"], 1, "error: There is no journal at "),
        (["--base", "empty"], 1, "error: The journal "),
        (["--user-directory", "empty/user", "--export", "x.xlsx"], 2, "name a file that ends in .csv or .json"),
        (["--base", "good", "--export", "none/x.csv"], 1, "x.csv cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "user" / "__image_mixer").mkdir(parents=True)
    (tmp_path / "empty" / "user" / "__image_mixer" / "journal.sqlite").touch()
    journal(tmp_path / "good" / "user")
    assert main(["jobs", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == "" and line in printed.err.splitlines()[-1]


class TestWhichJournal:
    @pytest.fixture(autouse=True)
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "variable"))
        monkeypatch.setattr(jobs, "ROOT", tmp_path / "around" / "custom_nodes" / "image-mixer")

    def found(self, **options: str) -> Path:
        names = ("user_directory", "base", "comfyui")
        return jobs.find_journal(
            argparse.Namespace(**{name: Path(options[name]) if name in options else None for name in names})
        )

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"user_directory": "u", "base": "b", "comfyui": "c"}, "u"),
            ({"base": "b", "comfyui": "c"}, "b/user"),
            ({"comfyui": "c"}, "c/user"),
        ],
    )
    def test_the_narrowest_option_counts(self, tmp_path: Path, options: dict[str, str], expected: str) -> None:
        assert self.found(**options) == tmp_path / expected / "__image_mixer" / "journal.sqlite"

    def test_without_one_it_says_which_of_several_is_read(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(ToolError, match="no journal was found: name your ComfyUI"):
            self.found()
        around = journal(tmp_path / "around" / "user") / "__image_mixer" / "journal.sqlite"
        assert self.found() == around
        assert capsys.readouterr().err == ""
        variable = journal(tmp_path / "variable" / "user") / "__image_mixer" / "journal.sqlite"
        assert self.found() == variable
        assert capsys.readouterr().err.startswith(f"There is another one, which is not read: {around} ")
