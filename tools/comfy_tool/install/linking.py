"""Make the pack, and the user's own models, available to a ComfyUI without changing any of its folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ..errors import ToolError
from ..paths import NAME, ROOT

COPY_MARK = ".image-mixer-copy"
_NOT_COPIED = (".git", "__pycache__", "*.pyc", "node_modules", ".*_cache", ".hypothesis", "out", "demo")


def link_pack(base: Path, pack: Path = ROOT) -> Path:
    """Link `pack` into a ComfyUI base directory as the custom node image-mixer. Return the link.

    Raises ToolError if something else already has that name.
    """
    folder = base / "custom_nodes"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / NAME
    unlink_pack(base)
    if os.path.lexists(link):
        raise ToolError(f"{link} is in the way: move it elsewhere or choose another --base")
    link_folder(link, pack)
    return link


def link_folder(link: Path, target: Path) -> None:
    """Link to the folder `target`: by a symbolic link, on Windows a junction, or a copy if neither can be made."""
    try:
        link.symlink_to(target, target_is_directory=True)
        return
    except OSError:
        pass
    if sys.platform == "win32" and _junction(link, target):
        return
    shutil.copytree(target, link, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    (link / COPY_MARK).write_text(f"A copy of {target}, made again at every start.\n", encoding="utf-8")


def unlink_pack(base: Path) -> None:
    """Remove the link or copy that link_pack made. The pack's own folder is never touched."""
    link = base / "custom_nodes" / NAME
    if link.is_symlink():
        link.unlink()
    elif _is_junction(link):
        link.rmdir()
    elif (link / COPY_MARK).is_file():
        shutil.rmtree(link)


def _junction(link: Path, target: Path) -> bool:
    made = subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(target)], capture_output=True, check=False)
    return made.returncode == 0


def _is_junction(path: Path) -> bool:
    if sys.platform != "win32" or not os.path.lexists(path):
        return False
    return bool(os.lstat(path).st_reparse_tag == 0xA0000003)  # IO_REPARSE_TAG_MOUNT_POINT


def own_models_config(comfyui: Path, base: Path) -> Path:
    """Write a file for --extra-model-paths-config, so that a server on `base` also finds the models in the ComfyUI's
    own models folder. Return its path. Strings are quoted as in JSON, which YAML reads the same way."""
    models = comfyui / "models"
    names = sorted(entry.name for entry in models.iterdir() if entry.is_dir()) if models.is_dir() else []
    lines = ["image_mixer_own_models:", f"  base_path: {json.dumps(str(models))}"]
    lines += [f"  {json.dumps(name)}: {json.dumps(name)}" for name in names]
    file = base / "image_mixer_models.yaml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
