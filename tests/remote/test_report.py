"""The report of a run: seeds as far as they are known, what is missing or uncertain, warnings, and what was paid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe
from image_mixer.mixing.report import Report
from image_mixer.remote.endpoints import Endpoint
from image_mixer.remote.run.missing_pictures import MissingPicture
from image_mixer.remote.run.plan import PlannedJob, plan, single_job
from image_mixer.remote.run.report import JobHistory, job_history, report_of
from image_mixer.remote.store.job_rows import FinishedJob, JobRow
from image_mixer.tests.remote import harness
from image_mixer.tests.remote.fakes import Run
from image_mixer.tests.support.pictures import coloured, size_of

V6 = Endpoint("six", "https://service.example/api/v6")
FOUR = Endpoint("four", "https://service.example/api/v5", wire="v5", images_per_job=4)
FILE = ("a" * 64, 10)
DONE = JobRow("i", "done", remote_id="7", files=(FILE,) * 4, seconds=3.14159)


def jobs_of(recipe: Recipe, endpoint: Endpoint) -> tuple[PlannedJob, ...]:
    return plan(recipe, endpoint, 0, "", size_of)


def report(endpoint: Endpoint = V6, recipe: Recipe | None = None, **history: Any) -> Report:
    """The report of a run whose jobs all have the same `history`."""
    recipe = recipe or harness.recipe()
    jobs = jobs_of(recipe, endpoint)
    known = {"attempts": (DONE,), "singles": {}, "reused": False, "missing": {}} | history
    return report_of(recipe, endpoint, jobs, {job.identity: JobHistory(job, **known) for job in jobs}, 1.23456)


def seeds(made: Report) -> list[int | None]:
    return [image.seed for image in made.images]


SINGLE = replace(DONE, identity="s", seed=99)


@pytest.mark.parametrize(
    ("history", "sent", "wanted"),
    [
        ({}, 5, [5, None, None, None]),
        ({}, -1, [None] * 4),
        ({"attempts": (replace(DONE, seed=8),)}, 5, [8, None, None, None]),
        ({"attempts": (replace(DONE, seed=8, seeds=(8, 9, None, 2)),)}, 5, [8, 9, None, 2]),
        ({"attempts": (replace(DONE, seed=8),)}, -1, [8, None, None, None]),
        ({"attempts": (replace(DONE, seed=8, order_known=False),)}, 5, [None] * 4),
        ({"singles": {2: (SINGLE,)}}, 5, [5, None, 99, None]),
        ({"singles": {2: (replace(SINGLE, seed=None),)}}, 5, [5, None, 7, None]),
        ({"singles": {2: (replace(SINGLE, seed=None),)}}, -1, [None] * 4),
        ({"singles": {2: (SINGLE,)}, "attempts": (replace(DONE, order_known=False),)}, 5, [None, None, 99, None]),
        ({"missing": {1: "why", 3: "why"}}, 5, [5, 6, None, 8]),
        ({"missing": {1: "why"}, "attempts": (replace(DONE, seed=8, seeds=(8, 9, 10, 11)),)}, 5, [8, 6, 10, 11]),
        ({"missing": {1: "why"}}, -1, [None] * 4),
        ({"attempts": (), "missing": dict.fromkeys(range(4), "why")}, 5, [5, 6, 7, 8]),
    ],
)
def test_seeds_are_the_ones_used_as_far_as_they_are_known(history: Any, sent: int, wanted: list[int | None]) -> None:
    """Of a missing image, the seed that would make it."""
    made = report(FOUR, harness.recipe(samples=4, seed=sent), **history)
    assert seeds(made) == wanted
    assert [image.missing for image in made.images] == [history.get("missing", {}).get(n, "") for n in range(4)]


def test_an_image_is_uncertain_unless_it_is_missing_or_came_alone() -> None:
    unordered = replace(DONE, order_known=False)
    made = report(
        FOUR, harness.recipe(samples=4), attempts=(unordered,), singles={1: (SINGLE,)}, missing={3: "it was left out"}
    )
    assert [image.uncertain for image in made.images] == [True, False, True, False]
    assert not any(image.uncertain for image in report(FOUR, harness.recipe(samples=4)).images)


def test_images_are_in_order_with_their_weights_also_if_variants_share_a_job() -> None:
    recipe = harness.recipe(((0.5, 0.7), (1.0, 0.0), (0.5, 0.7)), samples=2)
    jobs = jobs_of(recipe, V6)
    assert len({job.identity for job in jobs}) == 4
    histories = {job.identity: JobHistory(job, (DONE,), {}, False, {}) for job in reversed(jobs)}
    made = report_of(recipe, V6, jobs, histories, 0.0)
    assert [(image.variant, image.sample) for image in made.images] == [(v, s) for v in range(3) for s in range(2)]
    assert [image.weights for image in made.images] == [(0.5, 0.7)] * 2 + [(1.0, 0.0)] * 2 + [(0.5, 0.7)] * 2
    assert len(made.details["jobs"]) == 4


FAILED = JobRow("i", "failed", remote_id="6", reason="out of memory")
UNKNOWN = JobRow("j", "unknown", attempt=1, resent=True)


@pytest.mark.parametrize(
    ("endpoint", "recipe", "history", "lines"),
    [
        (V6, {}, {}, []),
        (V6, {}, {"attempts": (FAILED, DONE)}, ["Variant 1, sample 1 was paid twice: jobs 6, 7."]),
        (V6, {}, {"attempts": (FAILED, FAILED, DONE)}, ["Variant 1, sample 1 was paid 3 times: jobs 6, 6, 7."]),
        (
            V6,
            {},
            {"attempts": (replace(FAILED, remote_id=None), DONE)},
            ["Variant 1, sample 1 was paid twice: jobs without id, 7."],
        ),
        (V6, {}, {"attempts": (UNKNOWN, DONE)}, []),
        (V6, {}, {"attempts": (replace(DONE, unsafe=True),)}, ["nsfw_content_detected"]),
        (V6, {"weights": ((0.05, 1.0),)}, {}, ["A weight of 0.05"]),
        (FOUR, {"samples": 4}, {}, ["only the first image of each job"]),
        (
            FOUR,
            {"samples": 4},
            {"attempts": (replace(DONE, order_known=False),)},
            ["only the first image", "their seeds are uncertain"],
        ),
        (FOUR, {"samples": 4}, {"missing": {1: "x", 2: "x"}}, ["only the first image", "2 of 4 pictures are missing"]),
        (V6, {"samples": 3}, {"missing": {0: "x"}}, ["3 of 3 pictures are missing"]),
    ],
)
def test_warnings(endpoint: Endpoint, recipe: Any, history: Any, lines: list[str]) -> None:
    found = report(endpoint, harness.recipe(**recipe), **history).warnings
    assert len(found) == len(lines)
    assert all(part in line for part, line in zip(lines, found, strict=True)), found


def test_a_warning_is_given_once_and_texts_with_a_weight_are_mentioned() -> None:
    picture = Ingredient("image", coloured())
    mix = Mix((picture, Ingredient("text", "oil")), ((0.05, 0.0),))
    recipe = replace(harness.recipe(samples=3), mix=mix)
    assert len(report(V6, recipe).warnings) == 1
    mix = Mix((picture, Ingredient("text", "oil")), ((1.0, 0.1),))
    assert report(V6, replace(recipe, mix=mix)).warnings == (
        "Text ingredients were joined to the prompt, without weights.",
    )


@pytest.mark.parametrize(
    ("history", "changed"),
    [
        ({}, {}),
        ({"reused": True}, {"from": "journal"}),
        ({"attempts": (replace(DONE, seconds=None),)}, {"seconds": None}),
        ({"attempts": ()}, {"id": None, "seconds": None}),
        (
            {"attempts": (FAILED,)},
            {
                "id": "6",
                "seconds": None,
                "attempts": [{"id": "6", "state": "failed", "pay_again": 0, "sent_again": False}],
            },
        ),
        (
            {"attempts": (UNKNOWN, replace(DONE, delivered=2.0), replace(DONE, remote_id="9", delivered=1.0))},
            {
                "id": "9",
                "attempts": [
                    {"id": None, "state": "unknown", "pay_again": 1, "sent_again": True},
                    {"id": "7", "state": "done", "pay_again": 0, "sent_again": False},
                    {"id": "9", "state": "done", "pay_again": 0, "sent_again": False},
                ],
            },
        ),
    ],
)
def test_the_details_of_a_job(history: Any, changed: dict[str, Any]) -> None:
    (job,) = jobs_of(harness.recipe(), V6)
    (entry,) = report(**history).details["jobs"]
    usual = {
        "id": "7",
        "identity": job.identity,
        "images": 1,
        "prompt": "rose man",
        "seed_sent": 12345,
        "seconds": 3.142,
        "from": "service",
    }
    assert entry == usual | changed


@pytest.mark.parametrize(
    ("endpoint", "line"),
    [
        (V6, "sent, not confirmed"),
        (replace(V6, wire="v5"), "sent"),
        (replace(V6, weights="repeat"), "repeat"),
        (replace(V6, weights="ignore"), "ignore"),
    ],
)
def test_the_report_says_what_became_of_the_weights(endpoint: Endpoint, line: str) -> None:
    made = report(endpoint, harness.recipe(((1.0, 1.0),)))
    assert made.details["weights"].partition(":")[0] == line
    assert (made.engine, made.details["endpoint"], made.details["wire"]) == ("remote", "six", endpoint.wire)
    assert (made.recipe, made.seconds) == (harness.recipe(((1.0, 1.0),)).digest, {"total": 1.235})


def test_a_report_holds_no_url() -> None:
    """A link may hold a secret."""
    links = (("https://service.example/secret.png",),)
    row = replace(DONE, links=links, fetch_url="https://service.example/secret", request={"own": ["https://secret"]})
    assert "secret" not in json.dumps(report(attempts=(row,)).details)


def test_a_history_is_read_from_the_journal(tmp_path: Path) -> None:
    """Two images of four came, one more was made alone, and one is missing."""
    run = Run(tmp_path)
    context = run.context()
    (job,) = jobs_of(harness.recipe(samples=4), FOUR)
    for one, files in ((job, (FILE, None, None, FILE)), (single_job(job, 1, FOUR, 0), (FILE,))):
        context.reserve(context.new_job(one, one.identity, 0))
        run.journal.accept(one.identity, f"id {len(files)}", None, None, ())
        run.journal.ready(one.identity, FinishedJob((), seeds=(4,), remote_id=f"id {len(files)}"))
        run.journal.done(one.identity, files)
    missing = [MissingPicture(2, 0, 2, "failed", "it was left out"), MissingPicture(9, 2, 1, "failed", "another job's")]
    history = job_history(job, run.journal, FOUR, 0, True, missing)
    assert history.delivery is not None and history.delivery.remote_id == "id 4"
    assert {position: rows[0].remote_id for position, rows in history.singles.items()} == {1: "id 1"}
    assert (history.missing, history.reused, len(history.attempts)) == ({2: "it was left out"}, True, 1)
