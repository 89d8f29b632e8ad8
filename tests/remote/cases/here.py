"""Faults of this machine: its disk, its journal and its clock."""

from __future__ import annotations

from image_mixer.tests.remote.cases.shapes import FREE, Case

HERE = (
    Case("disk full", (), "store", "make room", before="results full", between="results free"),
    FREE("journal locked", (), "store", "locked", before="lock journal", between="unlock journal"),
    FREE("journal corrupt", (), "store", "damaged", before="corrupt journal", between="restore journal"),
    Case("journal full after the submit", (), "unknown", "as job 1001", before="journal full", between="journal free"),
    Case("clock a day ahead", (), "images", before="clock 86400"),
    Case("clock a year back", (), "images", before="clock -31536000"),
)
