"""The pictures of a job that are on disk already, whichever attempt paid for them."""

from __future__ import annotations

from collections.abc import Sequence

from ..endpoints import Endpoint
from ..store.job_rows import JobRow
from ..store.journal import Journal
from ..store.results import Results
from .plan import PlannedJob, single_job

Images = list[bytes | None]
"""The bytes of each image of a job, in order; None for an image that is missing."""


def first_delivery(rows: Sequence[JobRow]) -> JobRow | None:
    """Return the attempt that delivered first, or None."""
    return min((row for row in rows if row.state == "done"), key=lambda row: row.delivered or 0.0, default=None)


def stored_images(journal: Journal, results: Results, job: PlannedJob, endpoint: Endpoint, take: int) -> Images | None:
    """Return the images of `job`, including those that were paid for as jobs of their own.

    Return None if no attempt has delivered, or if stored bytes are no longer there.
    """
    images = images_of_attempts(results, len(job.images), journal.attempts(job.identity))
    if images is not None and None in images and len(images) > 1:
        for position, rows in single_attempts(journal, job, endpoint, take).items():
            if images[position] is None:
                images[position] = (images_of_attempts(results, 1, rows) or [None])[0]
    return images


def single_attempts(journal: Journal, job: PlannedJob, endpoint: Endpoint, take: int) -> dict[int, list[JobRow]]:
    """Return, by position, the attempts at images that a job of several lacks and that were made as jobs of their own."""
    row = first_delivery(journal.attempts(job.identity))
    if row is None or len(job.images) == 1:
        return {}
    lacking = [position for position, file in enumerate(row.files_of(len(job.images))) if file is None]
    found = {position: journal.attempts(single_job(job, position, endpoint, take).identity) for position in lacking}
    return {position: rows for position, rows in found.items() if first_delivery(rows) is not None}


def images_of_attempts(results: Results, wanted: int, rows: Sequence[JobRow]) -> Images | None:
    """Return the `wanted` images of the first of `rows` that delivered and whose stored bytes are all still there.

    Return None if there is no such attempt.
    """
    for row in sorted((row for row in rows if row.state == "done"), key=lambda row: row.delivered or 0.0):
        files = row.files_of(wanted)
        images = [None if file is None else results.read(row.identity, i, file[0]) for i, file in enumerate(files)]
        if all((image is None) == (file is None) for image, file in zip(images, files, strict=True)):
            return images
    return None
