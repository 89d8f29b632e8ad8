"""When a job is asked for, with a clock that only moves when the poller waits."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from image_mixer.remote.run.polling import Expected, Late, first_ask, poll, window
from image_mixer.remote.timing import Backoff, Stopped, Waiter
from image_mixer.wire.answers import Answer, Done, Pending, Refused, Unclear

LATENCY = 0.05
FACTORS = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


class Time:
    """A clock; sleeping moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def asked(took: float, eta: float | None, history: tuple[float, ...] = (), within: float = 900.0) -> tuple[float, int]:
    """Return (seconds lost after the job was done, number of questions)."""
    time, count = Time(), 0
    begun = time.now

    def ask() -> Answer:
        nonlocal count
        count += 1
        time.now += LATENCY
        return Done((("https://a.example",),)) if time.now - begun >= took else Pending("1")

    waiter = Waiter(time.clock, time.sleep, lambda: False)
    end = poll(ask, Expected(eta, history, 0.0, within), waiter, lambda _: None)
    assert isinstance(end, Done)
    return time.now - begun - took, count


@pytest.mark.parametrize("history", [(), (4.1, 5.6, 7.3, 8.9), (4.0,) * 20, (30.0,) * 20, (1.0,) * 20])
def test_little_time_is_lost_and_few_questions_asked(history: tuple[float, ...]) -> None:
    found = [asked(took, took * f, history) for took, f in itertools.product((4.0, 5.5, 7.0, 8.5), FACTORS)]
    assert sum(over for over, _ in found) / len(found) <= 0.4
    assert sum(count for _, count in found) / len(found) <= 16


def test_equal_jobs_are_caught_at_once() -> None:
    over, count = asked(4.0, 4.0, (4.05,) * 5)
    assert over <= 0.25 and count <= 12


def test_jobs_that_became_faster_are_noticed() -> None:
    assert asked(4.0, 4.0, (20.0,) * 20)[0] <= 1.0


@pytest.mark.parametrize(("took", "eta"), [(60.0, 20.0), (60.0, None), (240.0, 100.0), (0.1, 30.0), (0.1, None)])
def test_long_jobs_and_odd_etas(took: float, eta: float | None) -> None:
    over, count = asked(took, eta)
    assert over <= max(10.0, 0.15 * took) and count <= 60


def test_the_first_question_trusts_neither_eta_nor_history_alone() -> None:
    assert first_ask(12.0, ()) == 4.0
    assert first_ask(None, ()) == 0.5
    assert first_ask(60.0, (4.0, 4.0, 4.0)) == 4.0
    assert first_ask(0.0, ()) == 0.2
    assert window((4.0, 4.0)) is None


def answers(*given: Answer) -> Callable[[], Answer]:
    left = list(given)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((Refused("x", "refused"),), Refused),
        ((Refused("gone", "job failed", status=404),), Refused),
        ((Refused("gone", "job failed", status=404), Done((("u",),))), Done),
        ((Refused("x", "job failed"), Done((("u",),))), Done),
        ((Refused("x", "job failed"), Refused("x", "job failed")), Refused),
        ((Refused("later", "service down", status=500), Done((("u",),))), Done),
        ((Refused("later", "queue full", 5.0, status=429), Done((("u",),))), Done),
        ((Unclear("page"), Done((("u",),))), Done),
        ((Pending(),), Late),
        ((Unclear("page"),), Late),
    ],
)
def test_ends(given: tuple[Answer, ...], wanted: type) -> None:
    time = Time()
    waiter = Waiter(time.clock, time.sleep, lambda: False)
    end = poll(answers(*given), Expected(1.0, (), 0.0, 60.0), waiter, lambda _: None)
    assert isinstance(end, wanted)
    assert time.now <= 1061.0


def test_waiting_stops_when_the_run_is_over() -> None:
    time = Time()
    with pytest.raises(Stopped):
        Waiter(time.clock, time.sleep, lambda: time.now > 1002.0)(60.0)
    assert time.now < 1002.5


def test_backoff_grows_with_jitter_and_ends() -> None:
    time, drawn = Time(), random.Random(1)
    waits = []
    for wait in Backoff(time.clock, drawn.random).waits(30.0):
        waits.append(wait)
        time.now += wait
    assert 0.125 <= waits[0] <= 0.375 and max(waits) <= 12.0 and 5 <= len(waits) <= 20
