"""The rows of the journal as frozen values: what is reserved, what is written when a job is done, and what is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from ...wire.links import Links
from ..errors import StoreError

State = Literal["planned", "intent", "accepted", "ready", "done", "failed", "unknown"]

ACCEPTED: tuple[State, ...] = ("accepted", "ready", "done", "failed")
"""States in which the service is known to have accepted the job, which is then paid for."""

Files = tuple[tuple[str, int] | None, ...]
"""(SHA-256 in hex, size in bytes) of each image of a job; None for an image that is missing."""


@dataclass(frozen=True)
class NewJob:
    """An attempt as it is reserved.

    `account` is what the limit of concurrent jobs is counted for, `wanted` the number of images. `first` is the
    identity of the job's first attempt ("" for this one), `attempt` the counter at which this one is paid, and `resent`
    says whether it repeats an attempt that got no clear answer.
    """

    identity: str
    account: str
    base_url: str
    take: int = 0
    endpoint: str = ""
    wanted: int = 1
    first: str = ""
    attempt: int = 0
    resent: bool = False


@dataclass(frozen=True)
class FinishedJob:
    """What the service answered about a job that is done.

    `seeds` are those of the images, as far as known; `seconds` is how long the job took, if that was measured.
    `order_known`: whether it is known which link belongs to which image. `unsafe`: the service's filter was triggered.
    """

    links: Links
    meta: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int | None, ...] = ()
    seconds: float | None = None
    remote_id: str | None = None
    unsafe: bool = False
    order_known: bool = True


@dataclass(frozen=True)
class JobRow:
    """One attempt at a job. Times are seconds of the wall clock.

    `seed` is that of the first image; `seeds` are those of all images, if the answer names them. `order_known` says
    whether it is known which image is which. `schema` describes the other columns.
    """

    identity: str
    state: State
    account: str = ""
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
    order_known: bool = True
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
        """The URLs among the images sent that are this pack's own uploads."""
        return tuple(self.request.get("own") or ())

    @property
    def paid(self) -> bool:
        """Whether the service is known to have accepted the job."""
        return self.state in ACCEPTED

    def files_of(self, count: int) -> Files:
        """Return the stored files of a job of `count` images; None for each that is missing."""
        return (*self.files, *(None,) * count)[:count]


def job_row(row: sqlite3.Row) -> JobRow:
    """Return the row as a value. Raise StoreError if a part of it cannot be read."""

    def stored(name: str, default: Any) -> Any:
        try:
            return json.loads(row[name]) if row[name] else default
        except ValueError as error:
            raise StoreError(f"The journal is damaged: {name} of job {row['identity'][:12]} cannot be read.") from error

    return JobRow(
        identity=row["identity"],
        state=cast(State, row["state"]),
        account=row["account"],
        request=stored("request", {}),
        intended=row["intended"],
        accepted=row["accepted"],
        remote_id=row["remote_id"],
        fetch_url=row["fetch_url"],
        eta=row["eta"],
        links=tuple(tuple(image) for image in stored("links", [])),
        meta=stored("meta", {}),
        seed=row["seed"],
        seconds=row["seconds"],
        files=tuple(None if file is None else (file[0], file[1]) for file in stored("files", [])),
        reason=row["reason"] or "",
        first=row["first"] or row["identity"],
        attempt=row["attempt"],
        resent=bool(row["resent"]),
        delivered=row["delivered"],
        cleared=row["cleared"],
        unsafe=bool(row["unsafe"]),
        order_known=bool(row["placed"]),
        seeds=tuple(stored("seeds", [])),
        sent=row["sent"],
        ticks=row["ticks"],
        seen=row["seen"],
    )
