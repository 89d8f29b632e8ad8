"""Attempts at a job: when one is sent again, when it is paid again, and what is said of it."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.remote.endpoints import Timeouts
from image_mixer.remote.engine import Engine, Order
from image_mixer.remote.errors import NotDelivered, PicturesMissing, UnknownOutcome
from image_mixer.tests.remote import harness
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Fault, Manners

PACE = 80.0
LONG = 2000.0
TIMES = Timeouts(connect=LONG, read=LONG, submit=LONG, call=LONG, job=LONG, download=LONG, queue=LONG)
MINUTE = 60.0


class Scene(harness.Clocks):
    """A service whose clock, and the engine's, run PACE times as fast."""

    def __init__(self, folder: Path, service: Service, **settings: Any) -> None:
        super().__init__(PACE)
        self.folder, self.service, self.settings = folder, service, settings

    def engine(self, **caps: int) -> Engine:
        settings = replace(harness.endpoints(self.service.base, **{"timeouts": TIMES, **self.settings}), **caps)  # type: ignore[arg-type]
        return harness.engine(self.service.base, self.folder, settings, **self.given())

    def run(self, order: Order) -> Any:
        return self.engine().run(order)

    def unknown(self, order: Order) -> str:
        """The line of a run that must end as unknown."""
        with pytest.raises(UnknownOutcome) as caught:
            self.run(order)
        return str(caught.value)

    def before(self) -> None:
        """An earlier job of ours, which the list shows; the counts begin after it."""
        self.run(order(50))
        self.service.state.paid.clear()

    @property
    def paid(self) -> int:
        return len(self.service.state.paid)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Service(manners=Manners(took=[0.5], queue_limit=30)) as server:
        made = Scene(tmp_path, server)
        server.state.clock = made.clock
        server.start()
        yield made
        server.shutdown()


def order(seed: int, **more: Any) -> Order:
    """An order of one picture, unless `samples` says more, in a run of its own."""
    samples = more.pop("samples", 1)
    return harness.order(harness.recipe(seed=seed, samples=samples), run=str(seed), **more)


def not_taken() -> Fault:
    """A server's fault at the next submit, which takes nothing."""
    return Fault("mix", "answer", 500, "<html>")


SEED = 2**62 + 987_654_321


# Sent again by itself


