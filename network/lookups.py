"""Questions to the system that may hang, such as a look-up of a name, asked with a limit on the time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


def in_time(ask: Callable[[], T], seconds: float) -> T:
    """What `ask` returns or raises. Raises TimeoutError after `seconds`; `ask` then ends unheard in a daemon thread,
    which keeps no process alive: the system's resolver cannot be broken off."""
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
