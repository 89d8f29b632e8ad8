"""What was found by trying to break the promises about money and pictures, on a stand-in written from the documents alone."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import random
import shutil
import threading
import time
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError, MixError
from image_mixer.network.transport import NotSent, Reply
from image_mixer.remote.endpoints import Timeouts
from image_mixer.remote.engine import Outcome
from image_mixer.remote.store.accounts import Accounts
from image_mixer.tests.remote import harness, scripted_service
from image_mixer.tests.remote.scripted_service import BASE, BROKEN, FAILED, PLAIN, Fields, Scene, order, png, told
from PIL import Image

HOUR = 3600.0
SWEEP = ((0.5, 0.7), (0.3, 0.9))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def variants(outcome: Outcome | Exception, seed: int) -> list[str | None]:
    """Of which weights each picture is."""
    assert isinstance(outcome, Outcome), outcome
    known = {png({"seed": seed, **PLAIN, "init_image_weights": weights}): weights for weights in ("0.5,0.7", "0.3,0.9")}
    return [None if data is None else known[data] for data in outcome.images]


def samples(outcome: Outcome | Exception, seed: int) -> list[int | None]:
    """Which sample each picture is."""
    assert isinstance(outcome, Outcome), outcome
    known = {png({"seed": seed, **PLAIN}, sample): sample for sample in range(4)}
    return [None if data is None else known[data] for data in outcome.images]


def in_place_or_missing(found: list[Any], wanted: list[Any]) -> bool:
    return all(one is None or one == right for one, right in zip(found, wanted, strict=True))


# A picture in another's place


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
        scene.service.take(fields)  # a proxy sent the request a second time
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
    """Both answers are read before either is written down; the second id cannot be that of another seed's job."""
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


# Paid twice


def test_a_clock_that_was_ahead_does_not_hide_a_taken_job(scene: Scene) -> None:
    """Sent while the clock was two hours ahead; later jobs, with larger ids, then count as older than it."""
    scene.run(order(1))
    scene.ahead = 2 * HOUR
    scene.lost(5)
    scene.ahead = 0.0
    scene.run(order(6))
    scene.ahead, scene.later = 2 * HOUR, 700.0
    scene.run(order(7))
    scene.service.meta = scripted_service.no_meta
    assert scene.paid_by(order(5)) == 0


def test_a_clock_that_is_put_forward_is_no_waiting(scene: Scene) -> None:
    """Sent while the clock was an hour behind; it is put right, and the list still lags: two minutes have passed."""
    scene.run(order(1))
    scene.ahead = -HOUR
    taken = scene.lost(5, listed=False)
    scene.ahead = 0.0
    scene.hide(taken)
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


@pytest.mark.parametrize("renamed", [False, True], ids=["the same name", "another credential"])
def test_the_list_of_another_account_clears_nothing(scene: Scene, renamed: bool, monkeypatch: Any) -> None:
    """The key was changed for that of another account after the job was lost: its list cannot show it."""
    scene.run(order(1))
    scene.lost(5)
    scene.key, scene.later = "another-key-0000", 700.0
    if renamed:
        monkeypatch.setattr(harness, "Credentials", lambda path, keys: _credentials(path, scene.key))
        scene.endpoint["credential"] = "STUDIO_KEY"
    scene.hide(*scene.service.jobs)  # all of them are the other account's
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


def _credentials(path: Path, key: str) -> Any:
    from image_mixer.remote.credentials import Credentials

    return Credentials(path, {"STUDIO_KEY": key})


def test_the_longest_job_counts_also_if_a_later_queue_collected_it(scene: Scene) -> None:
    """A job took over 30 minutes, longer than a run waits. So the lost one may well be made after 12 minutes."""
    scene.endpoint["timeouts"] = replace(scripted_service.TIMES, job=900.0)
    scene.service.fetch = lambda job, body: told({"status": "processing", "message": "Try Again", "output": ""})
    scene.tried(order(1))
    scene.later += 1000.0
    scene.service.fetch = lambda job, body: None
    scene.run(order(1))
    scene.hide(scene.lost(5, listed=False))
    scene.later += 700.0
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


