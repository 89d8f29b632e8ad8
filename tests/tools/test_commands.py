"""The command line as a whole: usage, exit codes, tiers, the record of a soak."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from image_mixer.remote.endpoints import load_settings
from image_mixer.tools.comfy_tool.commands import soak
from image_mixer.tools.comfy_tool.commands import test as tiers
from image_mixer.tools.comfy_tool.commands.lanes import Output
from image_mixer.tools.comfy_tool.errors import ToolError, UsageError
from image_mixer.tools.comfy_tool.install.sandbox import Sandbox
from image_mixer.tools.comfy_tool.main import main, parser
from image_mixer.tools.comfy_tool.server import standin

ENTRY = Path(__file__).resolve().parents[2] / "tools" / "comfy.py"


def command(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, str(ENTRY), *arguments], capture_output=True, text=True, check=False, cwd=Path.home()
    )


class TestTheEntry:
    @pytest.mark.parametrize("python", [(), ("-I",), ("-P",) if sys.version_info >= (3, 11) else ("-s",)])
    def test_from_anywhere(self, python: tuple[str, ...]) -> None:
        done = command("--help", python=python)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(word in done.stdout for word in ("serve", "run", "jobs", "test", "bench"))

    @pytest.mark.parametrize(
        ("arguments", "code", "line"),
        [
            ((), 2, "required: COMMAND"),
            (("serve", "--port", "70000"), 2, "a port is a number from 0 to 65535"),
            (("serve", "--version", "0.1"), 2, "invalid choice: '0.1'"),
            (("serve", "--comfyui", "/nowhere/at/all"), 2, "holds no ComfyUI"),
            (("test", "--live"), 2, "nothing was sent: add --yes to pay for it"),
            (("serve", "--unknown"), 2, "unrecognized arguments: --unknown"),
            (("run", "x.json", "--", "-k"), 2, "run takes no arguments after --"),
            (("run", "/nowhere.json"), 2, "cannot be read"),
            (("test", "--tier", "none"), 2, "invalid choice: 'none'"),
            (("bench", "nothing-such"), 2, "no benchmark 'nothing-such'"),
        ],
    )
    def test_one_line(self, arguments: tuple[str, ...], code: int, line: str) -> None:
        done = command(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert line in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr

    def test_the_rest_goes_to_pytest_and_to_comfyui(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Any] = []
        for module in (tiers, __import__(tiers.__package__ + ".serve", fromlist=["serve"])):
            monkeypatch.setattr(module, "command", lambda options: seen.append(options) or 0)
        main(["test", "--tier", "pure", "-k", "weights", "-x", "--tb=short", "tests/tools"])
        main(["test", "-q", "--", "--maxfail", "1"])
        main(["serve", "--port", "0", "--", "--lowvram", "--port", "9"])
        assert [(one.rest, getattr(one, "tier", None)) for one in seen] == [
            (["-k", "weights", "-x", "--tb=short", "tests/tools"], "pure"),
            (["-q", "--maxfail", "1"], None),
            (["--lowvram", "--port", "9"], None),
        ]

    def test_every_option_has_a_help_text(self) -> None:
        actions = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
        for name, one in actions.items():  # type: ignore[union-attr]
            assert all(action.help for action in one._actions), name


class TestTiers:
    @pytest.mark.parametrize(
        ("tier", "paths", "expected"),
        [
            (
                None,
                [],
                [
                    ("pure", "not soak", "0.30.0"),
                    ("comfyui", "not soak", "0.30.0"),
                    ("browser", "smoke and not soak", "0.30.0"),
                ],
            ),
            ("browser", [], [("browser", "not soak", "0.30.0")]),
            (None, ["tests/tools/test_run.py::test_json"], [("pure", "not soak", "0.30.0")]),
            (
                "soak",
                [],
                [
                    ("comfyui on 0.18.2", "", "0.18.2"),
                    ("comfyui on 0.24.0", "", "0.24.0"),
                    ("pure", "", "0.30.0"),
                    ("comfyui", "", "0.30.0"),
                    ("browser", "", "0.30.0"),
                    ("browser on front end 1.58.1", "", "0.30.0"),
                ],
            ),
        ],
    )
    def test_plans(self, tier: str | None, paths: list[str], expected: list[tuple[str, str, str]]) -> None:
        assert [(job.name, job.markers, job.version) for job in tiers.plan(tier, paths)] == expected

    def test_a_path_outside_all_tiers(self) -> None:
        with pytest.raises(UsageError, match="belongs to no tier"):
            tiers.plan(None, ["tests/conftest.py"])

    def test_every_folder_with_tests_is_in_a_tier(self, tmp_path: Path) -> None:
        assert tiers.unclaimed_folders(ENTRY.parents[1] / "tests") == []
        (tmp_path / "new" / "deep").mkdir(parents=True)
        (tmp_path / "new" / "deep" / "test_it.py").touch()
        (tmp_path / "test_top.py").touch()
        assert tiers.unclaimed_folders(tmp_path) == ["new"]

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ("def test_a(): pass", (1, 0, 0, "")),
            ("def test_a(): assert 0\ndef test_b(): pass", (1, 1, 0, "pytest ended with exit code 1")),
            ("import pytest\n@pytest.mark.skip\ndef test_a(): pass", (0, 0, 1, "no test was run")),
            ("x = 1", (0, 0, 0, "no test was run")),
            ("def test_a(: pass", (0, 1, 0, "pytest ended with exit code 2")),
            ("import pytest\n@pytest.mark.soak\ndef test_a(): pass", (0, 0, 0, "no test was run")),
            ("import sys\ndef test_a(): assert '' not in sys.path", (1, 0, 0, "")),
        ],
    )
    def test_a_real_pytest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, expected: tuple[int, int, int, str]
    ) -> None:
        (tmp_path / "test_it.py").write_text(body, encoding="utf-8")
        (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = soak\n", encoding="utf-8")
        monkeypatch.setattr(tiers, "ROOT", tmp_path)
        job = tiers.Job("pure", (), "not soak")
        sandbox = Sandbox("0", tmp_path, Path(sys.executable))
        env = {**tiers.clean_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        found = tiers.run_pytest(job, sandbox, env, ["test_it.py"], ["-q"], Output())
        assert (found.passed, found.failed, found.skipped, found.problem) == expected

    def test_a_tier_that_cannot_run_has_failed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: object, version: str) -> None:
            raise ToolError("no network")

        monkeypatch.setattr(tiers.Builder, "sandbox", fail)
        found = tiers.run_job(tiers.Job("browser", ("browser",), ""), [])
        assert (found.ok, found.problem) == (False, "no network")
        assert found.line() == "tier browser: FAILED (0 passed, 0 failed, 0 skipped in 0 s): no network"

    @pytest.mark.parametrize("code", [0, 1])
    def test_the_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
    ) -> None:
        outcome = tiers.Outcome("pure", 3, 0, 1, 61.0, "bad" if code else "")
        monkeypatch.setattr(tiers, "run_job", lambda job, rest: outcome)
        monkeypatch.setattr(tiers, "lanes_of", lambda: 1)
        assert main(["test", "--tier", "pure"]) == code
        (line,) = capsys.readouterr().out.splitlines()
        assert (
            line
            == [
                "tier pure: passed (3 passed, 0 failed, 1 skipped in 1 min 01 s)",
                "tier pure: FAILED (3 passed, 0 failed, 1 skipped in 1 min 01 s): bad",
            ][code]
        )

    def test_the_parts_of_a_tier_are_all_of_it(self) -> None:
        """Every test file is in one part, or in one for each of its two markers, of which a test has one or the other."""
        tests = ENTRY.parents[1] / "tests"
        for tier, folders in tiers.FOLDERS.items():
            parts = tiers.parts_of(tiers.plan(tier))
            run: dict[str, list[str]] = {}
            for part in parts:
                for path in tiers.paths_of(part, tests):
                    found = tests.parent / path
                    for file in sorted(found.rglob("test_*.py")) if found.is_dir() else [found]:
                        run.setdefault(str(file), []).append(part.markers)
            every = [str(file) for name in folders for file in (tests / name).rglob("test_*.py")]
            assert sorted(run) == sorted(every)
            for file, markers in run.items():
                assert markers in (["not soak"], ["not soak and not alone", "not soak and alone"]), file
            assert sum(part.checks for part in parts) == (tier == "pure")
            assert [part.title for part in parts if part.alone] == ["comfyui, live: alone"] * (tier == "comfyui")
        (browser,) = (part for part in tiers.parts_of(tiers.plan(None)) if part.name == "browser")
        assert browser.markers == "smoke and not soak"

    def test_parts_make_one_line_per_tier(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def run(job: tiers.Job, rest: list[str], output: Output) -> tiers.Outcome:
            output.say(f"output of {job.title}")
            problem = "pytest ended with exit code 1" if job.part == "live: graphs" else ""
            return tiers.Outcome(job.name, 2, bool(problem), 0, 30.0, problem)

        monkeypatch.setattr(tiers, "run_job", run)
        monkeypatch.setattr(tiers, "prepare", lambda jobs: None)
        monkeypatch.setattr(tiers, "lanes_of", lambda: 2)
        assert main(["test"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[-3:] == [
            "tier pure: passed (6 passed, 0 failed, 0 skipped in 1 min 30 s)",
            "tier comfyui: FAILED (8 passed, 1 failed, 0 skipped in 2 min 00 s): pytest ended with exit code 1",
            "tier browser: passed (2 passed, 0 failed, 0 skipped in 30 s)",
        ]
        assert sorted(lines[:-3]) == sorted(f"output of {job.title}" for job in tiers.parts_of(tiers.plan(None)))


class TestSoakRecord:
    OUTCOMES = (
        tiers.Outcome("comfyui on 0.18.2", 5, 0, 1, 61.0),
        tiers.Outcome("pure", 1, 2, 0, 3.0, "ruff found faults"),
    )

    def test_written_and_replaced(self, tmp_path: Path) -> None:
        file = tmp_path / "benchmarks" / "RESULTS.md"
        soak.write_results(self.OUTCOMES, file)
        first = file.read_text(encoding="utf-8")
        assert first.startswith("# Results\n\n## Soak\n")
        assert "| comfyui on 0.18.2 | 5 | 0 | 1 | 1 min 01 s | passed |" in first
        assert "| pure | 1 | 2 | 0 | 3 s | ruff found faults |" in first
        file.write_text("# Results\n\n## Local\n\nfast\n\n## Soak\n\nold\n\n## Remote\n\nslow\n", encoding="utf-8")
        for _ in range(2):
            soak.write_results(self.OUTCOMES, file)
        text = file.read_text(encoding="utf-8")
        assert text.count("## Soak") == 1
        assert "old" not in text
        assert text.index("## Local\n\nfast\n") < text.index("## Soak") < text.index("## Remote\n\nslow\n")

    def test_what_tests_recorded_is_kept(self, tmp_path: Path) -> None:
        report = tmp_path / "report.xml"
        report.write_text(
            '<testsuites><testsuite tests="1"><testcase name="test_kills"><properties><property name="unknown" value="2"/>'
            "</properties></testcase></testsuite></testsuites>",
            encoding="utf-8",
        )
        assert tiers.noted_in(report) == ("test_kills: unknown 2",)
        assert tiers.noted_in(tmp_path / "none.xml") == ()
        outcome = tiers.Outcome("comfyui", 1, 0, 0, 3.0, "", tiers.noted_in(report))
        assert soak.section([outcome]).endswith("| passed |\n\n- comfyui, test_kills: unknown 2\n")


class TestWithService:
    def test_profiles_are_written_over_ours_and_never_over_the_owners(self, tmp_path: Path) -> None:
        file = standin.write_profiles(tmp_path, {"modelslab v6": "http://127.0.0.1:1/api/v6"})
        standin.write_profiles(tmp_path, {"modelslab v6": "http://127.0.0.1:2/api/v6"})
        assert load_settings(file).endpoint("modelslab v6").base_url == "http://127.0.0.1:2/api/v6"
        file.write_text("# mine\n", encoding="utf-8")
        with pytest.raises(ToolError, match="already exists and is yours"):
            standin.write_profiles(tmp_path, {"modelslab v6": "http://127.0.0.1:3/api/v6"})
        assert file.read_text(encoding="utf-8") == "# mine\n"
