"""The registry's package of this pack: the files that go into it, as the working tree has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder. Return its output. Raises CalledProcessError."""
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "core.autocrlf=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def copy_of_the_repository(folder: Path) -> Path:
    """Copy the tracked files, as they are now, to a new repository in `folder`: comfy-cli packs what git tracks."""
    for name in filter(None, git(ROOT, "ls-files", "-z").split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    return folder


def packed_files() -> list[str]:
    """Return the tracked files that .comfyignore does not leave out."""
    left_out = set(git(ROOT, "ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore").split("\0"))
    return sorted(name for name in git(ROOT, "ls-files", "-z").split("\0") if name and name not in left_out)
