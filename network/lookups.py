"""Run calls to the system that may hang, such as a name look-up, with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


def in_time(ask: Callable[[], T], seconds: float) -> T:
    """Return or raise what `ask` does, or raise TimeoutError after `seconds`.

    The system's resolver cannot be interrupted, so `ask` then goes on in a daemon thread, which does not keep the process
    alive, and its result is dropped.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(ask())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="image mixer look-up", daemon=True).start()
    if not wait([future], max(0.0, seconds)).done:
        raise TimeoutError(f"no answer in {seconds:g} s")
    return future.result()
