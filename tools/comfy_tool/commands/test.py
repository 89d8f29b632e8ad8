"""The command `test`: runs the tests by tier. A tier that cannot run counts as failed; nothing is left out silently."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ToolError, UsageError
from ..install import pins
from ..install.environment import clean_environment
from ..install.programs import CHROMIUM_VARIABLE, FRONT_END_VARIABLE, ensure_chromium, ensure_front_end, ensure_node
from ..install.sandbox import Builder, Sandbox
from ..paths import ROOT
from . import soak
from .checks import static_checks
from .lanes import Output, lanes_of, side_by_side
from .outcome import Outcome, counts_of, joined, noted_in
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

NOT_SOAK = "not soak"
SMOKE = "smoke and not soak"
NO_TESTS = 5


@dataclass(frozen=True)
class Part:
    """A part of a tier, which runs beside others.

    `files` are globs of file names in its folders: only those are run, or all others if `inverted`. `markers` is added
    to the tier's marker expression. A part with the marker "alone" runs last, with nothing beside it.
    """

    tier: str
    name: str
    folders: tuple[str, ...]
    files: tuple[str, ...] = ()
    inverted: bool = False
    markers: str = ""


GRAPHS = ("test_beside_*.py", "test_fuzzed_*.py", "test_hybrid.py")
"""About half of the live tests, by the time that they take."""

ALONE = "alone"

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""For ComfyUI in tests. Threads that wait for each other actively would take the cores from the part beside."""

PARTS = (
    Part("comfyui", "live: graphs", ("live",), GRAPHS, markers=f"not {ALONE}"),
    Part("comfyui", "live: the rest", ("live",), GRAPHS, inverted=True, markers=f"not {ALONE}"),
    Part("comfyui", "in process", ("local", "parity", "nodes", "server", "training", "benchmarks")),
    Part("browser", "", ("browser",)),
    Part("pure", "remote", ("network", "remote")),
    Part("pure", CHECKS, ()),
    Part("pure", "others", ("mixing", "wire", "tools")),
    Part("comfyui", "live: alone", ("live",), markers=ALONE),
)
"""What runs side by side, the longest first, so that all lanes end at about the same time."""


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
    files: tuple[str, ...] = ()
    inverted: bool = False

    @property
    def title(self) -> str:
        """What it is called on the screen."""
        return f"{self.name}, {self.part}" if self.part else self.name

    @property
    def alone(self) -> bool:
        """Whether nothing may run beside it."""
        return self.markers.endswith(f" and {ALONE}")

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
    outcomes = [
        outcome
        for group in (False, True)
        for outcome in side_by_side([_work(part) for part in parts if part.alone == group], 1 if group else lanes_of())
    ]
    return joined(outcomes, [job.name for job in jobs])


def _work(job: Job) -> tuple[str, Callable[[Output], Outcome]]:
    return job.title, lambda output: run_job(job, [], output)


def parts_of(jobs: Sequence[Job]) -> list[Job]:
    """Return the parts of these tiers in the order in which they begin."""
    found = {job.name: job for job in jobs}
    return [
        replace(
            found[part.tier],
            folders=part.folders,
            part=part.name,
            files=part.files,
            inverted=part.inverted,
            markers=" and ".join(one for one in (found[part.tier].markers, part.markers) if one),
        )
        for part in PARTS
        if part.tier in found
    ]


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
        env = clean_environment() if job.name == "pure" else {**sandbox_environment(sandbox), **ONE_THREAD}
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
    folders = paths or paths_of(job, ROOT / "tests")
    if not folders:
        raise ToolError(f"there are no tests in tests/{job.folders[0]}")
    return run_pytest(job, sandbox, env, folders, [text for text in arguments if text not in paths], output)


def paths_of(job: Job, tests: Path) -> list[str]:
    """Return the folders of a job, or the files in them if it runs only some, relative to the root."""
    folders = [tests / name for name in job.folders if (tests / name).is_dir()]
    if not job.files:
        return [f"tests/{folder.name}" for folder in folders]
    files = [file for folder in folders for file in sorted(folder.rglob("test_*.py"))]
    chosen = [file for file in files if any(file.match(glob) for glob in job.files) != job.inverted]
    return [file.relative_to(tests.parent).as_posix() for file in chosen]


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
