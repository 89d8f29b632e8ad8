"""The account book: every state of an attempt counts, journals of both versions are read, and nothing private comes out."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_mixer.remote.errors import StoreError
from image_mixer.remote.store.caps import Caps
from image_mixer.remote.store.job_rows import FinishedJob, NewJob
from image_mixer.remote.store.journal import Journal
from image_mixer.remote.store.ledger import Entry, Sums, advice, entries_of, grouped, sums_of

CAPS = Caps(100, 100)
RELEASED = Path(__file__).parent / "released" / "0.1.0" / "journal.sqlite"
CANARY = "canary-0123456789-key"
BEFORE = time.mktime((2026, 11, 30, 23, 59, 0, 0, 0, -1))
"""One minute before the end of a month, in local time."""


class Wall:
    now = BEFORE

    def __call__(self) -> float:
        return self.now


def fields(**changes: object) -> dict[str, object]:
    return {"fields": {"prompt": "a rose made of glass", "seed": 2**62 + 1, "samples": 1} | changes}


def filled(folder: Path) -> Journal:
    """Return a journal with every state once, in two runs on two endpoints; the failed job is paid again."""
    wall = Wall()
    journal = Journal(folder / "journal.sqlite", wall, 0.2)
    owner = journal.claims.new_owner()

    def reserve(identity: str, run: str, **more: object) -> None:
        new = NewJob(identity, "a KEY", "https://a.example/secret-path", **more)  # type: ignore[arg-type]
        journal.reserve([new], run, CAPS, owner)

    def sent(identity: str, run: str, **more: object) -> None:
        reserve(identity, run, **more)
        journal.intend(identity, owner, fields())

    reserve("planned", "one", endpoint="v6")
    sent("sending", "one", endpoint="v6")
    sent("going", "one", endpoint="v6")
    journal.accept("going", "11", None, None, ())
    sent("lost", "one", endpoint="v6")
    journal.lose_sight("lost", "the connection broke")
    wall.now += 120
    sent("short", "two", endpoint="v5", wanted=4, take=3)
    journal.accept("short", "12", None, None, ())
    journal.ready("short", FinishedJob((), seeds=(7, 8), seconds=1.5, remote_id="12"))
    journal.done("short", (("a" * 64, 10), None, ("b" * 64, 12), ("c" * 64, 9)))
    sent("bad", "two", endpoint="v5")
    journal.accept("bad", "13", None, None, ())
    journal.fail("bad", "out of memory")
    sent("again", "two", endpoint="v5", first="bad", attempt=2, resent=True)
    journal.accept("again", "14", None, None, ())
    journal.done("again", (("d" * 64, 10),))
    return journal


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Journal]:
    """A journal that a server has open."""
    journal = filled(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def at_rest(tmp_path: Path) -> Path:
    """A journal that no program has open."""
    filled(tmp_path).close()
    shutil.rmtree(tmp_path / "owners")
    return tmp_path / "journal.sqlite"


def named(folder: Path) -> dict[str, Entry]:
    return {entry.identity: entry for entry in entries_of(folder / "journal.sqlite")}


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file by name; "" for SQLite's shared index, which readers change too."""
    files = (path for path in folder.iterdir() if path.is_file())
    return {
        path.name: "" if path.name.endswith("-shm") else hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_each_attempt_is_an_entry(running: Journal, tmp_path: Path) -> None:
    found = named(tmp_path)
    assert list(found) == ["going", "lost", "planned", "sending", "again", "bad", "short"]
    short = found["short"]
    assert (short.endpoint, short.run, short.take, short.remote_id, short.seed, short.seconds) == (
        "v5",
        "two",
        3,
        "12",
        7,
        1.5,
    )
    assert (short.wanted, short.delivered, short.missing) == (4, 3, 1)
    assert (found["again"].attempt, found["again"].resent, found["again"].first) == (2, True, "bad")
    assert (found["bad"].attempt, found["bad"].resent, found["bad"].reason) == (0, False, "out of memory")
    assert found["going"].seed == 2**62 + 1


def test_the_sums_by_month_run_and_endpoint(running: Journal, tmp_path: Path) -> None:
    entries = entries_of(tmp_path / "journal.sqlite")
    first, second = Sums(1, 2, 1, 0, 1), Sums(3, 0, 6, 4, 2)
    for by, names in (("month", ("2026-11", "2026-12")), ("run", ("one", "two")), ("endpoint", ("v6", "v5"))):
        groups = grouped(entries, by)  # type: ignore[arg-type]
        assert [(group.name, group.since, group.sums) for group in groups] == [
            (names[0], BEFORE, first),
            (names[1], BEFORE + 120, second),
        ]
    assert sums_of(entries) == Sums(4, 2, 7, 4, 3)
    assert sums_of(()) == Sums(0, 0, 0, 0, 0)


def test_what_another_attempt_delivered_is_waited_for_no_longer(running: Journal, tmp_path: Path) -> None:
    found = named(tmp_path)
    assert advice(list(found.values())).startswith(
        "2 images are paid for and not here and 2 jobs may be paid for: queue"
    )
    assert advice([found["bad"]]).startswith("1 image is paid for and not here: queue")
    assert "raise pay_again" in advice([found["lost"]])
    assert advice([found["bad"], found["again"]]) == advice([found["planned"]]) == ""


def test_a_running_server_is_read_and_nothing_is_written(running: Journal, tmp_path: Path) -> None:
    assert (tmp_path / "journal.sqlite-wal").stat().st_size
    before = contents(tmp_path)
    writer = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM jobs")
    assert len(entries_of(tmp_path / "journal.sqlite")) == 7
    writer.execute("ROLLBACK")
    writer.close()
    assert contents(tmp_path) == before


def test_a_journal_at_rest_stays_as_it_is(at_rest: Path, tmp_path: Path) -> None:
    before = contents(tmp_path)
    assert list(before) == ["journal.sqlite"]
    assert len(entries_of(at_rest)) == 7
    assert contents(tmp_path) == before


def test_a_journal_of_0_1_0_is_read_and_not_migrated(tmp_path: Path) -> None:
    file = tmp_path / "a folder # with ? signs %20"
    file.mkdir()
    shutil.copy(RELEASED, file / "journal.sqlite")
    before = contents(file)
    entries = entries_of(file / "journal.sqlite")
    assert sums_of(entries) == Sums(21, 1, 29, 26, 3)
    assert {group.name: group.sums.images for group in grouped(entries, "endpoint")} == {
        "modelslab.com": 15,
        "stablediffusionapi.com": 14,
    }
    assert max(entry.wanted for entry in entries) == 4  # as the requests say; version 1 did not count them
    assert contents(file) == before


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (None, "There is no journal at"),
        (b"", "is damaged, or is not a journal"),
        (b"not a database, and longer than a header of SQLite would be, which has a hundred bytes" * 40, "is damaged"),
        (RELEASED.read_bytes()[:20000], "is damaged"),
    ],
)
def test_a_file_that_is_not_a_journal(tmp_path: Path, data: bytes | None, line: str) -> None:
    if data is not None:
        (tmp_path / "journal.sqlite").write_bytes(data)
    with pytest.raises(StoreError, match=line) as caught:
        entries_of(tmp_path / "journal.sqlite")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("PRAGMA user_version = 99", "written by a newer Image Mixer"),
        ("UPDATE jobs SET files = '[1, ' WHERE identity = 'bad'", "a row of it cannot be read"),
        ("UPDATE jobs SET request = '[]' WHERE identity = 'bad'", "a row of it cannot be read"),
        ("UPDATE jobs SET reserved = 'soon' WHERE identity = 'bad'", "a row of it cannot be read"),
        ("UPDATE jobs SET reserved = 9e99 WHERE identity = 'bad'", "a row of it cannot be read"),
    ],
)
def test_a_journal_that_this_version_cannot_read(at_rest: Path, change: str, line: str) -> None:
    with sqlite3.connect(at_rest) as db:
        db.execute(change)
    db.close()
    with pytest.raises(StoreError, match=line):
        entries_of(at_rest)


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("the connection broke before the answer was whole", "the connection broke before the answer was whole"),
        (f"see https://x.example/a?key={CANARY} for more", "see (URL) for more"),
        ("bad key \\u0063\\u0061\\u006e\\u0061\\u0072\\u0079 given", "bad key *** given"),
        ("bad key %63%61%6e%61%72%79%2d%30 given", "bad key *** given"),
        ("cannot draw: a rose made of glass!", "cannot draw: ***!"),
        ("cannot draw: rose made of glass", "cannot draw:***"),
        ("it says 'blur' is wrong", "it says '***' is wrong"),
        ("two\nlines \x1b[31m and \u202e more", "two lines [31m and more"),
        ("=cmd", "=cmd"),
    ],
)
def test_a_reason_holds_no_address_no_key_and_no_prompt(tmp_path: Path, reason: str, shown: str) -> None:
    journal = Journal(tmp_path / "journal.sqlite", Wall(), 0.2)
    owner = journal.claims.new_owner()
    journal.reserve([NewJob("x", "a KEY", f"https://a.example/{CANARY}")], "run", CAPS, owner)
    journal.intend("x", owner, fields(negative_prompt="blur"))
    journal.lose_sight("x", reason)
    journal.close()
    (entry,) = entries_of(tmp_path / "journal.sqlite")
    assert (entry.reason, entry.endpoint) == (shown, "a.example")
    assert CANARY not in json.dumps(entry.__dict__)
