"""Archives, and files that a server names, are only written into their folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.errors import ToolError
from image_mixer.tools.comfy_tool.install.unpack import unpack_subtree
from image_mixer.tools.comfy_tool.server.results import collect, safe_name, save

INSIDE = "sdist-1/vendor/ComfyUI/"


def tar(path: Path, *members: tuple[str, bytes]) -> Path:
    """Write an archive of files (name, content). A type byte as content makes a link or device instead."""
    with tarfile.open(path, "w:gz") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
                info.type, info.linkname = content, "/etc/passwd"
                made.addfile(info)
            else:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
    return path


def test_only_the_subtree_is_unpacked(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", (INSIDE + "a/b.py", b"hi"), ("sdist-1/setup.py", b"no"))
    unpack_subtree(archive, "vendor/ComfyUI", tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "out").rglob("*.py")] == ["out/a/b.py"]
    assert (tmp_path / "out/a/b.py").read_bytes() == b"hi"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../evil.py", b"x"),
        ("/tmp/evil.py", b"x"),
        (INSIDE + "../../../../evil.py", b"x"),
        (INSIDE + "a/../../evil.py", b"x"),
        ("C:/evil.py", b"x"),
        (INSIDE + "..\\evil.py", b"x"),
        (INSIDE + "link", tarfile.SYMTYPE),
        (INSIDE + "hard", tarfile.LNKTYPE),
        (INSIDE + "dev", tarfile.CHRTYPE),
    ],
)
def test_an_archive_with_anything_odd_is_refused_whole(tmp_path: Path, name: str, content: bytes) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    archive = tar(tmp_path / "a.tar.gz", (INSIDE + "good.py", b"x"), (name, content))
    with pytest.raises(ToolError, match="was not unpacked"):
        unpack_subtree(archive, "vendor/ComfyUI", folder / "out")
    assert list(folder.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "folder"]


@pytest.mark.parametrize(
    ("content", "problem"), [(b"not an archive", "could not be unpacked"), (None, "does not contain vendor")]
)
def test_a_broken_or_wrong_archive(tmp_path: Path, content: bytes | None, problem: str) -> None:
    archive = tar(tmp_path / "a.tar.gz", ("sdist-1/setup.py", b"x"))
    if content:
        archive.write_bytes(content)
    with pytest.raises(ToolError, match=problem):
        unpack_subtree(archive, "vendor/ComfyUI", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_truncated_archive_leaves_nothing(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", (INSIDE + "a.py", bytes(range(256)) * 500), (INSIDE + "b.py", b"x"))
    archive.write_bytes(archive.read_bytes()[:300])
    with pytest.raises(ToolError, match="could not be unpacked"):
        unpack_subtree(archive, "vendor/ComfyUI", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a_00001_.png", "a_00001_.png"),
        ("../../a.png", "a.png"),
        ("..\\..\\a.png", "a.png"),
        ("/etc/passwd", "passwd"),
        ("C:\\x\\a.png", "a.png"),
        ("c:a.png", "c_a.png"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("a/", "file"),
        ("a\0b\n.png", "a_b_.png"),
        ("NUL", "_NUL"),
        ("com1.png", "_com1.png"),
        (".bashrc", "bashrc"),
        ("x" * 500 + ".png", "x" * 146 + ".png"),
        ("bild ä.png", "bild ä.png"),
        ('a"<>|?*.png', "a______.png"),
    ],
)
def test_names_from_a_server(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_saving_never_overwrites(tmp_path: Path) -> None:
    paths = [save(bytes([n]), "a.png", tmp_path / "out") for n in range(3)]
    assert [path.name for path in paths] == ["a.png", "a-2.png", "a-3.png"]
    assert [path.read_bytes() for path in paths] == [b"\0", b"\1", b"\2"]
    assert save(b"", "plain", tmp_path).name == "plain"


def fetched(entry: dict[str, object]) -> bytes:
    return f"{entry['subfolder']}|{entry['filename']}".encode()


def test_what_is_collected(tmp_path: Path) -> None:
    outputs = {
        "1": {"images": [{"filename": "../../evil.png", "subfolder": "../..", "type": "output"}]},
        "2": {"images": [{"filename": "p.png", "subfolder": "", "type": "temp"}], "text": ["hello", "there"]},
        "3": {"audio": [{"filename": "a.flac", "subfolder": "", "type": "output"}], "animated": [True], "text": "one"},
    }
    results = collect(outputs, tmp_path / "in" / "out", fetched)
    assert [path.name for path in results.files] == ["evil.png", "a.flac"]
    assert {path.parent for path in tmp_path.rglob("*.*")} == {tmp_path / "in" / "out"}
    assert results.texts == [("2", "hello"), ("2", "there"), ("3", "one")]


def test_previews_alone_are_collected(tmp_path: Path) -> None:
    outputs = {"2": {"images": [{"filename": "p.png", "subfolder": "", "type": "temp"}]}}
    assert [path.name for path in collect(outputs, tmp_path, fetched).files] == ["p.png"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    outputs = {"2": {"images": [{"filename": "p.png", "subfolder": "", "type": "output"}]}}
    with pytest.raises(ToolError, match="choose another --out"):
        collect(outputs, tmp_path / "out", fetched)
