"""When to ask the service again about a job. Its eta is only a hint: it was seen wrong by a factor of 0.3 to 3."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from ...wire.answers import Answer, Done, Pending, Refused, Unclear
from .. import errors
from ..timing import Waiter

ETA_FACTOR = 3.0
"""A job takes at least eta / 3."""

SHORTEST, LONGEST = 0.4, 10.0
GROWTH = 0.075
"""Wait this share of the time passed before asking again. On average, half of it is lost, for jobs of any length."""

SPARSE = 0.15
"""The same before the time at which the last jobs were done: often enough to notice that the service became faster."""

DENSEST, WINDOW_ASKS = 0.15, 10
"""The shortest wait in seconds, and the number of questions, in the time window in which the last jobs were done."""

ENOUGH = 3
"""How many past jobs it takes to predict a time window."""

BLIND_START = 0.5
"""Seconds after which to ask first if the service gives no eta."""

NOES, NOES_FOR = 4, 10.0
"""A job is given up after this many "no" answers in a row (such as "not found"), over at least this many seconds, and not
before the slowest of the last jobs was done. The first such answers may just be early, and asking is free."""


@dataclass(frozen=True)
class Late:
    """The job was not done in time. It is still running at the service."""

    reason: str


@dataclass(frozen=True)
class Expected:
    """What is known about the time that a job takes, in seconds.

    `eta` is what the service said, `took` what the last jobs of this service took. `passed` is how long ago the job was
    accepted, `within` how long to wait for it from now on.
    """

    eta: float | None
    took: tuple[float, ...]
    passed: float
    within: float


def window(took: tuple[float, ...]) -> tuple[float, float] | None:
    """Return when a job is likely to be done, in seconds after its submit, from what the last jobs `took`; None if there
    are too few."""
    if len(took) < ENOUGH:
        return None
    ordered, out = sorted(took), len(took) // 10
    return 0.95 * ordered[out], 1.05 * ordered[-1 - out]


def first_ask(eta: float | None, took: tuple[float, ...]) -> float:
    """Return when to ask first, in seconds after the submit. `took` is what the last jobs took, in seconds."""
    earliest = BLIND_START if eta is None else eta / ETA_FACTOR
    if len(took) >= ENOUGH:
        earliest = min(earliest, statistics.median(took))
    return max(earliest, SHORTEST / 2)


def next_ask(passed: float, took: tuple[float, ...]) -> float:
    """Return how many seconds to wait before the next question, `passed` seconds after the submit."""
    likely = window(took)
    if likely is not None and passed < likely[1]:
        low, high = likely
        dense = max(DENSEST, (high - low) / WINDOW_ASKS)
        if passed >= low:
            return min(LONGEST, dense)
        return min(LONGEST, max(SHORTEST, SPARSE * passed), max(dense, low - passed))
    return min(LONGEST, max(SHORTEST, GROWTH * passed))


def poll(
    ask: Callable[[], Answer], expected: Expected, waiter: Waiter, show_pending: Callable[[Pending], None]
) -> Done | Refused | Late:
    """Ask until the job is done, is refused for good, or `expected.within` seconds have passed.

    A refusal of the key ends it at once. `show_pending` is called with every answer that says that the job is pending.
    Raise what `waiter` raises.
    """
    clock, took = waiter.clock, expected.took
    begun = clock()
    start = begun - expected.passed
    wait = max(0.0, first_ask(expected.eta, took) - expected.passed)
    noes, first_no = 0, begun
    last = "it was not asked for"
    while True:
        left = expected.within - (clock() - begun)
        if left <= 0:
            return Late(last)
        waiter(min(wait, left))
        answer = ask()
        wait = next_ask(clock() - start, took)
        if isinstance(answer, Done):
            return answer
        if isinstance(answer, Pending):
            noes, last = 0, "it is still in progress"
            show_pending(answer)
        elif isinstance(answer, Unclear):
            last, wait = answer.reason, max(wait, 1.0)
        elif answer.cause in (errors.QUEUE_FULL, errors.SERVICE_DOWN) and answer.status != 404:
            last, wait = answer.reason, max(wait, answer.retry_after or 1.0)
        else:
            if not noes:
                first_no = clock()
            noes, last, wait = noes + 1, answer.reason, max(wait, 0.5)
            if answer.cause == errors.REFUSED or (
                noes >= NOES
                and clock() - first_no >= min(NOES_FOR, expected.within / 4)
                and clock() - start >= max(took, default=0.0)
            ):
                return answer
