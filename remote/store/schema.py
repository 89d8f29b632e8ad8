"""The tables of the journal, and how a file of an older version is migrated."""

from __future__ import annotations

from typing import Final

VERSION: Final = 2
"""Kept in the file as `user_version`. A newer file is refused, an older one is migrated."""

BASE_URL: Final = "place"
"""The column that holds the base URL of a service. Released files have it under this name."""

_JOBS = """CREATE TABLE IF NOT EXISTS jobs (
    identity TEXT PRIMARY KEY, state TEXT NOT NULL, account TEXT NOT NULL, place TEXT NOT NULL, run TEXT NOT NULL,
    take INTEGER NOT NULL, reserved REAL NOT NULL, owner TEXT, renewed REAL, request TEXT, intended REAL,
    accepted REAL, remote_id TEXT, fetch_url TEXT, eta REAL, links TEXT, meta TEXT, seed INTEGER, seconds REAL,
    files TEXT, reason TEXT)"""

_SLOTS = """CREATE TABLE IF NOT EXISTS slots (
    identity TEXT PRIMARY KEY, account TEXT NOT NULL, owner TEXT, renewed REAL NOT NULL)"""

_UPLOADS = """CREATE TABLE IF NOT EXISTS uploads (
    place TEXT, digest TEXT, url TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (place, digest))"""

MIGRATIONS: Final = (
    (
        _JOBS,
        "CREATE UNIQUE INDEX IF NOT EXISTS jobs_remote ON jobs (account, remote_id) WHERE remote_id IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS jobs_reserved ON jobs (reserved)",
        "CREATE INDEX IF NOT EXISTS jobs_run ON jobs (run)",
        _SLOTS,
        _UPLOADS,
    ),
    (
        "ALTER TABLE jobs ADD COLUMN first TEXT",
        "ALTER TABLE jobs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN resent INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN endpoint TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE jobs ADD COLUMN wanted INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE jobs ADD COLUMN delivered REAL",
        "ALTER TABLE jobs ADD COLUMN cleared REAL",
        "ALTER TABLE jobs ADD COLUMN unsafe INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN placed INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE jobs ADD COLUMN seeds TEXT",
        "ALTER TABLE jobs ADD COLUMN sent INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN taken INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN ticks REAL",
        "ALTER TABLE jobs ADD COLUMN pended REAL",
        "ALTER TABLE jobs ADD COLUMN seen INTEGER NOT NULL DEFAULT 0",
        "UPDATE jobs SET first = identity, delivered = CASE WHEN state = 'done' THEN accepted END",
        "DELETE FROM slots",
        "DROP INDEX jobs_remote",
        "CREATE INDEX jobs_remote ON jobs (account, remote_id)",
        "CREATE INDEX jobs_first ON jobs (first)",
    ),
)
"""The statements that migrate each version to the next, the first ones from an empty file. They are never changed.

Version 2:
- `first`: the identity of the job's first attempt. `attempt`: the counter at which this one was paid. `resent`: whether
  it repeats an attempt that got no clear answer.
- `wanted`: how many images were asked for (1 in rows of version 1, whatever was asked for).
- `cleared`: when the account's complete list first showed that the service had not accepted the job.
- `unsafe`: the service's filter was triggered. `placed`: whether it is known which image is which.
- `sent`, `taken`: numbers of the steps of all jobs, in the order in which they happened, whatever the clock said (0 in
  rows of version 1). `ticks`: the monotonic clock when the job was sent.
- `pended`: the longest time in seconds for which the job was seen to be in progress.
- `seen`: the counter of the last run that did not get the job's images.
- An id may be in two rows: a service answers from its cache.
"""


def newer_version(name: str, version: int) -> str:
    """Return the message for a journal whose `version` is not known yet."""
    return (
        f"The journal {name} was written by a newer Image Mixer (format {version}; this one reads up to {VERSION}): "
        "update this one."
    )