def test_it_is_sent_once_more_when_the_list_shows_twice_that_it_was_not_taken(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    assert "Queue again after" in scene.unknown(order(SEED))
    scene.run(order(SEED + 500))
    scene.later += 11 * MINUTE
    lists = scene.service.state.count("list")
    outcome = scene.run(order(SEED))
    assert outcome.images == (harness.rendered(order(SEED).recipe),) and scene.paid == 2
    assert scene.service.state.count("list") >= lists + 4, "one reading was believed"
    assert not any("paid" in warning for warning in outcome.report.warnings)
    calls = len(scene.service.state.calls)
    assert scene.run(order(SEED)).images == outcome.images and len(scene.service.state.calls) == calls


def test_not_before_ten_minutes_nor_before_three_times_the_longest_job(scene: Scene) -> None:
    scene.run(order(1))
    with contextlib.closing(sqlite3.connect(scene.folder / "journal.sqlite", isolation_level=None)) as journal:
        journal.execute("UPDATE jobs SET seconds = 400.0")
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.run(order(2))
    scene.later += 11 * MINUTE
    assert "Queue again after" in scene.unknown(order(SEED)) and scene.paid == 2
    scene.later += 10 * MINUTE
    assert len(scene.run(order(SEED)).images) == 1 and scene.paid == 3


def test_a_clock_that_jumps_ahead_sends_nothing_again(scene: Scene) -> None:
    """The same process knows better than the time of day how long ago it sent a job."""
    scene.service.state.faults.append(not_taken())
    engine = scene.engine()
    with pytest.raises(UnknownOutcome):
        engine.run(order(SEED))
    engine.run(order(1))
    scene.ahead += 24 * 60 * MINUTE
    with pytest.raises(UnknownOutcome, match="Queue again after"):
        engine.run(order(SEED))
    assert scene.paid == 1


def test_not_without_a_later_job_that_the_list_shows(scene: Scene) -> None:
    scene.run(order(1))
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.later += 30 * MINUTE
    assert "an earlier and a later job" in scene.unknown(order(SEED)) and scene.paid == 1


def test_not_with_an_unexplained_job_in_the_list(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(Fault("mix", "answer", 500, "<html>", taken=True))
    scene.service.state.manners.hides_meta = True
    scene.unknown(order(SEED))
    scene.run(order(1))
    scene.later += 30 * MINUTE
    assert "list shows 1002" in scene.unknown(order(SEED)) and scene.paid == 2


def test_a_job_of_somebody_else_explains_itself_by_its_seed(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    Scene(scene.folder / "elsewhere", scene.service).run(order(77))
    scene.run(order(1))
    scene.later += 11 * MINUTE
    assert len(scene.run(order(SEED)).images) == 1 and scene.paid == 3


def test_not_with_a_seed_that_the_service_draws(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(-1))
    scene.run(order(1))
    scene.later += 30 * MINUTE
    assert "seed -1" in scene.unknown(order(-1)) and scene.paid == 1


def test_not_a_second_time(scene: Scene) -> None:
    scene.before()
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.run(order(1))
    scene.later += 11 * MINUTE
    scene.service.state.faults.append(not_taken())
    scene.unknown(order(SEED))
    scene.run(order(2))
    for _ in range(3):
        scene.later += 30 * MINUTE
        assert "sent once more already" in scene.unknown(order(SEED))
    assert scene.paid == 2


def test_the_list_is_read_back_to_what_was_known(scene: Scene) -> None:
    """A lost job behind 70 later ones of somebody else is found on the third page."""
    scene.run(order(1))
    scene.service.state.faults += [Fault("mix", "reset", taken=True), Fault("list", "answer", 500, times=9)]
    scene.unknown(order(SEED))
    scene.service.state.faults.clear()
    elsewhere = Scene(scene.folder / "elsewhere", scene.service, jobs_in_flight=20)
    for first in (100, 200):
        elsewhere.run(order(first, samples=35))
    assert scene.run(order(SEED)).images == (harness.rendered(order(SEED).recipe),)
    assert scene.paid == 72


def test_a_first_attempt_that_appears_later_is_told_as_paid_twice(scene: Scene) -> None:
    scene.before()
    scene.service.state.manners.unlisted = [1002]
    scene.service.state.faults.append(Fault("mix", "answer", 500, "<html>", taken=True))
    scene.unknown(order(SEED))
    scene.run(order(1))
    scene.later += 11 * MINUTE
    first = scene.run(order(SEED))
    assert len(first.images) == 1 and scene.paid == 3
    scene.service.state.manners.unlisted = []
    scene.service.state.faults.append(Fault("mix", "reset", taken=True))  # any look at the list finds it
    scene.run(order(2))
    again = scene.run(order(SEED))
    assert again.images == first.images and scene.paid == 4
    assert any("was paid twice: jobs 1002, 1004" in warning for warning in again.report.warnings)


# Paid again by the counter


def test_the_counter_pays_for_a_failed_job_once(scene: Scene) -> None:
    failed = '{"status":"failed","id":"{id}","message":"odd"}'
    scene.service.state.faults += [
        Fault("mix", "answer", 200, failed, taken=True),
        Fault("fetch", "answer", 200, failed, times=1000, path="/fetch/1001"),
    ]
    for _ in range(3):
        with pytest.raises(NotDelivered, match="raise pay_again"):
            scene.run(order(SEED))
    assert scene.paid == 1
    outcome = scene.run(order(SEED, pay_again=1))
    assert outcome.images == (harness.rendered(order(SEED).recipe),) and scene.paid == 2
    for counter in (1, 0, 5):
        assert scene.run(order(SEED, pay_again=counter)).images == outcome.images
    assert scene.paid == 2


def test_an_earlier_attempt_is_asked_once_more_before_it_is_paid_again(scene: Scene) -> None:
    failed = Fault("fetch", "answer", 200, '{"status":"failed","message":"odd"}', times=1000)
    scene.service.state.faults += [failed, Fault("image", "answer", 404, times=1000)]
    with pytest.raises(NotDelivered):
        scene.run(order(SEED))
    scene.service.state.faults.clear()
    assert len(scene.run(order(SEED, pay_again=1)).images) == 1 and scene.paid == 1


def test_a_counter_left_high_pays_nothing_by_itself(scene: Scene) -> None:
    failed = Fault("fetch", "answer", 200, '{"status":"failed","message":"odd"}', times=1000)
    scene.service.state.faults += [failed, Fault("image", "answer", 404, times=1000)]
    for _ in range(3):
        with pytest.raises(NotDelivered):
            scene.run(order(SEED, pay_again=7))
    assert scene.paid == 1
    with pytest.raises(NotDelivered):
        scene.run(order(SEED, pay_again=8))
    assert scene.paid == 2


def test_the_counter_pays_for_an_unknown_job(scene: Scene) -> None:
    scene.service.state.manners.hides_meta = True
    scene.service.state.faults.append(Fault("mix", "reset", taken=True))
    scene.unknown(order(SEED))
    outcome = scene.run(order(SEED, pay_again=1))
    assert len(outcome.images) == 1 and scene.paid == 2
    assert scene.run(order(SEED, pay_again=1)).images == outcome.images and scene.paid == 2


def test_attempts_count_against_the_caps(scene: Scene) -> None:
    scene.service.state.manners.hides_meta = True
    scene.service.state.faults.append(Fault("mix", "reset", taken=True))
    scene.unknown(order(SEED))
    with pytest.raises(EngineError, match="max_jobs_per_day"):
        scene.engine(max_jobs_per_day=1).run(order(SEED, pay_again=1))
    assert scene.paid == 1


# A service that breaks


@pytest.mark.parametrize("in_flight", [1, 5])
def test_a_service_that_breaks_costs_no_more_than_what_was_in_flight(scene: Scene, in_flight: int) -> None:
    """Each submit is taken, and answered with a server's fault that nothing explains."""
    scene.settings = {"jobs_in_flight": in_flight}
    scene.service.state.manners.hides_meta = True
    scene.service.state.faults.append(Fault("mix", "answer", 500, '{"status":"error"}', taken=True, times=1000))
    with pytest.raises(UnknownOutcome):
        scene.run(order(SEED, samples=20))
    assert 1 < scene.paid <= in_flight + 1


def test_a_sweep_of_forty_with_four_faults(scene: Scene) -> None:
    """One refused, one failed, one lost, one v5 answer short of a picture: everything else comes in the first queue."""
    state = scene.service.state
    seed = random.Random(7).randrange(2**62, 2**63 - 100)
    forty = order(seed, samples=40, endpoint="four")
    state.faults += [
        Fault("mix", "answer", 400, '{"status":"error","message":"odd picture"}'),
        Fault("mix", "answer", 200, '{"status":"failed","id":"{id}","message":"odd"}', taken=True),
        Fault("fetch", "answer", 200, '{"status":"failed","message":"odd"}', times=10**6, path="/fetch/1001"),
        Fault("mix", "reset"),
    ]
    state.manners.leaves_out = [2]
    state.manners.leaves_out_of = [1004]
    with pytest.raises(PicturesMissing) as caught:
        scene.run(forty)
    line = str(caught.value)
    assert "13 of 40 pictures are missing" in line and "27 are kept" in line and "3 jobs" in line
    assert all(word in line for word in ("refused: ", "failed: ", "unknown: ", "3 of the 4 images"))
    assert scene.paid == 8
    shown = scene.run(replace(forty, when_missing="placeholder"))
    assert scene.paid == 9, "the refused job was not taken: it is sent afresh"
    lost = [index for index, image in enumerate(shown.images) if image is None]
    assert len(lost) == 9 == len(shown.missing) and shown.jobs_again == 3
    for index, image in enumerate(shown.images):
        assert image is None or image == harness.rendered(forty.recipe, index)
    scene.run(replace(forty, when_missing="placeholder"))
    assert scene.paid == 9
    whole = scene.run(replace(forty, pay_again=1))
    assert scene.paid == 12
    assert whole.images == tuple(harness.rendered(forty.recipe, index) for index in range(40))
    calls = len(state.calls)
    assert scene.run(replace(forty, pay_again=1)).images == whole.images and len(state.calls) == calls


# What the report tells


def test_the_report_tells_what_is_missing_and_what_is_uncertain(scene: Scene) -> None:
    scene.service.state.manners.leaves_out, scene.service.state.manners.plain_names = [1], True
    outcome = scene.run(order(9, samples=4, endpoint="four", when_missing="placeholder"))
    images = outcome.report.images
    assert [bool(image.missing) for image in images] == [False, False, False, True]
    assert [image.uncertain for image in images] == [True, True, True, False]
    assert "seed uncertain" in images[0].caption and images[3].caption.endswith("missing") and images[3].seed == 12
    assert any("without saying which" in warning for warning in outcome.report.warnings)


def test_a_filtered_picture_is_warned_of(scene: Scene) -> None:
    answer = '{"status":"success","id":"{id}","output":["{base}/images/{id}-0.png"],"nsfw_content_detected":true}'
    scene.service.state.faults.append(Fault("mix", "answer", 200, answer, taken=True))
    assert any("nsfw_content_detected" in warning for warning in scene.run(order(9)).report.warnings)


def test_a_mark_names_an_attempt_that_nothing_else_could_prove(scene: Scene) -> None:
    scene.settings = {"mark_uploads": True}
    scene.service.state.manners.rounds_seeds = True
    scene.service.state.faults.append(Fault("mix", "reset", taken=True))
    assert scene.run(order(SEED)).images == (harness.rendered(order(SEED).recipe),) and scene.paid == 1
