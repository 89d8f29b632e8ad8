"""`test`: the tests by tiers. A tier that cannot run has failed; nothing is left out in silence."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..console import elapsed, say
from ..errors import ToolError, UsageError
from ..install import pins
from ..install.environment import clean_environment
from ..install.linking import link_folder
from ..install.programs import CHROMIUM_VARIABLE, FRONT_END_VARIABLE, ensure_chromium, ensure_front_end, ensure_node
from ..install.sandbox import Builder, Sandbox
from ..paths import ROOT
from . import soak

TIERS = ("pure", "comfyui", "browser", "soak")

# Which folders of tests/ belong to which tier. One that is in none of them fails every run.
FOLDERS = {
    "pure": ("mixing", "wire", "network", "remote", "tools"),
    "comfyui": ("local", "parity", "nodes", "server", "live", "training", "benchmarks"),
    "browser": ("browser",),
}
NOT_PYTHON = ("standin", "support", "web")

TYPED = ("mixing", "wire", "network", "remote", "tools")
"""The rooms that mypy reads, strictly."""

NOT_SOAK = "not soak"
SMOKE = "smoke and not soak"
NO_TESTS = 5


@dataclass(frozen=True)
class Outcome:
    """What came of one tier, or of one check in it. `problem` is one line, empty when all went well.

    `noted` are the figures that tests recorded as properties, "test_x: unknown 2".
    """

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    problem: str = ""
    noted: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it passed."""
        return not self.problem

    def line(self) -> str:
        """The summary line."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped in {elapsed(self.seconds)}"
        return f"tier {self.name}: {'passed' if self.ok else 'FAILED'} ({counts}){self.problem and ': ' + self.problem}"


@dataclass(frozen=True)
class Job:
    """One pytest run: which folders, which marker expression, and in which ComfyUI with which front end."""

    name: str
    folders: tuple[str, ...]
    markers: str
    version: str = pins.DEFAULT_VERSION
    newest_front_end: bool = False


def command(options: argparse.Namespace) -> int:
    """Run the tiers asked for, print a line for each, and give 0 only when every one passed."""
    unclaimed = unclaimed_folders(ROOT / "tests")
    if unclaimed:
        raise ToolError(f"tests/{unclaimed[0]} belongs to no tier: name it in tools/comfy_tool/commands/test.py")
    jobs = plan(options.tier, test_paths(options.rest))
    outcomes = [run_job(job, options.rest) for job in jobs]
    if options.tier == "soak":
        soak.write_results(outcomes, ROOT / "benchmarks" / "RESULTS.md")
    for outcome in outcomes:
        print(outcome.line(), flush=True)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def plan(tier: str | None, paths: Sequence[str] = ()) -> list[Job]:
    """The pytest runs that make up a tier. Paths, where any are named, choose among them."""
    if tier == "soak":
        others = [version for version in reversed(pins.RELEASES) if version != pins.DEFAULT_VERSION]
        jobs = [Job(f"comfyui on {version}", FOLDERS["comfyui"], "", version) for version in others]
        jobs += [Job(name, folders, "") for name, folders in FOLDERS.items()]
        newest = pins.FRONT_END.rpartition("==")[2]
        return [*jobs, Job(f"browser on front end {newest}", FOLDERS["browser"], "", newest_front_end=True)]
    if tier:
        return [Job(tier, FOLDERS[tier], NOT_SOAK)]
    jobs = [Job(name, FOLDERS[name], SMOKE if name == "browser" else NOT_SOAK) for name in FOLDERS]
    if not paths:
        return jobs
    wanted = {Path(path).parts[1] for path in paths if len(Path(path).parts) > 1}
    chosen = [job for job in jobs if wanted & set(job.folders)]
    if not chosen:
        raise UsageError(f"{paths[0]} belongs to no tier: name a file or folder below tests/mixing and the like")
    return chosen


def test_paths(arguments: Sequence[str]) -> list[str]:
    """Those of pytest's arguments that name tests, as paths from the root on."""
    return [text for text in arguments if text.startswith("tests") and (ROOT / text.split("::")[0]).exists()]


def unclaimed_folders(tests: Path) -> list[str]:
    """Folders with tests in them that no tier runs."""
    known = {name for folders in FOLDERS.values() for name in folders} | set(NOT_PYTHON)
    found = {path.relative_to(tests).parts[0] for path in tests.rglob("test_*.py") if path.parent != tests}
    return sorted(found - known)


