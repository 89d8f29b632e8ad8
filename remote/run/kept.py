"""The pictures of a job that are here already, whatever paid for them."""

from __future__ import annotations

from collections.abc import Sequence

from ..endpoints import Endpoint
from ..store.journal import Journal
from ..store.results import Results
from ..store.rows import Job
from .plan import PlannedJob, alone

Images = list[bytes | None]


def delivering(rows: Sequence[Job]) -> Job | None:
    """The attempt that delivered first."""
    return min((row for row in rows if row.state == "done"), key=lambda row: row.delivered or 0.0, default=None)


def kept_images(journal: Journal, results: Results, job: PlannedJob, endpoint: Endpoint, take: int) -> Images | None:
    """The images of `job`, also those that came as jobs of their own; None for one that never came.

    None for all if no attempt has delivered, or if bytes that were stored are no longer there.
    """
    images = stored_images(results, len(job.images), journal.attempts(job.identity))
    if images is not None and None in images and len(images) > 1:
        for position, rows in singles_of(journal, job, endpoint, take).items():
            if images[position] is None:
                images[position] = (stored_images(results, 1, rows) or [None])[0]
    return images


def singles_of(journal: Journal, job: PlannedJob, endpoint: Endpoint, take: int) -> dict[int, list[Job]]:
    """The attempts at images of a job of several that were made alone, by position, for those that the job lacks."""
    row = delivering(journal.attempts(job.identity))
    if row is None or len(job.images) == 1:
        return {}
    files = (*row.files, *(None,) * len(job.images))
    lacking = [position for position in range(len(job.images)) if files[position] is None]
    found = {position: journal.attempts(alone(job, position, endpoint, take).identity) for position in lacking}
    return {position: rows for position, rows in found.items() if delivering(rows) is not None}


def stored_images(results: Results, wanted: int, rows: Sequence[Job]) -> Images | None:
    """The images of the attempt among `rows` that delivered first, as they were stored; None for one that never came.

    None for all if no attempt has delivered, or if bytes that were stored are no longer there.
    """
    for row in sorted((row for row in rows if row.state == "done"), key=lambda row: row.delivered or 0.0):
        files = (*row.files, *(None,) * wanted)[:wanted]
        images = [None if file is None else results.read(row.identity, i, file[0]) for i, file in enumerate(files)]
        if all((image is None) == (file is None) for image, file in zip(images, files, strict=True)):
            return images
    return None
