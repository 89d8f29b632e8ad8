"""The tables of the journal."""

from __future__ import annotations

VERSION = 1
"""Kept in the file as `user_version`; a file of a later version is refused."""

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS jobs (
    identity TEXT PRIMARY KEY, state TEXT NOT NULL, account TEXT NOT NULL, place TEXT NOT NULL, run TEXT NOT NULL,
    take INTEGER NOT NULL, reserved REAL NOT NULL, owner TEXT, renewed REAL, request TEXT, intended REAL,
    accepted REAL, remote_id TEXT, fetch_url TEXT, eta REAL, links TEXT, meta TEXT, seed INTEGER, seconds REAL,
    files TEXT, reason TEXT)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS jobs_remote ON jobs (account, remote_id) WHERE remote_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS jobs_reserved ON jobs (reserved)",
    "CREATE INDEX IF NOT EXISTS jobs_run ON jobs (run)",
    """CREATE TABLE IF NOT EXISTS slots (
    identity TEXT PRIMARY KEY, account TEXT NOT NULL, owner TEXT, renewed REAL NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS uploads (
    place TEXT, digest TEXT, url TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (place, digest))""",
)
