"""Unpack an archive that came over the network."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from ..errors import ToolError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def unpack_subtree(archive: Path, subtree: str, target: Path) -> None:
    """Unpack the folder `*/subtree` of a tar archive as `target`.

    Only plain files and folders are made. `target` appears complete or not at all. Raises ToolError if the archive is
    broken, if it holds links, devices or paths that leave the folder, or if it does not have the subtree.
    """
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:*") as source:
            found = False
            for member in source:
                inside = _path_inside(member.name, subtree)
                if inside is None:
                    continue
                found = True
                _extract(source, member, inside, part)
    except (tarfile.TarError, EOFError, OSError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ToolError(f"{archive} could not be unpacked ({error}): remove it and try again") from error
    except ToolError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if not found:
        raise ToolError(f"{archive} does not contain {subtree}: it is not the expected archive")
    part.replace(target)


def _path_inside(name: str, subtree: str) -> PurePosixPath | None:
    """Return the path below `<first folder>/<subtree>`, None if it lies elsewhere. Raises ToolError for an unsafe name."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise ToolError(f"the archive holds an unsafe path, {name!r}: it was not unpacked")
    wanted = PurePosixPath(subtree).parts
    if path.parts[1 : 1 + len(wanted)] != wanted:
        return None
    return PurePosixPath(*path.parts[1 + len(wanted) :])


def _extract(source: tarfile.TarFile, member: tarfile.TarInfo, inside: PurePosixPath, part: Path) -> None:
    path = part.joinpath(*inside.parts)
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    if not member.isreg():
        raise ToolError(f"the archive holds a link or device, {member.name!r}: it was not unpacked")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = source.extractfile(member)
    if content is None:
        raise ToolError(f"the archive holds no content for {member.name!r}: it was not unpacked")
    # Not by extractall: early releases of Python 3.10 and 3.11 lack its filters.
    with content, path.open("xb") as sink:
        shutil.copyfileobj(content, sink)
