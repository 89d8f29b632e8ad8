"""Where files may be saved, looked at before a graph runs: afterwards the images would be paid for already."""

from __future__ import annotations

from pathlib import Path

import folder_paths

LONGEST_NAME = 240
"""Bytes of one name, with room for the counter and the ending."""


def valid(prefix: str | None, below: str = "") -> bool | str:
    """What `validate_inputs` answers for a beginning of file names in the output folder, or in `below` of it. A linked
    one (None) is looked at by ComfyUI when it is there."""
    text = prefix or ""
    folder = Path(folder_paths.get_output_directory()).resolve()
    if "\x00" in text or any(len(part.encode(errors="replace")) > LONGEST_NAME for part in Path(text).parts):
        return f"filename_prefix {text[:40]!r} is no name that a file can have: choose a shorter one without odd characters."
    if not (folder / below / text).resolve().is_relative_to(folder):
        return f"filename_prefix {text[:80]!r} leads out of ComfyUI's output folder: choose a name in it."
    return True
