"""The journal: who may work on a job, what is reserved, and what survives."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from image_mixer.mixing.errors import EngineError
from image_mixer.remote.errors import StoreError
from image_mixer.remote.journal import LEASE, Caps, Journal, LostClaim, NewJob
from image_mixer.remote.proof import proves

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
    a, b = one.new_owner(), two.new_owner()
    one.reserve([new("x")], "r", CAPS, a)
    assert one.claim("x", a) is not None
    assert two.claim("x", b) is None
    one.intend("x", a, {"fields": {}})
    one.accept("x", "7", None, 3.0, ())
    one.release("x", a)
    row = two.claim("x", b)
    assert row is not None and (row.state, row.remote_id) == ("accepted", "7")


def test_a_dead_owner_is_seen_at_once_and_a_silent_one_after_its_lease(tmp_path: Path, wall: Wall) -> None:
    one, two = opened(tmp_path, wall), opened(tmp_path, wall)
    a, b = one.new_owner(), two.new_owner()
    one.reserve([new("x"), new("y")], "r", CAPS, a)
    assert two.claim("x", b) is None
    wall.now += LEASE + 1
    assert two.claim("x", b) is not None
    with pytest.raises(LostClaim):
        one.intend("x", a, {})
    wall.now -= LEASE + 1
    assert two.claim("y", b) is None
    one.close()
    assert two.claim("y", b) is not None


def test_what_was_only_planned_is_forgotten(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.new_owner()
    journal.reserve([new("x")], "r", Caps(1, 1), owner)
    journal.claim("x", owner)
    journal.release("x", owner)
    assert journal.job("x") is None
    journal.reserve([new("y")], "r", Caps(1, 1), owner)


def test_reservations_of_the_dead_do_not_count(tmp_path: Path, wall: Wall) -> None:
    one, two = opened(tmp_path, wall), opened(tmp_path, wall)
    one.reserve([new("x")], "r", Caps(1, 1), one.new_owner())
    with pytest.raises(EngineError):
        two.reserve([new("y")], "s", Caps(1, 1), two.new_owner())
    one.close()
    two.reserve([new("y")], "s", Caps(1, 1), two.new_owner())


def test_a_day_passes(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.new_owner()
    journal.reserve([new("x")], "r", Caps(9, 1), owner)
    journal.intend("x", owner, {})
    journal.accept("x", "1", None, None, ())
    with pytest.raises(EngineError, match="1 of at most 1 in 24 hours"):
        journal.reserve([new("y")], "s", Caps(9, 1), owner)
    wall.now += 86401
    journal.reserve([new("y")], "s", Caps(9, 1), owner)


def test_slots_are_shared_and_run_out(tmp_path: Path, wall: Wall) -> None:
    one, two = opened(tmp_path, wall), opened(tmp_path, wall)
    assert one.take_slot("acc", "x", 2) and two.take_slot("acc", "y", 2)
    assert not two.take_slot("acc", "z", 2) and two.take_slot("other", "z", 2)
    assert one.take_slot("acc", "x", 2)
    two.free_slot("x")
    assert two.take_slot("acc", "w", 2)
    wall.now += LEASE - 1
    two.renew([])
    wall.now += 2
    assert not one.take_slot("acc", "v", 2)
    wall.now += LEASE
    assert one.take_slot("acc", "v", 2)


def test_a_late_answer_wins_over_unknown(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.new_owner()
    journal.reserve([new("x")], "r", CAPS, owner)
    journal.intend("x", owner, {})
    journal.lose_sight("x", "no answer")
    journal.accept("x", "5", None, None, ())
    row = journal.job("x")
    assert row is not None and (row.state, row.remote_id, row.reason) == ("accepted", "5", "")


def test_one_id_is_one_job(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    owner = journal.new_owner()
    journal.reserve([new("x"), new("y")], "r", CAPS, owner)
    for identity in ("x", "y"):
        journal.intend(identity, owner, {"fields": {"seed": identity}})
    journal.accept("x", "5", None, None, ())
    assert not journal.adopt("y", "5")
    assert journal.adopt("y", "6")
    with pytest.raises(StoreError):
        journal.reserve([new("z")], "r", CAPS, owner)
        journal.accept("z", "5", None, None, ())


def test_uploads_are_reused_for_a_while(tmp_path: Path, wall: Wall) -> None:
    journal = opened(tmp_path, wall)
    journal.keep_upload("p", "d", "https://u.example")
    wall.now += 3600
    assert journal.uploaded("p", "d", 7200) == "https://u.example"
    assert journal.uploaded("p", "d", 1800) is None and journal.uploaded("q", "d", 7200) is None


def test_other_journals_are_refused(tmp_path: Path, wall: Wall) -> None:
    opened(tmp_path, wall).close()
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        opened(tmp_path, wall)


REQUEST = {"seed": 5, "prompt": "p", "init_image": ["https://u/1", "https://x/2"], "init_image_weights": "0.5,0.7",
           "steps": 30, "guidance_scale": 3.0}
META = {"seed": "5", "prompt": "p", "init_image": "https://u/1,https://x/2", "init_image_weights": "0.5,0.7",
        "steps": 30, "guidance_scale": 3}


@pytest.mark.parametrize(("meta", "request_", "own", "alike", "wanted"), [
    (META, REQUEST, ["https://u/1"], 0, True),
    (META, REQUEST, ["https://u/1"], 1, True),
    (META, REQUEST, [], 0, False),
    (META, REQUEST, ["https://u/9"], 0, False),
    (META | {"seed": 6}, REQUEST, ["https://u/1"], 0, False),
    (META | {"prompt": "q"}, REQUEST, ["https://u/1"], 0, False),
    (META | {"init_image": "https://u/1"}, REQUEST, ["https://u/1"], 0, False),
    (META | {"init_image_weights": "0.5,0.8"}, REQUEST, ["https://u/1"], 0, False),
    (META, REQUEST | {"seed": None}, ["https://u/1"], 0, False),
    ({k: v for k, v in META.items() if k != "init_image_weights"}, REQUEST, ["https://u/1"], 0, True),
    ({k: v for k, v in META.items() if k != "init_image_weights"}, REQUEST, ["https://u/1"], 1, False),
    ({}, REQUEST, ["https://u/1"], 0, False),
    ({"seed": [], "prompt": {}, "init_image": 3}, REQUEST, ["https://u/1"], 0, False),
])
def test_proof(meta: dict[str, object], request_: dict[str, object], own: list[str], alike: int, wanted: bool) -> None:
    assert proves(meta, request_, own, alike) == wanted
