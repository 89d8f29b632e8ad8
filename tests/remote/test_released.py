"""What a released version paid for is never paid for again: its journal and results are read as it left them."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from image_mixer.network.transport import Call, Reply
from image_mixer.remote.errors import StoreError
from image_mixer.remote.store.journal import Journal
from image_mixer.tests.remote.released import runs

RELEASES = sorted(
    path for path in Path(__file__).with_name("released").iterdir() if (path / "journal.sqlite").is_file()
)


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of what a release left on disk."""
    return Path(shutil.copytree(request.param, tmp_path / "private"))


def nobody(call: Call) -> Reply:
    """Fail on any call."""
    raise AssertionError(f"{call.method} {call.url} was called")


def test_there_is_a_release() -> None:
    assert [path.name for path in RELEASES][:1] == ["0.1.0"]


def test_its_finished_recipes_are_read_from_disk_without_a_call_or_a_key(folder: Path) -> None:
    engine, given = runs.engine(folder, nobody, key=""), runs.pictures(folder)
    wanted = json.loads((folder / "images.json").read_text(encoding="utf-8"))
    assert set(wanted) == {told.name for told in runs.FINISHED}
    for told in runs.FINISHED:
        outcome = engine.run(runs.order(told, given))
        made = [hashlib.sha256(data).hexdigest() for data in outcome.images if data is not None]
        assert made == wanted[told.name], told.name
        assert {job["from"] for job in outcome.report.details["jobs"]} == {"journal"}


def test_all_of_its_rows_open(folder: Path) -> None:
    with sqlite3.connect(folder / "journal.sqlite") as db:
        before = dict(db.execute("SELECT identity, state FROM jobs").fetchall())
    db.close()
    assert {"done", "failed", "unknown", "accepted", "ready"} <= set(before.values())
    journal = Journal(folder / "journal.sqlite", lambda: 1.8e9)
    for identity, state in before.items():
        row = journal.job(identity)
        assert row is not None and (row.state, row.first, row.attempt) == (state, identity, 0)
        assert [one.identity for one in journal.attempts(identity)] == [identity]
    journal.close()
    again = Journal(folder / "journal.sqlite", lambda: 1.8e9)
    assert again.job(next(iter(before))) is not None


def test_an_older_version_refuses_a_newer_journal_in_one_line(folder: Path) -> None:
    Journal(folder / "journal.sqlite", lambda: 1.8e9).close()
    with sqlite3.connect(folder / "journal.sqlite") as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {version + 1}")
    db.close()
    with pytest.raises(StoreError, match="newer Image Mixer"):
        Journal(folder / "journal.sqlite", lambda: 1.8e9)


@pytest.mark.parametrize("state", ["accepted", "ready"])
def test_what_it_left_unfinished_is_asked_for_and_not_sent(folder: Path, state: str) -> None:
    """A job that the service accepted is collected: fetched or downloaded, never submitted."""
    called: list[str] = []

    def network(call: Call) -> Reply:
        called.append(call.url)
        if call.url.endswith(".png"):
            return Reply(200, {}, (folder / "a.png").read_bytes())
        number = int(call.url.rpartition("/")[2])
        body = {"status": "success", "id": number, "output": [f"https://modelslab.com/images/{number}-0.png"]}
        return Reply(200, {}, json.dumps(body).encode())

    outcome = runs.engine(folder, network).run(runs.order(runs.UNFINISHED[state], runs.pictures(folder)))
    assert outcome.images == ((folder / "a.png").read_bytes(),)
    assert called and not any("img_mixer" in url or "base64" in url for url in called)
