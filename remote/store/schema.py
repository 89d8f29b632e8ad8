"""The tables of the journal, and how an older file becomes one of today's."""

from __future__ import annotations

from typing import Final

VERSION: Final = 2
"""Kept in the file as `user_version`. A file of a later version is refused, one of an earlier version is migrated."""

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
"""The statements that lead from each version to the next, the first one from an empty file. None is ever changed.

Version 2: `first` is the identity of a job's first attempt, `attempt` the counter at which this one was paid, `resent`
whether it repeats an attempt that got no clear answer. `wanted` counts the images asked for (1 in
rows of version 1, whatever they asked for). `cleared` is when the
account's list first showed, in full, that the service had not taken the job. `unsafe`: the service's filter struck.
`placed`: whether it is known which image is which. `sent` and `taken` number the steps of all jobs in the order in which
they happened (0 in rows of version 1), whatever the clock said; `ticks` is the monotonic clock at the sending. `pended`
is for how long the job was seen to be still in the making, in seconds. `seen` is the counter of the last run that the
job did not deliver to. An id may stand in two rows: a service answers from its cache.
"""
