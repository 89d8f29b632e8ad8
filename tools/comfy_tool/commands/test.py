"""The command `test`: runs the tests by tier. A tier that cannot run counts as failed; nothing is left out silently."""

from __future__ import annotations

import argparse
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..console import elapsed
from ..errors import ToolError, UsageError
from ..install import pins
from ..install.environment import clean_environment
from ..install.programs import CHROMIUM_VARIABLE, FRONT_END_VARIABLE, ensure_chromium, ensure_front_end, ensure_node
from ..install.sandbox import Builder, Sandbox
from ..paths import ROOT
from . import soak
from .checks import static_checks
from .lanes import Output, lanes_of, side_by_side
from .sandboxed import safe_module, sandbox_environment

TIERS = ("pure", "comfyui", "browser", "soak")

# Which folders of tests/ belong to which tier. A folder that belongs to no tier fails every run.
FOLDERS = {
    "pure": ("mixing", "wire", "network", "remote", "tools"),
    "comfyui": ("local", "parity", "nodes", "server", "live", "training", "benchmarks"),
    "browser": ("browser",),
}
NOT_PYTHON = ("standin", "support", "web")

CHECKS = "checks"
"""The part of the pure tier that runs no test of Python."""

PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("comfyui", "live", ("live",)),
    ("comfyui", "in process", ("local", "parity", "nodes", "server", "training", "benchmarks")),
    ("browser", "", ("browser",)),
    ("pure", "remote", ("network", "remote")),
    ("pure", CHECKS, ()),
    ("pure", "others", ("mixing", "wire", "tools")),
)
"""What runs side by side: (tier, name, folders), the longest first, so that all lanes end at about the same time."""

NOT_SOAK = "not soak"
SMOKE = "smoke and not soak"
NO_TESTS = 5


@dataclass(frozen=True)
class Outcome:
    """The outcome of one tier, or of a part of it. `problem` is one line, empty if all passed.

    `noted` are the figures that tests recorded as properties, such as "test_x: unknown 2".
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
        """Whether all passed."""
        return not self.problem

    def line(self) -> str:
        """Return the summary line."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped in {elapsed(self.seconds)}"
        return f"tier {self.name}: {'passed' if self.ok else 'FAILED'} ({counts}){self.problem and ': ' + self.problem}"


@dataclass(frozen=True)
class Job:
    """One pytest run: which folders, which marker expression, and in which ComfyUI with which front end.

    `part` names a part of a tier, "" stands for all of it.
    """

    name: str
    folders: tuple[str, ...]
    markers: str
    version: str = pins.DEFAULT_VERSION
    newest_front_end: bool = False
    part: str = ""

    @property
    def title(self) -> str:
        """What it is called on the screen."""
        return f"{self.name}, {self.part}" if self.part else self.name

    @property
    def checks(self) -> bool:
        """Whether the static checks are part of it."""
        return self.name == "pure" and self.part in ("", CHECKS)


def command(options: argparse.Namespace) -> int:
    """Run the tiers asked for, print a line for each, and return 0 only if every one passed.

    With arguments for pytest, and in the soak tier, one run follows the other with its output on the screen; otherwise
    the parts of the tiers run side by side.
    """
    unclaimed = unclaimed_folders(ROOT / "tests")
    if unclaimed:
        raise ToolError(f"tests/{unclaimed[0]} belongs to no tier: name it in tools/comfy_tool/commands/test.py")
    jobs = plan(options.tier, test_paths(options.rest))
    if options.rest or options.tier == "soak" or lanes_of() == 1:
        outcomes = [run_job(job, options.rest) for job in jobs]
    else:
        outcomes = run_parts(jobs)
    if options.tier == "soak":
        soak.write_results(outcomes, ROOT / "benchmarks" / "RESULTS.md")
    for outcome in outcomes:
        print(outcome.line(), flush=True)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def run_parts(jobs: Sequence[Job]) -> list[Outcome]:
    """Run the parts of these tiers side by side, and return one outcome per tier."""
    parts = parts_of(jobs)
    if len(parts) == 1:
        return [run_job(parts[0], [])]
    prepare(jobs)
    works = [(part.title, lambda output, part=part: run_job(part, [], output)) for part in parts]
    return joined(side_by_side(works), [job.name for job in jobs])


def parts_of(jobs: Sequence[Job]) -> list[Job]:
    """Return the parts of these tiers in the order in which they begin."""
    found = {job.name: job for job in jobs}
    return [replace(found[tier], folders=folders, part=part) for tier, part, folders in PARTS if tier in found]


def prepare(jobs: Sequence[Job]) -> None:
    """Set up what the parts need, so that none of them waits for another. Each says by itself what it lacks."""
    try:
        sandbox = Builder().sandbox()
        if any(job.name == "browser" for job in jobs):
            ensure_chromium(sandbox)
        if any(job.checks for job in jobs):
            ensure_node()
    except ToolError:
        return


