"""Work side by side: each part prints into a file of its own, which is shown whole once the part has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from ..console import elapsed, say

LANES = 2
"""Parts that run at once: more would disturb the tests that measure time."""

HEARTBEAT_SECONDS = 60.0
STOP_SECONDS = 20.0

T = TypeVar("T")


class Output:
    """Where the programs of one part print: into `file`, or on the screen if that is None."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self._file = file
        self._running: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print one line of progress."""
        if self._file is None:
            say(text)
            return
        self._file.write(f"{text}\n".encode("utf-8", "replace"))
        self._file.flush()

    def run(self, command: Sequence[str], cwd: Path | str, env: Mapping[str, str]) -> int:
        """Run a program to its end and return its exit code. Raise KeyboardInterrupt if `end` was called."""
        read, errors = (None, None) if self._file is None else (subprocess.DEVNULL, subprocess.STDOUT)
        with self._lock:
            if self._ended:
                raise KeyboardInterrupt
            self._running = subprocess.Popen(
                list(command), cwd=cwd, env=dict(env), stdin=read, stdout=self._file, stderr=errors
            )
        try:
            return self._running.wait()
        finally:
            self.stop()

    def end(self) -> None:
        """End the program that runs, from another thread, and let no other begin."""
        with self._lock:
            self._ended = True
        self.stop()

    def stop(self) -> None:
        """End the program that runs, if there is one."""
        process = self._running
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Part(Generic[T]):
    """One part at work, with its file."""

    def __init__(self, name: str, work: Callable[[Output], T], folder: Path, number: int) -> None:
        self.name, self._work = name, work
        self.path = folder / f"{number}.log"
        self.file = self.path.open("wb")
        self.output = Output(self.file)
        self.begun = 0.0

    def __call__(self) -> T:
        self.begun = time.monotonic()
        say(f"-- {self.name} has begun")
        return self._work(self.output)

    def show(self) -> None:
        """Print the output of the part on the screen."""
        self.file.close()
        say(f"== {self.name}: {elapsed(time.monotonic() - self.begun)} ==")
        sys.stdout.flush()
        stream = getattr(sys.stdout, "buffer", None)
        text = self.path.read_bytes()
        if stream is None:
            sys.stdout.write(text.decode("utf-8", "replace"))
        else:
            stream.write(text)
        sys.stdout.flush()


def side_by_side(parts: Sequence[tuple[str, Callable[[Output], T]]], lanes: int = LANES) -> list[T]:
    """Run named parts, `lanes` at a time in the order given, and return what each returned, in that order.

    A part that raises ends the others, and its exception is raised here; so does Ctrl-C.
    """
    with tempfile.TemporaryDirectory(prefix="image-mixer-parts-") as scratch, ThreadPoolExecutor(lanes) as pool:
        made = [_Part(name, work, Path(scratch), number) for number, (name, work) in enumerate(parts)]
        waiting: dict[Future[T], _Part[T]] = {pool.submit(part): part for part in made}
        futures = list(waiting)
        try:
            while waiting:
                done, _ = wait(waiting, HEARTBEAT_SECONDS, FIRST_COMPLETED)
                for future in done:
                    waiting.pop(future).show()
                    future.result()
                if not done:
                    _tell(waiting)
            return [future.result() for future in futures]
        finally:
            for future, part in waiting.items():
                future.cancel()
                part.output.end()
            wait(waiting)
            for part in made:
                part.file.close()


def lanes_of(cores: int | None = None) -> int:
    """Return how many parts this machine runs side by side: one on a machine with one core."""
    return max(1, min(LANES, (os.cpu_count() or 1) if cores is None else cores))


def _tell(waiting: Mapping[Future[T], _Part[T]]) -> None:
    """Say which parts are at work, and since when."""
    now = time.monotonic()
    at_work = [f"{part.name} ({elapsed(now - part.begun)})" for part in waiting.values() if part.begun]
    say(f"   still at it: {', '.join(at_work)}")
