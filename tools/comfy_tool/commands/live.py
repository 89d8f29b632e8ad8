"""`test --live`: make a few calls to the real, paid service with the owner's key. It is never part of a tier."""

from __future__ import annotations

import argparse
import os
import subprocess
from dataclasses import dataclass

from ..console import say
from ..errors import ToolError, UsageError
from ..install.sandbox import Builder
from ..paths import ROOT, cache_folder
from .sandboxed import safe_script, sandbox_environment

SCRIPT = ROOT / "tests" / "standin" / "real.py"
KEY = "MODELSLAB_API_KEY"


@dataclass(frozen=True)
class Question:
    """A question that only the service can answer, and how many paid jobs it needs at most in addition to earlier ones."""

    text: str
    jobs: int


QUESTIONS = (
    Question("Do weights act? Does the older service still answer?", 3),
    Question("Is an equal request answered with the same id and the same picture?", 1),
    Question("Does an answer repeat seed, prompt and addresses exactly, also a large seed?", 2),
    Question("Is a fragment on a picture's address taken, and repeated?", 1),
    Question("How does the account's list page, and how soon does a finished job show in it?", 0),
    Question("Is a job without a clear answer paid for? Seen only if one happens", 0),
)
JOBS = sum(question.jobs for question in QUESTIONS)


def command(options: argparse.Namespace) -> int:
    """Say what it costs, and make the calls only with --yes. Jobs that are already paid for are kept in the cache
    folder and are not paid for again."""
    folder = cache_folder() / "live"
    say(
        f"This makes at most {JOBS} paid jobs: {JOBS - 1} at modelslab.com (v6) and 1 at stablediffusionapi.com (v5), each"
    )
    say(
        "one image of 512 x 512. Two bundled photographs, a prompt and numbers are sent. Your plan says what a job costs."
    )
    for question in QUESTIONS:
        say(f"  {question.jobs or 'no'} paid job{'s' * (question.jobs != 1)}: {question.text}")
    say(f"The images and the journal are kept in {folder}: no job in it is paid for again.")
    if not options.yes:
        raise UsageError("nothing was sent: add --yes to pay for it")
    if not os.environ.get(KEY, "").strip():
        raise ToolError(f"nothing was sent: set {KEY} in the environment")
    if os.environ.get("CI"):
        raise ToolError("nothing was sent: this never runs in CI")
    sandbox = Builder().sandbox()
    script = [str(sandbox.python), *safe_script(SCRIPT), str(folder)]
    return subprocess.run(script, cwd=ROOT, env=sandbox_environment(sandbox), check=False).returncode
