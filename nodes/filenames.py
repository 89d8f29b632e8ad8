"""Checks on names of files to save. They run before the graph does, since its images may have to be paid for."""

from __future__ import annotations

from pathlib import Path

import folder_paths

LONGEST_NAME = 240
"""Most bytes of one name, which leaves room for the counter and the suffix."""


def valid(prefix: str | None, below: str = "") -> bool | str:
    """Return what `validate_inputs` must for a filename prefix in the output folder, or in its subfolder `below`.

    A linked prefix (None) is accepted: ComfyUI checks it when the node runs.
    """
    text = prefix or ""
    folder = Path(folder_paths.get_output_directory()).resolve()
    if "\x00" in text or any(len(part.encode(errors="replace")) > LONGEST_NAME for part in Path(text).parts):
        return f"filename_prefix {text[:40]!r} cannot be a file name: choose a shorter one without special characters."
    if not (folder / below / text).resolve().is_relative_to(folder):
        return f"filename_prefix {text[:80]!r} leads out of ComfyUI's output folder: choose a name inside it."
    return True
