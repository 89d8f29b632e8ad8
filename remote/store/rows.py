"""The rows of the journal as frozen values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from ...wire.links import Links
from ..errors import StoreError

State = Literal["planned", "intent", "accepted", "ready", "done", "failed", "unknown"]

Files = tuple[tuple[str, int] | None, ...]
"""(SHA-256 in hex, size in bytes) of each image of a job; None for one that did not come."""


@dataclass(frozen=True)
class Caps:
    """How many jobs may be paid for in one run, and in 24 hours."""

    run: int
    day: int


@dataclass(frozen=True)
class NewJob:
    """An attempt as it is reserved.

    `place` is the endpoint's base URL, `account` what its limit is counted for, `wanted` the number of images.
    `first` is the identity of the job's first attempt ("" for this one), `attempt` the counter at which this one is
    paid, and `resent` says whether it repeats an attempt that got no clear answer.
    """

    identity: str
    account: str
    place: str
    take: int = 0
    endpoint: str = ""
    wanted: int = 1
    first: str = ""
    attempt: int = 0
    resent: bool = False


@dataclass(frozen=True)
class Job:
    """A row: one attempt at a job. Times are seconds of the wall clock.

    `seed` is that of the first image; `seeds` are those of all, if the answer names them. See `schema` for the rest.
    """

    identity: str
    state: State
    account: str = ""
    owner: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    intended: float | None = None
    accepted: float | None = None
    remote_id: str | None = None
    fetch_url: str | None = None
    eta: float | None = None
    links: Links = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    seconds: float | None = None
    files: Files = ()
    reason: str = ""
    first: str = ""
    attempt: int = 0
    resent: bool = False
    delivered: float | None = None
    cleared: float | None = None
    unsafe: bool = False
    placed: bool = True
    seeds: tuple[int | None, ...] = ()
    sent: int = 0
    ticks: float | None = None
    seen: int = 0

    @property
    def fields(self) -> Mapping[str, Any]:
        """What was sent, without the key."""
        return dict(self.request.get("fields") or {})

    @property
    def own(self) -> tuple[str, ...]:
        """The addresses of our own uploads among the images that were sent."""
        return tuple(self.request.get("own") or ())

    @property
    def paid(self) -> bool:
        """Whether the service is known to have taken the job."""
        return self.state in ("accepted", "ready", "done", "failed")


def job_of(row: sqlite3.Row) -> Job:
    """The job of a row. Raises StoreError if a part of it cannot be read."""

    def stored(name: str, default: Any) -> Any:
        try:
            return json.loads(row[name]) if row[name] else default
        except ValueError as error:
            raise StoreError(f"The journal is damaged: {name} of job {row['identity'][:12]} cannot be read.") from error

    return Job(
        row["identity"],
        cast(State, row["state"]),
        row["account"],
        row["owner"],
        stored("request", {}),
        row["intended"],
        row["accepted"],
        row["remote_id"],
        row["fetch_url"],
        row["eta"],
        tuple(tuple(image) for image in stored("links", [])),
        stored("meta", {}),
        row["seed"],
        row["seconds"],
        tuple(None if file is None else (file[0], file[1]) for file in stored("files", [])),
        row["reason"] or "",
        row["first"] or row["identity"],
        row["attempt"],
        bool(row["resent"]),
        row["delivered"],
        row["cleared"],
        bool(row["unsafe"]),
        bool(row["placed"]),
        tuple(stored("seeds", [])),
        row["sent"],
        row["ticks"],
        row["seen"],
    )
