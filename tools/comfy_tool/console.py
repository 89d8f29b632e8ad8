"""Print for the person: progress goes to standard error, so that standard output holds only results."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import ToolError

HEARTBEAT_SECONDS = 15.0


def say(text: str) -> None:
    """Print one line of progress. Characters that the terminal cannot encode are replaced."""
    stream = sys.stderr
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding, "replace"), file=stream, flush=True)


def printable(text: str) -> str:
    """Return text without the characters that standard output cannot encode: they are replaced."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")


def elapsed(seconds: float) -> str:
    """Return seconds in a readable form: `8 s`, `2 min 05 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


@contextmanager
def step(label: str) -> Iterator[None]:
    """Say when a piece of work begins, and how long it took when it is done."""
    started = time.monotonic()
    say(f"{label} ...")
    yield
    say(f"{label}: done in {elapsed(time.monotonic() - started)}")


def run_logged(command: Sequence[str], log: Path, env: Mapping[str, str], what: str) -> None:
    """Run a command, append its output to `log`, and print a line every 15 seconds.

    Raises ToolError, which names the log, if the command cannot be started or does not return 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("ab") as sink:
        sink.write(f"\n$ {' '.join(command)}\n".encode("utf-8", "replace"))
        sink.flush()
        try:
            process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=dict(env)
            )
        except OSError as error:
            raise ToolError(f"{what} failed: {command[0]} could not be started ({error})") from error
        try:
            while True:
                try:
                    code = process.wait(HEARTBEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  still {what} ({elapsed(time.monotonic() - started)})")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        raise ToolError(f"{what} failed: {last_error(log)} The whole log: {log}")


def last_error(log: Path) -> str:
    """Return the last line of a log that names an error, or else its last line, as one sentence."""
    lines = [line.strip() for line in tail(log, 60) if line.strip()]
    named = [line for line in lines if line.lower().startswith(("error", "fatal", "e:")) or "Error" in line]
    text = (named or lines or ["no output"])[-1][:300]
    return text if text.endswith(".") else text + "."


def tail(log: Path, lines: int) -> list[str]:
    """Return the last lines of a text file without line ends, an empty list if the file does not exist."""
    try:
        with log.open("rb") as source:
            source.seek(0, 2)
            source.seek(max(0, source.tell() - 400 * lines))
            return source.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
