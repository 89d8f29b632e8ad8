"""What the person sees: progress goes to standard error, so that standard output holds results alone."""

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
    """Print one line of progress. Characters that the terminal cannot show are replaced."""
    stream = sys.stderr
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding, "replace"), file=stream, flush=True)


def printable(text: str) -> str:
    """Text with what standard output cannot encode replaced."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")


def elapsed(seconds: float) -> str:
    """Seconds as a person reads them: `8 s`, `2 min 05 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


@contextmanager
def step(label: str) -> Iterator[None]:
    """Say when a piece of work begins, and when it is done, how long it took."""
    started = time.monotonic()
    say(f"{label} ...")
    yield
    say(f"{label}: done in {elapsed(time.monotonic() - started)}")


def run_logged(command: Sequence[str], log: Path, env: Mapping[str, str], what: str) -> None:
    """Run a command with its output appended to `log` and a line on screen every 15 seconds.

    Raises ToolError, naming the log, when the command cannot start or does not return 0.
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
                    say(f"  still at it: {what} ({elapsed(time.monotonic() - started)})")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        raise ToolError(f"{what} failed: {last_error(log)} The whole log: {log}")


def last_error(log: Path) -> str:
    """The last line of a log that names an error, or else its last line, as one sentence."""
    lines = [line.strip() for line in tail(log, 60) if line.strip()]
    named = [line for line in lines if line.lower().startswith(("error", "fatal", "e:")) or "Error" in line]
    text = (named or lines or ["no output"])[-1][:300]
    return text if text.endswith(".") else text + "."


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a text file, without their ends; an empty list when there is no such file."""
    try:
        with log.open("rb") as source:
            source.seek(0, 2)
            source.seek(max(0, source.tell() - 400 * lines))
            return source.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
