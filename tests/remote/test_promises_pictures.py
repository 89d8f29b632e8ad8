"""What was found by trying to break the promises about pictures, on a service written from its documents alone."""

from __future__ import annotations

import base64
import contextlib
import io
import random
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.network.transport import Reply
from image_mixer.remote.engine import Outcome
from image_mixer.remote.store.accounts import Accounts
from image_mixer.tests.remote import scripted_service
from image_mixer.tests.remote.scripted_service import BASE, BROKEN, FAILED, PLAIN, Fields, Scene, order, png, told
from PIL import Image

SWEEP = ((0.5, 0.7), (0.3, 0.9))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def variants(outcome: Outcome | Exception, seed: int) -> list[str | None]:
    """Return which weights each picture was made with."""
    assert isinstance(outcome, Outcome), outcome
    known = {png({"seed": seed, **PLAIN, "init_image_weights": weights}): weights for weights in ("0.5,0.7", "0.3,0.9")}
    return [None if data is None else known[data] for data in outcome.images]


def samples(outcome: Outcome | Exception, seed: int) -> list[int | None]:
    """Return which sample each picture is."""
    assert isinstance(outcome, Outcome), outcome
    known = {png({"seed": seed, **PLAIN}, sample): sample for sample in range(4)}
    return [None if data is None else known[data] for data in outcome.images]


def in_place_or_missing(found: list[Any], wanted: list[Any]) -> bool:
    return all(one is None or one == right for one, right in zip(found, wanted, strict=True))


# No picture stands for another one


def test_a_job_whose_submit_is_still_under_way_is_not_adopted_by_its_neighbour(scene: Scene) -> None:
    """Variant 1 meets a 500; variant 2's answer takes long, and the list shows its job before the answer is read."""
    scene.service.meta = scripted_service.plain_meta
    looked = threading.Event()

    def mix(fields: Fields) -> Reply:
        if fields["init_image_weights"] == "0.5,0.7":
            time.sleep(0.05)
            return BROKEN
        job = scene.service.take(fields)
        looked.wait(5)
        time.sleep(0.05)
        return scene.service.success(job)

    def listing(rows: list[Fields], body: Fields) -> Reply:
        looked.set()
        return scripted_service.page_of(rows, body)

    scene.service.mix, scene.service.listing = mix, listing
    found = variants(scene.tried(order(5, weights=SWEEP, when_missing="placeholder")), 5)
    assert in_place_or_missing(found, ["0.5,0.7", "0.3,0.9"]), found


def test_a_job_that_a_gateway_made_twice_is_not_adopted_by_the_next_variant(scene: Scene) -> None:
    scene.service.meta = scripted_service.plain_meta

    def mix(fields: Fields) -> Reply | None:
        if fields["init_image_weights"] != "0.5,0.7":
            return BROKEN
        first = scene.service.take(fields)
        scene.service.take(fields)  # a proxy sent the request twice
        return told({"status": "processing", "id": first, "eta": 1})

    scene.service.mix = mix
    scene.run(order(5, weights=SWEEP[:1]))
    got = scene.tried(order(5, weights=SWEEP[1:]))
    assert isinstance(got, Exception) or in_place_or_missing(variants(got, 5), ["0.3,0.9"])


def test_a_fetch_that_answers_for_another_job_is_not_believed(scene: Scene) -> None:
    other = scene.service.take({"seed": 77, "samples": 1, **PLAIN})
    scene.service.meta = lambda job: {"seed": job["fields"]["seed"]}
    scene.service.fetch = lambda job, body: scene.service.success(other)
    scene.endpoint["timeouts"] = replace(scripted_service.TIMES, job=60.0)
    got = scene.tried(order(5))
    assert isinstance(got, Exception) or got.images[0] != png({"seed": 77, **PLAIN})


def test_one_id_for_two_jobs_at_once_is_not_believed_twice(scene: Scene, monkeypatch: Any) -> None:
    """Both answers are read before either is recorded; the second id cannot belong to the job of another seed."""
    both, asked, first = threading.Barrier(2), Accounts.accepted_as, threading.Lock()

    def accepted_as(accounts: Accounts, account: str, job: str) -> Any:
        found = asked(accounts, account, job)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return found

    def mix(fields: Fields) -> Reply:
        with first:
            scene.service.take(fields)
            return told({"status": "processing", "id": min(scene.service.jobs), "eta": 1})

    monkeypatch.setattr(Accounts, "accepted_as", accepted_as)
    scene.service.mix = mix
    found = samples(scene.tried(order(5, samples=2, when_missing="placeholder")), 5)
    assert in_place_or_missing(found, [0, 1]), found


