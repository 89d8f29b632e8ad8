"""Attempts at a job: when it is paid again, what a service that breaks costs, and what the report tells."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.remote.errors import NotDelivered, PicturesMissing, UnknownOutcome
from image_mixer.tests.remote import harness
from image_mixer.tests.remote.paced_scene import SEED, Scene, order
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Fault, Manners


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Service(manners=Manners(took=[0.5], queue_limit=30)) as server:
        made = Scene(tmp_path, server)
        server.state.clock = made.clock
        server.start()
        yield made
        server.shutdown()


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
    """Each submit is accepted, and answered with a server error."""
    scene.settings = {"jobs_in_flight": in_flight}
    scene.service.state.manners.hides_meta = True
    scene.service.state.faults.append(Fault("mix", "answer", 500, '{"status":"error"}', taken=True, times=1000))
    with pytest.raises(UnknownOutcome):
        scene.run(order(SEED, samples=20))
    assert 1 < scene.paid <= in_flight + 1


def test_a_sweep_of_forty_with_four_faults(scene: Scene) -> None:
    """One job is refused, one fails, one is lost, and one lacks a picture: all the others come in the first run."""
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
