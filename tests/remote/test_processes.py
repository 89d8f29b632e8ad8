"""Which processes are alive: files of dead ones are deleted, those of live ones stay, even if others start meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from image_mixer.remote.store import processes
from image_mixer.remote.store.processes import ProcessLock

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import runpy, sys
from pathlib import Path
runpy.run_path(str(Path(sys.argv[1]) / "tests" / "conftest.py"))
from image_mixer.remote.store.processes import ProcessLock
own = ProcessLock(Path(sys.argv[2]))
print(own.name, flush=True)
sys.stdin.read()
own.close()
"""


def files(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.lock")}


@contextmanager
def process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process that lives until it is killed or its input ends. Yield it and its name."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(ROOT), str(folder)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    try:
        yield other, other.stdout.readline().strip()
    finally:
        other.kill()
        other.communicate()


def test_a_process_that_was_killed_is_dead_and_its_file_is_swept(tmp_path: Path) -> None:
    first = ProcessLock(tmp_path)
    with process(tmp_path) as (other, name):
        assert not first.is_dead(name) and files(tmp_path) == {first.name, name}
        beside = ProcessLock(tmp_path)
        assert files(tmp_path) == {first.name, name, beside.name}
        other.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        other.wait()
    late = ProcessLock(tmp_path)
    assert files(tmp_path) == {first.name, beside.name, late.name}
    assert first.is_dead(name) and late.is_dead(name)
    assert not first.is_dead(late.name) and not late.is_dead(first.name)


def test_a_process_that_ended_is_dead(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path), ProcessLock(tmp_path)
    second.close()
    assert first.is_dead(second.name) and not first.is_dead(first.name)
    assert files(tmp_path) == {first.name}


def test_only_files_of_processes_are_swept(tmp_path: Path) -> None:
    for name in ("other.lock", "notes.txt", uuid.uuid4().hex, f"{uuid.uuid4().hex}.lock.txt"):
        (tmp_path / name).write_text("mine")
    (tmp_path / f"{uuid.uuid4().hex}.lock").touch()
    kept = {path.name for path in tmp_path.iterdir()} - {f"{name}.lock" for name in files(tmp_path) if len(name) == 32}
    own = ProcessLock(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept | {f"{own.name}.lock"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that a starting process holds open")
@pytest.mark.parametrize("sweeps", [1, 3])
def test_a_process_swept_while_it_starts_takes_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweeps: int
) -> None:
    other, lock, swept = ProcessLock(tmp_path), processes._try_lock, []

    def late(handle: int) -> bool:
        if len(swept) < sweeps:
            monkeypatch.setattr(processes, "_try_lock", lock)
            swept.extend(name for name in files(tmp_path) - {other.name} if other.is_dead(name))
            monkeypatch.setattr(processes, "_try_lock", late)
        return lock(handle)

    monkeypatch.setattr(processes, "_try_lock", late)
    own = ProcessLock(tmp_path)
    assert len(swept) == sweeps and own.name not in swept
    assert files(tmp_path) == {own.name, other.name} and not other.is_dead(own.name)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that a starting process holds open")
def test_a_file_goes_before_its_lock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise a process could lock it in between, and go on without a file.
    own, dead, left = ProcessLock(tmp_path), uuid.uuid4().hex, []
    (tmp_path / f"{dead}.lock").touch()
    close = processes.os.close

    def closing(handle: int) -> None:
        left.append(dead in files(tmp_path))
        close(handle)

    monkeypatch.setattr(processes.os, "close", closing)
    assert own.is_dead(dead) and left == [False]


def test_a_file_that_cannot_be_removed_while_it_is_open_goes_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, dead, opened = ProcessLock(tmp_path), uuid.uuid4().hex, set()
    (tmp_path / f"{dead}.lock").touch()
    unlink, open_one, close = Path.unlink, processes.os.open, processes.os.close

    def opening(path: Path, *more: int) -> int:
        handle = open_one(path, *more)
        opened.add(handle)
        return handle

    def closing(handle: int) -> None:
        opened.discard(handle)
        close(handle)

    def removing(path: Path, missing_ok: bool = False) -> None:
        if opened:
            raise PermissionError("in use by another process")
        unlink(path, missing_ok)

    monkeypatch.setattr(processes.os, "open", opening)
    monkeypatch.setattr(processes.os, "close", closing)
    monkeypatch.setattr(Path, "unlink", removing)
    assert own.is_dead(dead) and files(tmp_path) == {own.name}


def test_nobody_is_shown_dead_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_try_lock", lambda handle: False)
    first, second = ProcessLock(tmp_path), ProcessLock(tmp_path)
    assert files(tmp_path) == {first.name, second.name}
    assert not first.is_dead(second.name) and not second.is_dead(first.name)


def test_many_that_start_at_once_all_live(tmp_path: Path) -> None:
    for _ in range(20):
        (tmp_path / f"{uuid.uuid4().hex}.lock").touch()
    made: list[ProcessLock] = []
    gate = threading.Barrier(12)

    def start() -> None:
        gate.wait()
        for _ in range(10):
            made.append(ProcessLock(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(tmp_path) == {one.name for one in made} and len(made) == 120
    assert not any(made[0].is_dead(one.name) for one in made)
