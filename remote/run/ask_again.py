"""Ask the service once more, which is free: for a job that had failed, and for images that a job lacks."""

from __future__ import annotations

from ...wire.answers import Done, Pending, Refused
from ...wire.links import placed
from .. import errors
from ..client import first_download
from ..errors import NotDelivered
from ..store.job_rows import JobRow
from .context import Attempt, RunContext
from .record_answer import record_done


def ask_again(context: RunContext, attempt: Attempt, row: JobRow) -> None:
    """Ask once more for a job that had failed. Raise NotDelivered if the answer is the same."""
    asked = True
    if not attempt.asked_again and row.remote_id is not None:
        attempt.asked_again = True
        answer = context.client.fetch(row.remote_id, row.fetch_url)
        if isinstance(answer, Done):
            return record_done(context.journal, attempt, answer, None, row.remote_id)
        if isinstance(answer, Pending):
            return context.journal.reopen(attempt.identity)
        asked = isinstance(answer, Refused) and answer.cause not in (errors.SERVICE_DOWN, errors.QUEUE_FULL)
    named = f" (job {row.remote_id})" if row.remote_id else ""
    raise NotDelivered(
        f"{context.name} accepted this job{named} but did not deliver it ({row.reason.rstrip('. ')}); it may be paid "
        "for.",
        "Queue again to ask for it once more, or raise pay_again to pay for another."
        if asked
        else "The service could not be asked for it just now: queue again.",
        asked,
    )


def ask_for_missing_images(context: RunContext, attempt: Attempt, row: JobRow) -> bool:
    """Ask once more for the images that a finished job lacks. Return whether any came.

    If it was not known which images came, and the service now tells which is which, take all of them anew.
    """
    if row.remote_id is None:
        return False
    answer = context.client.fetch(row.remote_id, row.fetch_url)
    if not isinstance(answer, Done):
        return False
    wanted = len(attempt.job.images)
    links, order_known = placed(answer.links, wanted, answer.meta, answer.seeds, attempt.job.request.seed)
    if not order_known or not row.order_known:
        if order_known and all(links):
            record_done(context.journal, attempt, answer, row.seconds, row.remote_id)
            return True
        return False
    files, found = list(row.files_of(wanted)), False
    for index, image_links in enumerate(links):
        if files[index] is None and image_links:
            got = first_download(context.client, image_links)
            if isinstance(got, bytes):
                files[index], found = context.results.keep(attempt.identity, index, got), True
    if found:
        context.journal.done(attempt.identity, tuple(files))
    return found
