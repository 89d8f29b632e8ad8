"""Download the pictures of a job that is ready: from links to bytes on disk, each under its own index."""

from __future__ import annotations

from ...mixing.errors import EngineError
from ...wire.answers import Done
from ...wire.links import placed
from .. import errors
from ..client import Missed, first_download
from ..errors import NotDelivered, ResultGone
from ..store.job_rows import JobRow
from .context import Attempt, RunContext

MAY_BE_GONE = 20.0
"""Seconds for which a link may answer "not found": one was seen to answer 404 for the first few seconds."""

MOST_SPOILT = 3
"""After this many downloads that are not pictures, a link is given up."""

LONGEST_WAIT = 2.0
TRY_AGAIN = "Queue again to try once more, or raise pay_again to pay for another."

ImageLinks = tuple[str, ...]
"""The links where one image may be, best first."""


def download(context: RunContext, attempt: Attempt, row: JobRow) -> None:
    """Store the pictures of a job that is ready.

    Leave out a picture whose links can never work, if others of the job came. Raise NotDelivered if none came,
    ResultGone if they were here once, and EngineError "service down" if trying again may help.
    """
    attempt.free_slot(context.journal)
    attempt.show_step("downloading", None)
    wanted = len(attempt.job.images)
    links = row.links if len(row.links) >= wanted else placed(row.links, wanted, row.meta, row.seeds, None)[0]
    files: list[tuple[str, int] | None] = []
    lost: NotDelivered | None = None
    for index, kept in enumerate(row.files_of(wanted)):
        if kept is not None and context.results.read(attempt.identity, index, kept[0]) is not None:
            files.append(kept)
            continue
        image_links = links[index] or (_fresh_links(context, attempt, row, index) if kept is not None else ())
        try:
            files.append(_download_image(context, attempt, row, index, image_links) if image_links else None)
        except NotDelivered as error:
            files.append(None)
            lost = error
    if not any(files):
        if row.state == "done" and lost is not None:
            raise ResultGone(lost.reason, TRY_AGAIN)
        raise lost or NotDelivered(
            f"{context.name} gave none of the {wanted} images of job {row.remote_id or '?'}; it may be paid for.",
            "Raise pay_again to pay for another.",
        )
    context.journal.done(attempt.identity, tuple(files))


def _download_image(
    context: RunContext, attempt: Attempt, row: JobRow, index: int, links: ImageLinks
) -> tuple[str, int]:
    """Download and store one image, with retries; ask the service once for fresh links. Return (SHA-256, size)."""
    clock, times = context.waiter.clock, context.client.endpoint.timeouts
    began, spoilt, renewed = clock(), 0, False
    got: bytes | Missed = Missed("it was not tried")
    for wait in context.backoff.waits(times.download):
        got = first_download(context.client, links)
        if isinstance(got, bytes):
            return context.results.keep(attempt.identity, index, got)
        spoilt += got.spoilt
        gone_long = got.gone and clock() - began > min(MAY_BE_GONE, times.download / 2)
        if got.barred or gone_long or spoilt >= MOST_SPOILT:
            fresh = () if renewed else _fresh_links(context, attempt, row, index)
            if fresh in ((), links):
                break
            links, renewed, spoilt = fresh, True, 0
        context.waiter(min(wait, LONGEST_WAIT))
    assert isinstance(got, Missed)
    reason = (
        f"The image of job {row.remote_id or '?'} at {context.name} is paid for, but it cannot be downloaded "
        f"({got.reason.rstrip('. ')})."
    )
    if got.gone or got.barred or got.spoilt:
        raise NotDelivered(reason, TRY_AGAIN)
    raise EngineError(f"{reason} Queue again to try once more.", errors.SERVICE_DOWN)


def _fresh_links(context: RunContext, attempt: Attempt, row: JobRow, index: int) -> ImageLinks:
    """Ask the service where an image is now. Return () if it does not tell."""
    if row.remote_id is None:
        return ()
    answer = context.client.fetch(row.remote_id, row.fetch_url)
    if not isinstance(answer, Done):
        return ()
    wanted, seed = len(attempt.job.images), attempt.job.request.seed
    links, order_known = placed(answer.links, wanted, answer.meta, answer.seeds, seed)
    return links[index] if order_known or not row.order_known else ()
