"""The journal: which run may work on a job, what is reserved, and what survives."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.remote.errors import StoreError
from image_mixer.remote.store.caps import Caps
from image_mixer.remote.store.job_rows import NewJob
from image_mixer.remote.store.journal import Journal, LostClaim
from image_mixer.remote.store.slots import LEASE

CAPS = Caps(16, 200)


class Wall:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


def opened(folder: Path, wall: Wall) -> Journal:
    return Journal(folder / "journal.sqlite", wall, 0.2)


def new(identity: str, take: int = 0) -> NewJob:
    return NewJob(identity, "host KEY", "https://a.example", take)


def test_one_claims_and_the_other_waits(tmp_path: Path, wall: Wall) -> None:
    one, two = opened(tmp_path, wall), opened(tmp_path, wall)
    a, b = one.claims.new_owner(), two.claims.new_owner()
    one.reserve([new("x")], "r", CAPS, a)
    assert one.claims.take("x", a) is not None
    assert two.claims.take("x", b) is None
    one.intend("x", a, {"fields": {}})
    one.accept("x", "7", None, 3.0, ())
    one.claims.release("x", a)
    row = two.claims.take("x", b)
    assert row is not None and (row.state, row.remote_id) == ("accepted", "7")


def test_a_dead_owner_is_seen_at_once_and_a_silent_one_after_its_lease(tmp_path: Path, wall: Wall) -> None:
    one, two = opened(tmp_path, wall), opened(tmp_path, wall)
    a, b = one.claims.new_owner(), two.claims.new_owner()
    one.reserve([new("x"), new("y")], "r", CAPS, a)
    assert two.claims.take("x", b) is None
    wall.now += LEASE + 1
    assert two.claims.take("x", b) is not None
    with pytest.raises(LostClaim):
        one.intend("x", a, {})
    wall.now -= LEASE + 1
    assert two.claims.take("y", b) is None
    one.close()
    assert two.claims.take("y", b) is not None


def test_what_was_only_planned_is_forgotten(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.claims.new_owner()
    journal.reserve([new("x")], "r", Caps(1, 1), owner)
    journal.claims.take("x", owner)
    journal.claims.release("x", owner)
    assert journal.job("x") is None
    journal.reserve([new("y")], "r", Caps(1, 1), owner)


def test_reservations_of_the_dead_do_not_count(tmp_path: Path, wall: Wall) -> None:
    one, two = opened(tmp_path, wall), opened(tmp_path, wall)
    one.reserve([new("x")], "r", Caps(1, 1), one.claims.new_owner())
    with pytest.raises(EngineError):
        two.reserve([new("y")], "s", Caps(1, 1), two.claims.new_owner())
    one.close()
    two.reserve([new("y")], "s", Caps(1, 1), two.claims.new_owner())


def test_a_day_passes(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.claims.new_owner()
    journal.reserve([new("x")], "r", Caps(9, 1), owner)
    journal.intend("x", owner, {})
    journal.accept("x", "1", None, None, ())
    with pytest.raises(EngineError, match="1 of at most 1 in 24 hours"):
        journal.reserve([new("y")], "s", Caps(9, 1), owner)
    wall.now += 86401
    journal.reserve([new("y")], "s", Caps(9, 1), owner)


def test_slots_are_shared_and_run_out(tmp_path: Path, wall: Wall) -> None:
    one, two = opened(tmp_path, wall), opened(tmp_path, wall)
    a, b = one.claims.new_owner(), two.claims.new_owner()
    assert one.slots.take("acc", "x", 2, a) and two.slots.take("acc", "y", 2, b)
    assert not two.slots.take("acc", "z", 2, b) and two.slots.take("other", "z", 2, b)
    assert one.slots.take("acc", "x", 2, a)
    two.slots.free("x")
    assert two.slots.take("acc", "w", 2, b)
    wall.now += LEASE - 1
    two.renew([b])
    wall.now += 2
    assert not one.slots.take("acc", "v", 2, a)
    wall.now += LEASE
    assert one.slots.take("acc", "v", 2, a)


def test_a_slot_that_could_not_be_given_back_runs_out_though_the_process_lives(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    journal.slots.take("acc", "x", 1, journal.claims.new_owner())
    for _ in range(3):
        wall.now += LEASE / 2
        journal.renew([journal.claims.new_owner()])
    assert journal.slots.take("acc", "y", 1, journal.claims.new_owner())


def test_a_claim_lives_as_long_as_the_run_that_holds_it(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    first, second = journal.claims.new_owner(), journal.claims.new_owner()
    journal.reserve([new("x")], "r", CAPS, first)
    assert journal.claims.take("x", second) is None
    wall.now += 10 * LEASE
    assert journal.claims.take("x", second) is None
    journal.claims.end_owner(first)
    assert journal.claims.take("x", second) is not None


def test_a_late_answer_wins_over_unknown(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.claims.new_owner()
    journal.reserve([new("x")], "r", CAPS, owner)
    journal.intend("x", owner, {})
    journal.lose_sight("x", "no answer")
    journal.accept("x", "5", None, None, ())
    row = journal.job("x")
    assert row is not None and (row.state, row.remote_id, row.reason) == ("accepted", "5", "")


def test_one_id_is_one_job(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.claims.new_owner()
    journal.reserve([new("x"), new("y")], "r", CAPS, owner)
    for identity in ("x", "y"):
        journal.intend(identity, owner, {"fields": {"seed": identity}})
    journal.accept("x", "5", None, None, ())
    assert not journal.adopt("y", "5")
    assert journal.adopt("y", "6")


def test_an_id_may_be_answered_twice(tmp_path: Path, wall: Wall) -> None:
    """A service may answer an equal request from its cache."""
    journal = opened(tmp_path, wall)
    journal.reserve([new("x"), new("y")], "r", CAPS, journal.claims.new_owner())
    for identity in ("x", "y"):
        journal.accept(identity, "5", None, None, ())
    assert sorted(row.identity for row in journal.accounts.accepted_as("host KEY", "5")) == ["x", "y"]


def test_uploads_are_reused_for_a_while(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    journal.uploads.keep("p", "d", "https://u.example")
    wall.now += 3600
    assert journal.uploads.find("p", "d", 7200) == "https://u.example"
    assert journal.uploads.find("p", "d", 1800) is None and journal.uploads.find("q", "d", 7200) is None


def test_other_journals_are_refused(tmp_path: Path, wall: Wall) -> None:
    opened(tmp_path, wall).close()
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        opened(tmp_path, wall)


def test_an_empty_journal_beside_results_is_damaged_and_not_new(tmp_path: Path, wall: Wall) -> None:
    (tmp_path / "journal.sqlite").touch()
    opened(tmp_path, wall).close()
    (tmp_path / "journal.sqlite").write_bytes(b"")
    (tmp_path / "results" / "ab").mkdir(parents=True)
    (tmp_path / "results" / "ab" / "abc-0.image").write_bytes(b"a picture")
    with pytest.raises(StoreError, match="damaged"):
        opened(tmp_path, wall)
    (tmp_path / "journal.sqlite").unlink()
    opened(tmp_path, wall).close()


def test_caps_are_checked_by_the_number_of_jobs_alone(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.claims.new_owner()
    journal.reserve([new("x"), new("y")], "r", CAPS, owner)
    journal.check_caps_for(3, "s", Caps(1, 200))
    with pytest.raises(EngineError, match="max_jobs_per_run"):
        journal.check_caps_for(4, "s", Caps(1, 200))


def test_attempts_are_rows_of_their_own_that_the_caps_count(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.claims.new_owner()
    journal.reserve([new("x")], "r", Caps(2, 9), owner)
    journal.intend("x", owner, {"fields": {"seed": 1}, "own": ["u"]})
    again = NewJob("y", "host KEY", "https://a.example", first="x", attempt=1)
    journal.reserve([again], "r", Caps(2, 9), owner)
    journal.intend("y", owner, {})
    assert [(row.identity, row.attempt) for row in journal.attempts("x")] == [("x", 0), ("y", 1)]
    assert journal.attempts("x")[0].own == ("u",)
    with pytest.raises(EngineError, match="2 of at most 2"):
        journal.reserve([NewJob("z", "host KEY", "https://a.example", first="x", attempt=2)], "r", Caps(2, 9), owner)


def test_how_long_ago_a_job_was_sent_is_believed_from_the_slower_clock(tmp_path: Path, wall: Wall) -> None:
    monotonic = 50.0
    journal = Journal(tmp_path / "journal.sqlite", wall, 0.2, lambda: monotonic)
    owner = journal.claims.new_owner()
    journal.reserve([new("x")], "r", CAPS, owner)
    journal.intend("x", owner, {})
    row = journal.job("x")
    assert row is not None
    wall.now, monotonic = wall.now + 3600.0, 60.0
    assert journal.seconds_since_sent(row) == 10.0
    assert opened(tmp_path, wall).seconds_since_sent(row) == 3600.0
    wall.now -= 7200.0
    assert journal.seconds_since_sent(row) == -3600.0
