"""`test --live`: a few calls to the real, paid service with the owner's key. Never part of a tier."""

from __future__ import annotations

import argparse
import os
import subprocess

from .console import say
from .errors import ToolError, UsageError
from .places import ROOT, cache_folder
from .sandbox import Builder
from .tiers import safe_script, sandbox_environment

SCRIPT = ROOT / "tests" / "service" / "real.py"
KEY = "MODELSLAB_API_KEY"
JOBS = 3


def command(options: argparse.Namespace) -> int:
    """Say what it costs, and call only after --yes. What was paid for stays in the cache folder, and is not paid for
    again."""
    folder = cache_folder() / "live"
    say(f"This makes {JOBS} paid jobs at most: 2 at modelslab.com (v6) and 1 at stablediffusionapi.com (v5), each an")
    say("image of 512 x 512. Two bundled photographs, a prompt and numbers are sent. What a job costs, your plan says.")
    say(f"Images and journal stay in {folder}: a job that is there is not paid for again.")
    if not options.yes:
        raise UsageError("nothing was sent: add --yes to pay for it")
    if not os.environ.get(KEY, "").strip():
        raise ToolError(f"nothing was sent: set {KEY} in the environment")
    if os.environ.get("CI"):
        raise ToolError("nothing was sent: this never runs in CI")
    sandbox = Builder().sandbox()
    script = [str(sandbox.python), *safe_script(SCRIPT), str(folder)]
    return subprocess.run(script, cwd=ROOT, env=sandbox_environment(sandbox), check=False).returncode
