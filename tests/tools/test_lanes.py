"""Work side by side: the order, the output of each part, and what happens if one of them fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.commands.lanes import Output, lanes_of, side_by_side


def printing(text: str, code: int = 0) -> Callable[[Output], int]:
    """A part that prints by itself and by a program, and returns the program's exit code."""
    script = f"import sys; print({text!r}); print('error of', {text!r}, file=sys.stderr); sys.exit({code})"

    def work(output: Output) -> int:
        output.say(f"before {text}")
        return output.run([sys.executable, "-c", script], Path.cwd(), os.environ)

    return work


def test_the_output_of_a_part_is_printed_whole_and_in_its_order(capfd: pytest.CaptureFixture[str]) -> None:
    parts = [(name, printing(name, code)) for code, name in enumerate(("one", "two", "three"))]
    assert side_by_side(parts, 2) == [0, 1, 2]
    shown = capfd.readouterr().out.splitlines()
    for name in ("one", "two", "three"):
        first = shown.index(f"before {name}")
        assert set(shown[first : first + 3]) == {f"before {name}", name, f"error of {name}"}


@pytest.mark.parametrize("lanes", [1, 2])
def test_no_more_parts_than_lanes_run_at_once(lanes: int) -> None:
    running, most, lock = [0], [0], threading.Lock()

    def work(output: Output) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05)
        with lock:
            running[0] -= 1

    side_by_side([(str(number), work) for number in range(5)], lanes)
    assert most == [lanes]


def test_an_error_ends_the_other_parts_and_is_raised() -> None:
    started, ended = threading.Event(), threading.Event()

    def endless(output: Output) -> None:
        started.set()
        try:
            output.run([sys.executable, "-c", "import time; time.sleep(600)"], Path.cwd(), os.environ)
        finally:
            ended.set()

    def failing(output: Output) -> None:
        assert started.wait(60)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        side_by_side([("endless", endless), ("failing", failing)], 2)
    assert ended.is_set()


def test_nothing_begins_in_a_part_that_was_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output()
    output.end()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(KeyboardInterrupt):
        output.run([sys.executable], Path.cwd(), os.environ)


@pytest.mark.parametrize(("cores", "lanes"), [(1, 1), (2, 2), (64, 2)])
def test_as_many_lanes_as_cores_up_to_two(cores: int, lanes: int) -> None:
    assert lanes_of(cores) == lanes