def test_links_of_a_whole_job_stand_where_their_names_say(scene: Scene) -> None:
    scene.service.links = lambda job: scene.service.own_links(job)[::-1]
    found = samples(scene.tried(order(5, "four", samples=4)), 5)
    assert found == [0, 1, 2, 3]


def test_a_link_that_is_asked_for_again_is_that_of_the_same_picture(scene: Scene) -> None:
    """The second answer names the four pictures in another order; the first one's link of picture 1 is dead."""
    asked: list[int] = []

    def links(job: Fields) -> list[str]:
        asked.append(1)
        made = [scene.service.hold(job["id"], i, f"{len(asked)}x{job['id']}-{i}.png") for i in range(4)]
        if len(asked) == 1:
            del scene.service.pictures[made[1]]
            return made
        return made[::-1]

    scene.service.links = links
    found = samples(scene.tried(order(5, "four", samples=4, when_missing="placeholder")), 5)
    assert in_place_or_missing(found, [0, 1, 2, 3]), found


def test_seeds_that_contradict_the_numbers_of_file_names_count(scene: Scene) -> None:
    """Three of four came, numbered anew from 0, and `meta` names their seeds."""
    scene.service.links = lambda job: [
        scene.service.hold(job["id"], sample, f"{job['id']}-{name}.png") for name, sample in enumerate((0, 2, 3))
    ]
    scene.service.meta = lambda job: {"seed": [5, 7, 8]}
    got = scene.tried(order(5, "four", samples=4, when_missing="placeholder"))
    assert isinstance(got, Outcome)
    uncertain = [image.uncertain for image in got.report.images]
    assert in_place_or_missing(samples(got, 5), [0, 1, 2, 3]) or uncertain[1], (samples(got, 5), uncertain)


def test_a_guess_is_mended_once_all_links_are_known(scene: Scene) -> None:
    """Three of four came without saying which; the next answer has all four. Picture 3 must not stand twice."""
    asked: list[int] = []

    def links(job: Fields) -> list[str]:
        asked.append(1)
        which = (1, 2, 3) if len(asked) == 1 else (0, 1, 2, 3)
        return [scene.service.hold(job["id"], i, f"{'abcd'[i]}{job['id']}.png") for i in which]

    scene.service.links = links
    found = samples(scene.tried(order(5, "four", samples=4, when_missing="placeholder")), 5)
    assert len({one for one in found if one is not None}) == sum(one is not None for one in found), found


# Paid for and thrown away


def test_what_pay_again_delivered_is_not_trimmed_by_the_same_run(scene: Scene) -> None:
    scene.service.fetch = lambda job, body: FAILED if job == 1001 else None
    scene.tried(order(5))
    scene.results = 1
    scene.run(order(5, pay_again=1))
    scene.service.pictures.clear()
    got = scene.tried(order(5, pay_again=1))
    assert isinstance(got, Outcome), got


def test_a_picture_that_was_its_own_link_is_asked_for_again(scene: Scene) -> None:
    file = io.BytesIO()
    Image.frombytes("RGB", (400, 400), random.Random(1).randbytes(480_000)).save(file, "PNG")
    scene.service.links = lambda job: ["data:image/png;base64," + base64.b64encode(file.getvalue()).decode()]
    scene.run(order(5))
    shutil.rmtree(scene.folder / "results")
    got = scene.tried(order(5))
    assert isinstance(got, Outcome), got


def test_an_odd_fetch_address_does_not_lose_the_id_of_a_taken_job(scene: Scene) -> None:
    def mix(fields: Fields) -> Reply:
        return Reply(
            200,
            {},
            b'{"status": "processing", "id": %d, "fetch_result": "http://127.0.0.1/\\ud800"}'
            % scene.service.take(fields),
        )

    scene.service.mix = mix
    got = scene.tried(order(5))
    assert isinstance(got, Outcome), repr(got)


def test_a_thin_row_of_the_list_is_asked_for_its_meta(scene: Scene) -> None:
    scene.run(order(1))
    scene.service.mix = scene.service.take_and_break
    scene.service.listing = lambda rows, body: scripted_service.page_of([row | {"meta": {}} for row in rows], body)
    got = scene.tried(order(5))
    assert isinstance(got, Outcome), got


def test_an_answer_without_id_that_says_where_to_fetch_is_followed(scene: Scene) -> None:
    scene.service.mix = lambda fields: told(
        {
            "status": "processing",
            "eta": 1,
            "fetch_result": f"{BASE}/api/v6/image_editing/fetch/{scene.service.take(fields)}",
        }
    )
    scene.service.meta = scripted_service.no_meta
    got = scene.tried(order(5))
    assert isinstance(got, Outcome), got
