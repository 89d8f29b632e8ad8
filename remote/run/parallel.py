"""Run a few functions at the same time, each in its own daemon thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def in_parallel(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Return what each function returns, in order. After all have ended, raise the first error, in order."""
    if len(functions) == 1:
        return [functions[0]()]
    returned: dict[int, T] = {}
    raised: dict[int, BaseException] = {}

    def run(index: int, function: Callable[[], T]) -> None:
        try:
            returned[index] = function()
        except BaseException as error:
            raised[index] = error

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[min(raised)]
    return [returned[index] for index in range(len(functions))]