def joined(outcomes: Sequence[Outcome], names: Sequence[str]) -> list[Outcome]:
    """Return one outcome per name from those of its parts: counts and seconds added up, problems one after the other."""
    made = []
    for name in names:
        parts = [one for one in outcomes if one.name == name]
        passed, failed, skipped = (sum(getattr(one, key) for one in parts) for key in ("passed", "failed", "skipped"))
        problem = "; ".join(one.problem for one in parts if one.problem)
        noted = tuple(line for one in parts for line in one.noted)
        made.append(Outcome(name, passed, failed, skipped, sum(one.seconds for one in parts), problem, noted))
    return made


def plan(tier: str | None, paths: Sequence[str] = ()) -> list[Job]:
    """Return the pytest runs that make up a tier. If paths are named, return only the runs that they belong to."""
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
    """Return those of pytest's arguments that name tests, as paths relative to the root."""
    return [text for text in arguments if text.startswith("tests") and (ROOT / text.split("::")[0]).exists()]


def unclaimed_folders(tests: Path) -> list[str]:
    """Return the folders with tests that no tier runs."""
    known = {name for folders in FOLDERS.values() for name in folders} | set(NOT_PYTHON)
    found = {path.relative_to(tests).parts[0] for path in tests.rglob("test_*.py") if path.parent != tests}
    return sorted(found - known)


def run_job(job: Job, arguments: Sequence[str], output: Output | None = None) -> Outcome:
    """Run the checks and tests of a tier, or of a part of it. If it cannot run, the reason becomes its problem."""
    started = time.monotonic()
    output = output or Output()
    output.say(f"== {job.title} ==")
    try:
        sandbox = Builder().sandbox(job.version)
        env = clean_environment() if job.name == "pure" else sandbox_environment(sandbox)
        if job.folders == FOLDERS["browser"]:
            env[CHROMIUM_VARIABLE] = str(ensure_chromium(sandbox))
        if job.newest_front_end:
            env[FRONT_END_VARIABLE] = str(ensure_front_end())
        problems = []
        if job.checks and arguments:
            output.say("ruff, mypy and node are left out, since pytest arguments were given")
        elif job.checks:
            problems = static_checks(sandbox, env, output)
        if job.part == CHECKS:
            return Outcome(job.name, 0, 0, 0, time.monotonic() - started, "; ".join(problems))
        outcome = run_tests(job, sandbox, env, arguments, output)
    except ToolError as error:
        return Outcome(job.name, 0, 0, 0, time.monotonic() - started, str(error))
    problems += [outcome.problem] if outcome.problem else []
    return replace(outcome, seconds=time.monotonic() - started, problem="; ".join(problems))


def run_tests(job: Job, sandbox: Sandbox, env: Mapping[str, str], arguments: Sequence[str], output: Output) -> Outcome:
    """Run pytest on the paths among `arguments`, or else on the folders of the job. Raise ToolError if there are none."""
    paths = test_paths(arguments)
    folders = paths or [f"tests/{name}" for name in job.folders if (ROOT / "tests" / name).is_dir()]
    if not folders:
        raise ToolError(f"there are no tests in tests/{job.folders[0]}")
    return run_pytest(job, sandbox, env, folders, [text for text in arguments if text not in paths], output)


def run_pytest(
    job: Job,
    sandbox: Sandbox,
    env: Mapping[str, str],
    folders: Sequence[str],
    arguments: Sequence[str],
    output: Output,
) -> Outcome:
    """Run pytest once in the sandbox's Python; the counts come from its own XML report."""
    with tempfile.TemporaryDirectory(prefix="image-mixer-report-") as scratch:
        report = Path(scratch) / "report.xml"
        markers = ["-m", job.markers] if job.markers else []
        options = ["-p", "no:cacheprovider", f"--junitxml={report}", *markers]
        command = [str(sandbox.python), *safe_module("pytest"), *folders, *options, *arguments]
        code = output.run(command, ROOT, env)
        passed, failed, skipped = counts_of(report)
        noted = noted_in(report)
    if code == NO_TESTS or (code == 0 and passed == 0):
        problem = "no test was run"
    else:
        problem = "" if code == 0 else f"pytest ended with exit code {code}"
    return Outcome(job.name, passed, failed, skipped, 0.0, problem, noted)


def counts_of(report: Path) -> tuple[int, int, int]:
    """Return (passed, failed, skipped) of a JUnit report; zeros if the file does not exist."""
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
    """Return the properties that tests recorded in a JUnit report, each with its test's name."""
    try:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return ()
    return tuple(
        f"{case.get('name')}: {one.get('name')} {one.get('value')}" for case in cases for one in case.iter("property")
    )
