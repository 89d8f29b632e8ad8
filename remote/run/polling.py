"""When to ask again how a job stands. The service's eta is a hint: it was seen wrong by 0.3 to 3 times."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from ...wire.answers import Answer, Done, Pending, Refused, Unclear
from .. import errors
from ..timing import Pause

ETA_FACTOR = 3.0
"""A job takes at least eta / 3."""

SHORTEST, LONGEST = 0.4, 10.0
GROWTH = 0.075
"""Share of the time passed after which it is asked again: half of it is the mean delay, for jobs of any length."""

SPARSE = 0.15
"""The same before the time at which the endpoint's last jobs were done: often enough to see that it grew faster."""

DENSEST, WINDOW_ASKS = 0.15, 10
"""Seconds, and how often it is asked while the endpoint's last jobs were done."""

ENOUGH = 3
BLIND_START = 0.5
NOES, NOES_FOR = 4, 10.0
"""So many answers in a row that say no (such as "not found"), over so many seconds, before a job is given up; and no
sooner than this endpoint's slowest job of late was done. The first ones may only be early, and asking is free."""


@dataclass(frozen=True)
class Late:
    """The job was not ready in time. It goes on at the service."""

    reason: str


def window(took: tuple[float, ...]) -> tuple[float, float] | None:
    """When a job is likely to be done, in seconds from its submit, by what the last ones `took`; None for too few."""
    if len(took) < ENOUGH:
        return None
    ordered, out = sorted(took), len(took) // 10
    return 0.95 * ordered[out], 1.05 * ordered[-1 - out]


def first_ask(eta: float | None, took: tuple[float, ...]) -> float:
    """Seconds after the submit at which to ask first. `took` is what the endpoint's last jobs took, in seconds."""
    earliest = BLIND_START if eta is None else eta / ETA_FACTOR
    if len(took) >= ENOUGH:
        earliest = min(earliest, statistics.median(took))
    return max(earliest, SHORTEST / 2)


def next_ask(passed: float, took: tuple[float, ...]) -> float:
    """Seconds to wait before the next question when `passed` seconds have gone by."""
    likely = window(took)
    if likely is not None and passed < likely[1]:
        low, high = likely
        dense = max(DENSEST, (high - low) / WINDOW_ASKS)
        if passed >= low:
            return min(LONGEST, dense)
        return min(LONGEST, max(SHORTEST, SPARSE * passed), max(dense, low - passed))
    return min(LONGEST, max(SHORTEST, GROWTH * passed))


def poll(
    ask: Callable[[], Answer],
    eta: float | None,
    took: tuple[float, ...],
    passed: float,
    within: float,
    clock: Callable[[], float],
    pause: Pause,
    tell: Callable[[Pending], None],
) -> Done | Refused | Late:
    """Asks until the job is done, is refused for good, or `within` seconds of waiting have gone by.

    `passed` is how many seconds ago the job was accepted, `tell` hears every answer that says it is still pending.
    A refusal of the key ends it at once. Raises what `pause` raises.
    """
    begun = clock()
    start = begun - passed
    wait = max(0.0, first_ask(eta, took) - passed)
    noes, first_no = 0, begun
    last = "it was never asked"
    while True:
        left = within - (clock() - begun)
        if left <= 0:
            return Late(last)
        pause(min(wait, left))
        answer = ask()
        wait = next_ask(clock() - start, took)
        if isinstance(answer, Done):
            return answer
        if isinstance(answer, Pending):
            noes, last = 0, "it is still being made"
            tell(answer)
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
                and clock() - first_no >= min(NOES_FOR, within / 4)
                and clock() - start >= max(took, default=0.0)
            ):
                return answer