def _ten_a_page(rows: list[Fields], body: Fields, taken: int) -> Reply:
    first = (body["page"] - 1) * 10
    return told(
        {
            "status": "success",
            "data": rows[first : first + 10],
            "pagination": {"per_page": 10, "total": len(rows), "last_page": -(-len(rows) // 30)},
        }
    )


def _last_page_is_nought(rows: list[Fields], body: Fields, taken: int) -> Reply:
    part = rows[:1] if body["page"] == 1 else rows[1:] if body["page"] == 2 else []
    return told({"status": "success", "data": part, "pagination": {"last_page": 0}})


def _all_at_once(rows: list[Fields], body: Fields, taken: int) -> Reply:
    return told({"status": "success", "data": rows, "pagination": {"last_page": 1}})


def _one_row_in_another_form(rows: list[Fields], body: Fields, taken: int) -> Reply:
    return scripted_service.page_of(
        [row if row["id"] != taken else {"request_id": taken, "output": []} for row in rows], body
    )


@pytest.mark.parametrize("listing", [_ten_a_page, _all_at_once, _last_page_is_nought, _one_row_in_another_form])
def test_a_list_that_was_not_read_whole_clears_nothing(scene: Scene, listing: Any) -> None:
    scene.run(order(1))
    taken = scene.lost(5)
    for _ in range(230 if listing is _all_at_once else 35 if listing is _ten_a_page else 0):
        scene.service.take({"seed": 99, "samples": 1, **PLAIN})
    scene.later = 700.0
    scene.run(order(6))

    def listed(rows: list[Fields], body: Fields) -> Reply:
        told_seeds = [
            row | {"meta": {"seed": scene.service.jobs[row["id"]]["fields"]["seed"]}} if row["id"] != taken else row
            for row in rows
        ]
        return listing(told_seeds, body, taken)

    scene.service.meta, scene.service.listing = scripted_service.no_meta, listed
    assert scene.paid_by(order(5)) == 0


def test_ids_that_are_seen_to_fall_say_nothing_about_age(scene: Scene) -> None:
    scene.service.step, scene.service.meta = -1, scripted_service.no_meta
    scene.run(order(1))
    scene.lost(5)
    scene.later = 700.0
    scene.run(order(6))
    assert scene.paid_by(order(5)) == 0


def test_a_connection_that_is_refused_shows_no_working_service(scene: Scene) -> None:
    """Every other connection is refused, and every submit that arrives is taken and answered with 500."""
    turns = itertools.count()

    def mix(fields: Fields) -> Reply:
        if next(turns) % 2:
            raise NotSent("the connection is refused")
        return scene.service.take_and_break(fields)

    scene.service.mix, scene.service.meta = mix, scripted_service.no_meta
    in_flight = 5
    assert scene.paid_by(order(5, samples=30)) <= in_flight + 1


def test_a_keyboard_interrupt_stops_paying(scene: Scene) -> None:
    scene.endpoint["jobs_in_flight"] = 1
    here = threading.current_thread()

    def interrupted() -> bool:
        if threading.current_thread() is here and scene.service.jobs:
            raise KeyboardInterrupt
        return False

    def fetch(job: int, body: Fields) -> None:
        time.sleep(0.1)

    scene.service.fetch = fetch
    with pytest.raises(KeyboardInterrupt):
        scene.engine().run(order(5, samples=12), interrupted=interrupted)
    paid = len(scene.service.jobs)
    time.sleep(1.0)
    assert len(scene.service.jobs) <= paid + 1


def test_only_a_sentence_about_a_field_says_that_it_is_required(scene: Scene) -> None:
    def mix(fields: Fields) -> Reply:
        scene.service.take(fields)
        return told({"status": "error", "message": "Job queued. Manual review is required."})

    scene.service.mix, scene.service.meta = mix, scripted_service.no_meta
    assert scene.paid_by(order(5)) + scene.paid_by(order(5)) == 1


def test_pay_again_waits_for_an_answer_about_the_earlier_attempt(scene: Scene) -> None:
    """The job failed; asked once more, its service gives no answer at that moment, and would have delivered."""
    scene.endpoint["timeouts"] = replace(scripted_service.TIMES, job=60.0)
    scene.service.fetch = lambda job, body: FAILED
    scene.tried(order(5))
    scene.service.fetch = lambda job, body: Reply(503, {}, b"")
    assert scene.paid_by(order(5, pay_again=1)) == 0


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


# Lines and falling back


@pytest.mark.parametrize("when_missing", ["stop", "placeholder"])
def test_an_unknown_outcome_is_not_hidden_by_a_refusal(scene: Scene, when_missing: Any) -> None:
    """The first job may be paid for; credits then run out. Nothing may fall back, and "nothing was paid" is untrue."""
    scene.endpoint["jobs_in_flight"] = 1
    refused = told({"status": "error", "message": "Insufficient credits"}, 402)
    scene.service.meta = scripted_service.no_meta
    scene.service.mix = lambda fields: refused if scene.service.jobs else scene.service.take_and_break(fields)
    got = scene.tried(order(5, samples=2, has_fallback=True, when_missing=when_missing))
    assert not isinstance(got, EngineError), got


def test_raising_pay_again_pays_also_if_it_was_lowered_before(scene: Scene) -> None:
    scene.service.fetch = lambda job, body: FAILED if job == 1001 else None
    scene.endpoint["timeouts"] = replace(scripted_service.TIMES, job=60.0)
    scene.tried(order(5, pay_again=3))
    assert "raise pay_again" in str(scene.tried(order(5, pay_again=0)))
    assert scene.paid_by(order(5, pay_again=1)) == 1


def test_closing_the_journal_is_not_called_damage(scene: Scene) -> None:
    engine = scene.engine()
    scene.service.mix = lambda fields: engine.close()
    with pytest.raises(MixError) as caught:
        engine.run(order(5))
    assert "damaged" not in str(caught.value)


# Hanging, and one job that holds others


def test_a_closed_gate_lets_no_job_wait_for_ever(scene: Scene) -> None:
    """A lost job is sent again, meets the second fault in a row, and pay_again was raised: its next attempt waits."""
    scene.endpoint |= {"jobs_in_flight": 2, "timeouts": Timeouts(60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0)}
    scene.run(order(1))
    scene.service.mix = lambda fields: BROKEN
    scene.tried(order(5))
    scene.service.mix = lambda fields: None
    scene.later = 700.0
    scene.run(order(6))
    scene.service.mix = lambda fields: BROKEN
    stop = threading.Event()
    future = scene.engine().start(order(4, samples=2, pay_again=1), interrupted=stop.is_set)
    ended = bool(wait([future], 3).done)
    stop.set()
    assert ended


def test_a_run_that_could_start_no_thread_holds_nothing(scene: Scene, monkeypatch: Any) -> None:
    engine, start = scene.engine(), threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name == "image mixer job":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(threading.Thread, "start", none_left)
        engine.run(order(5))
    stop = threading.Event()
    future = engine.start(order(5), interrupted=stop.is_set)
    ended = bool(wait([future], 3).done)
    stop.set()
    assert ended


def test_expired_uploads_are_renewed_for_every_job_of_a_run(scene: Scene) -> None:
    """Two jobs sent the old addresses; the second refusal is read after the first job has uploaded anew."""
    scene.run(order(1))
    old, here, first = scene.service.uploads, threading.Barrier(2, timeout=5), threading.Lock()

    def mix(fields: Fields) -> Reply | None:
        if any(int(url.rpartition("/")[2][:-4]) > old for url in fields["init_image"]):
            return None
        here.wait()
        if not first.acquire(blocking=False):
            end = time.monotonic() + 5
            while scene.service.uploads < 2 * old and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(0.1)
        return told({"status": "error", "message": "An init_image cannot be read"}, 400)

    scene.service.mix = mix
    got = scene.tried(order(50, samples=2))
    assert isinstance(got, Outcome), got
