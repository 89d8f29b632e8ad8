"""Uploads: each picture once per content, its URL used again while the service keeps it, and never one that expired."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from image_mixer.mixing.mix import Picture
from image_mixer.remote.run.uploads import REUSED, Uploads
from image_mixer.remote.timing import Stopped
from image_mixer.tests.remote.fakes import FakeClient, Run
from image_mixer.tests.support.pictures import coloured

RED, BLUE = coloured((200, 30, 30)), coloured((30, 30, 200))
HOUR = 3600.0


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def go_on(seconds: float) -> None:
    """A pause that is not interrupted."""


def uploads(run: Run) -> Uploads:
    """Those of a new run."""
    return run.context().uploads


def count(run: Run) -> int:
    return len(run.client.uploads)


def test_a_picture_is_sent_as_a_data_uri_within_the_services_limits(run: Run) -> None:
    asked: list[tuple[Picture, int, int]] = []

    def encode(picture: Picture, max_bytes: int, max_side: int) -> tuple[bytes, str]:
        asked.append((picture, max_bytes, max_side))
        return b"bytes", "image/webp"

    url = replace(uploads(run), encode=encode).url(RED, go_on)
    assert run.client.uploads == [f"data:image/webp;base64,{base64.b64encode(b'bytes').decode()}"]
    assert url == "https://service.example/up/1.png" and asked == [(RED, 5_000_000, 1024)]


@pytest.mark.parametrize(
    ("later", "uploaded"),
    [(0.0, 1), (HOUR, 1), (22 * HOUR, 1), (REUSED - 1, 1), (REUSED + 1, 2), (24 * HOUR, 2), (-2 * HOUR, 2)],
)
def test_a_url_is_used_again_for_23_hours_also_by_later_runs(run: Run, later: float, uploaded: int) -> None:
    """A URL from the future is not used: the clock was wrong, so its age is unknown."""
    first = uploads(run).url(RED, go_on)
    run.time.now += later
    again = uploads(run).url(RED, go_on)
    assert (count(run), again == first) == (uploaded, uploaded == 1)


def test_other_contents_and_other_services_get_urls_of_their_own(run: Run, tmp_path: Path) -> None:
    known = {uploads(run).url(RED, go_on), uploads(run).url(BLUE, go_on)}
    elsewhere = FakeClient(replace(run.client.endpoint, base_url="https://other.example/api/v6"))
    other = replace(uploads(run), client=elsewhere)  # type: ignore[arg-type]
    assert other.url(RED, go_on) and len(elsewhere.uploads) == 1
    assert len(known) == 2 == count(run)
    assert uploads(run).url(RED, go_on) in known and count(run) == 2


def test_jobs_that_need_the_same_picture_at_once_upload_it_once(run: Run) -> None:
    shared, all_here = uploads(run), threading.Barrier(6, timeout=5)

    def url() -> str:
        all_here.wait()
        return shared.url(RED, go_on)

    with ThreadPoolExecutor(6) as pool:
        urls = {future.result() for future in [pool.submit(url) for _ in range(6)]}
    assert len(urls) == 1 == count(run)


def test_pictures_that_differ_are_uploaded_side_by_side(run: Run) -> None:
    both = threading.Barrier(2, timeout=5)
    run.client.on_upload = lambda: both.wait() and None
    shared = uploads(run)
    with ThreadPoolExecutor(2) as pool:
        assert len({future.result() for future in [pool.submit(shared.url, one, go_on) for one in (RED, BLUE)]}) == 2


def test_nothing_is_uploaded_after_an_interrupt_but_a_known_url_is_still_given(run: Run) -> None:
    def interrupted(seconds: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        uploads(run).url(RED, interrupted)
    assert count(run) == 0
    url = uploads(run).url(RED, go_on)
    assert uploads(run).url(RED, interrupted) == url


@pytest.mark.parametrize(
    ("by", "used", "stale", "uploaded"),
    [
        ("an earlier run", "the known URL", True, 2),
        ("this run", "the known URL", False, 1),
        ("this run", "an older URL", True, 1),
        ("this run", "none", True, 1),
    ],
)
def test_after_a_refusal_only_uploads_of_earlier_runs_are_made_again(
    run: Run, by: str, used: str, stale: bool, uploaded: int
) -> None:
    """A service refused a request that named `used` for the picture. `stale`: it is worth sending the request again."""
    own = uploads(run)
    url = (uploads(run) if by == "an earlier run" else own).url(RED, go_on)
    named = {"the known URL": {RED.digest: url}, "an older URL": {RED.digest: "https://service.example/old.png"}}
    assert own.forget((RED,), named.get(used, {})) is stale
    own.url(RED, go_on)
    assert count(run) == uploaded


def test_one_stale_picture_is_enough(run: Run) -> None:
    own = uploads(run)
    used = {BLUE.digest: uploads(run).url(BLUE, go_on), RED.digest: own.url(RED, go_on)}
    assert own.forget((RED, BLUE), used)
    own.url(RED, go_on)
    assert count(run) == 2
    own.url(BLUE, go_on)
    assert count(run) == 3 and not own.forget((RED, BLUE), used | {BLUE.digest: own.url(BLUE, go_on)})
