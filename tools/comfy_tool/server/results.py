"""Save the files of a run into one folder, whatever names the server gives them, and gather its texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ToolError

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST_NAME = 150


@dataclass
class Results:
    """Files that were saved, and texts that nodes showed as (node id, text)."""

    files: list[Path] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)


def collect(outputs: Mapping[str, Any], out: Path, fetch: Callable[[dict[str, Any]], bytes]) -> Results:
    """Save the files that a run's outputs name, and gather its texts. `fetch` returns a file's bytes.

    Temporary previews are saved only if the run made no other file. Raises ToolError if a file cannot be written.
    """
    results, entries = Results(), []
    for node_id, output in outputs.items():
        for key, values in output.items() if isinstance(output, dict) else ():
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, dict) and isinstance(value.get("filename"), str):
                    entries.append(value)
                elif key in ("text", "string") and isinstance(value, str):
                    results.texts.append((node_id, value))
    lasting = [entry for entry in entries if entry.get("type", "output") == "output"]
    for entry in lasting or entries:
        content = fetch(entry)
        try:
            results.files.append(save(content, entry["filename"], out))
        except OSError as error:
            raise ToolError(f"{out} cannot be written to ({error}): choose another --out") from error
    return results


def save(content: bytes, name: str, out: Path) -> Path:
    """Write a file into `out` under a safe form of `name`, and return its path. Existing files are never overwritten."""
    out.mkdir(parents=True, exist_ok=True)
    safe = safe_name(name)
    stem, dot, end = safe.rpartition(".")
    stem, end = (stem, dot + end) if stem else (safe, "")
    number = 1
    while True:
        path = out / (f"{stem}{end}" if number == 1 else f"{stem}-{number}{end}")
        try:
            with path.open("xb") as sink:
                sink.write(content)
            return path
        except FileExistsError:
            number += 1


def safe_name(name: str) -> str:
    """Return a server's file name as a plain name without folders that every system accepts."""
    last = re.split(r"[/\\]", name)[-1]
    safe = re.sub(r'[<>:"|?*\x00-\x1f\x7f]', "_", last).strip(" .")[-LONGEST_NAME:]
    if not safe:
        return "file"
    return f"_{safe}" if _RESERVED.fullmatch(safe) else safe