def run_job(job: Job, arguments: Sequence[str]) -> Outcome:
    """Run one tier's checks and tests. What keeps it from running becomes its problem."""
    started = time.monotonic()
    say(f"== {job.name} ==")
    try:
        sandbox = Builder().sandbox(job.version)
        env = clean_environment() if job.name == "pure" else sandbox_environment(sandbox)
        if job.folders == FOLDERS["browser"]:
            env[CHROMIUM_VARIABLE] = str(ensure_chromium(sandbox))
        if job.newest_front_end:
            env[FRONT_END_VARIABLE] = str(ensure_front_end())
        problems = static_checks(sandbox, env, arguments) if job.name == "pure" else []
        paths = test_paths(arguments)
        folders = paths or [f"tests/{name}" for name in job.folders if (ROOT / "tests" / name).is_dir()]
        if not folders:
            raise ToolError(f"there are no tests in tests/{job.folders[0]}")
        rest = [text for text in arguments if text not in paths]
        outcome = run_pytest(job, sandbox, env, folders, rest)
    except ToolError as error:
        return Outcome(job.name, 0, 0, 0, time.monotonic() - started, str(error))
    problems += [outcome.problem] if outcome.problem else []
    seconds = time.monotonic() - started
    return replace(outcome, seconds=seconds, problem="; ".join(problems))


def run_pytest(
    job: Job, sandbox: Sandbox, env: Mapping[str, str], folders: Sequence[str], arguments: Sequence[str]
) -> Outcome:
    """One pytest run in the sandbox's Python, its output on screen, its counts from its own XML report."""
    with tempfile.TemporaryDirectory(prefix="image-mixer-report-") as scratch:
        report = Path(scratch) / "report.xml"
        markers = ["-m", job.markers] if job.markers else []
        options = ["-p", "no:cacheprovider", f"--junitxml={report}", *markers]
        command = [str(sandbox.python), *safe_module("pytest"), *folders, *options, *arguments]
        code = subprocess.run(command, cwd=ROOT, env=dict(env), check=False).returncode
        passed, failed, skipped = counts_of(report)
        noted = noted_in(report)
    if code == NO_TESTS or (code == 0 and passed == 0):
        problem = "no test was run"
    else:
        problem = "" if code == 0 else f"pytest ended with exit code {code}"
    return Outcome(job.name, passed, failed, skipped, 0.0, problem, noted)


def counts_of(report: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped in a JUnit report; zeros when there is none."""
    try:
        suites = ElementTree.parse(report).getroot().iter("testsuite")
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    passed = failed = skipped = 0
    for suite in suites:
        total, bad, left = (int(suite.get(key, "0")) for key in ("tests", "failures", "skipped"))
        bad += int(suite.get("errors", "0"))
        passed, failed, skipped = passed + total - bad - left, failed + bad, skipped + left
    return passed, failed, skipped


def noted_in(report: Path) -> tuple[str, ...]:
    """The properties that tests recorded in a JUnit report, each with its test's name."""
    try:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return ()
    return tuple(
        f"{case.get('name')}: {one.get('name')} {one.get('value')}" for case in cases for one in case.iter("property")
    )


def static_checks(sandbox: Sandbox, env: Mapping[str, str], arguments: Sequence[str]) -> list[str]:
    """ruff, mypy and the tests of the web part; gives the names of those that failed."""
    if arguments:
        say("ruff, mypy and node are left out, since pytest arguments were given")
        return []
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
        say(f"-- {name}")
        if subprocess.run(made(), cwd=ROOT, env=dict(env), check=False).returncode != 0:
            problems.append(f"{name} found faults")
    say("-- mypy")
    return problems + ([] if types_hold(python, env) else ["mypy found faults"])


def types_hold(python: str, env: Mapping[str, str]) -> bool:
    """Say whether mypy finds no fault. The pack is read as the package `image_mixer`, whatever its folder is called: its
    relative imports lead from one room to another, and mypy takes what it cannot find for Any."""
    with tempfile.TemporaryDirectory(prefix="image-mixer-types-") as scratch:
        link_folder(Path(scratch) / "image_mixer", ROOT)
        rooms = [part for room in TYPED for part in ("-p", f"image_mixer.{room}")]
        config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", os.devnull]
        command = [python, *safe_module("mypy"), *config, *rooms]
        return subprocess.run(command, cwd=scratch, env=dict(env), check=False).returncode == 0


def sandbox_environment(sandbox: Sandbox) -> dict[str, str]:
    """The environment of tests and benchmarks that need ComfyUI: importable, and found by COMFYUI_PATH."""
    return {**clean_environment(), "COMFYUI_PATH": str(sandbox.comfyui), "PYTHONPATH": str(sandbox.comfyui)}


def safe_module(module: str) -> list[str]:
    """Python's arguments to run a module without the current folder on the path: this pack has a folder `nodes`, and
    so is ComfyUI's main module called."""
    if sys.version_info >= (3, 11):
        return ["-P", "-m", module]
    start = "import runpy, sys; sys.path[:] = [p for p in sys.path if p]; "
    return ["-c", f"{start}runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"]


def safe_script(script: Path) -> list[str]:
    """Python's arguments to run a script without its folder on the path."""
    if sys.version_info >= (3, 11):
        return ["-P", str(script)]
    start = "import runpy, sys; sys.path[:] = [p for p in sys.path if p]; "
    return ["-c", f"{start}runpy.run_path({str(script)!r}, run_name='__main__')"]
