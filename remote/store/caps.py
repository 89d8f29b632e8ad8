"""The owner's spending caps: how many jobs may be paid for in one run and in 24 hours, whatever became of them."""

from __future__ import annotations

from dataclasses import dataclass

from ...mixing.errors import EngineError
from ..errors import CAP_REACHED
from .database import Database

DAY = 86400.0


@dataclass(frozen=True)
class Caps:
    """How many jobs may be paid for in one run, and in 24 hours."""

    run: int
    day: int


def check_caps(database: Database, new: int, run: str, caps: Caps, now: float) -> None:
    """Raise EngineError "cap reached" if `new` more jobs exceed the cap of `run`, or of the 24 hours before `now`."""
    counts = (
        ("this run", "max_jobs_per_run", caps.run, "run = ?", run),
        ("24 hours", "max_jobs_per_day", caps.day, "reserved > ?", now - DAY),
    )
    for what, name, cap, condition, value in counts:
        used = database.row(f"SELECT count(*) FROM jobs WHERE {condition}", (value,))[0]
        if new and used + new > cap:
            raise EngineError(
                f"This needs {new} paid job{'s' * (new > 1)}, and {used} of at most {cap} in {what} are used: ask for "
                f"fewer images, or raise {name} under [spending] in endpoints.toml on the server.",
                CAP_REACHED,
            )
