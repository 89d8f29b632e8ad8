"""The pictures of a job: from their links to bytes on disk, each in its own place."""

from __future__ import annotations

from ...mixing.errors import EngineError
from ...network.downloads import Missed
from ...wire.answers import Done
from ...wire.links import placed
from .. import errors
from ..client import first_download
from ..errors import NotDelivered, ResultGone
from ..store.rows import Job
from .context import Attempt, RunContext
from .ready import record_ready

GONE_FOR = 20.0
"""Seconds for which a link may say that it has nothing: a URL was seen to answer 404 for some seconds."""

SPOILT = 3
"""So many downloads that are not pictures are one too many."""

TRY_AGAIN = "Queue again to try once more, or raise pay_again to pay for another."

Places = tuple[str, ...]


def download(context: RunContext, attempt: Attempt, row: Job) -> None:
    """Store the pictures of a job that is ready.

    A picture whose link can never work is left out if others of the job came. Raises NotDelivered if none did, ResultGone
    if they were here once, and EngineError "service down" if trying again may help.
    """
    attempt.leave_slot(context.journal)
    attempt.tell("downloading", None)
    wanted = len(attempt.job.images)
    links = row.links if len(row.links) >= wanted else placed(row.links, wanted, row.meta, row.seeds, None)[0]
    files: list[tuple[str, int] | None] = []
    lost: NotDelivered | None = None
    for index in range(wanted):
        kept = row.files[index] if index < len(row.files) else None
        if kept is not None and context.results.read(attempt.identity, index, kept[0]) is not None:
            files.append(kept)
            continue
        places = links[index] or (_fresh_places(context, attempt, row, index) if kept is not None else ())
        try:
            files.append(_one_image(context, attempt, row, index, places) if places else None)
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


def ask_for_the_rest(context: RunContext, attempt: Attempt, row: Job) -> bool:
    """Ask once more for the images that a job was short of: asking is free. Whether any came.

    If it was a guess which of the images came, and the service now says which is which, all are taken anew.
    """
    if row.remote_id is None:
        return False
    answer = context.client.fetch(row.remote_id, row.fetch_url)
    if not isinstance(answer, Done):
        return False
    wanted = len(attempt.job.images)
    links, certain = placed(answer.links, wanted, answer.meta, answer.seeds, attempt.job.request.seed)
    if not certain or not row.placed:
        if certain and all(links):
            record_ready(context.journal, attempt, answer, row.seconds, row.remote_id)
            return True
        return False
    files, found = list((*row.files, *(None,) * wanted)[:wanted]), False
    for index, places in enumerate(links):
        if files[index] is None and places:
            got = first_download(context.client, places)
            if isinstance(got, bytes):
                files[index], found = context.results.keep(attempt.identity, index, got), True
    if found:
        context.journal.done(attempt.identity, tuple(files))
    return found


def _one_image(context: RunContext, attempt: Attempt, row: Job, index: int, places: Places) -> tuple[str, int]:
    clock, times = context.waiter.clock, context.client.endpoint.timeouts
    began, spoilt, renewed = clock(), 0, False
    got: bytes | Missed = Missed("it was never asked for")
    for wait in context.backoff.waits(times.download):
        got = first_download(context.client, places)
        if isinstance(got, bytes):
            return context.results.keep(attempt.identity, index, got)
        spoilt += got.spoilt
        gone_long = got.gone and clock() - began > min(GONE_FOR, times.download / 2)
        if got.barred or gone_long or spoilt >= SPOILT:
            fresh = () if renewed else _fresh_places(context, attempt, row, index)
            if fresh in ((), places):
                break
            places, renewed, spoilt = fresh, True, 0
        context.waiter(min(wait, 2.0))
    assert isinstance(got, Missed)
    reason = (
        f"The image of job {row.remote_id or '?'} at {context.name} is paid for, and cannot be downloaded "
        f"({got.reason.rstrip('. ')})."
    )
    if got.gone or got.barred or got.spoilt:
        raise NotDelivered(reason, TRY_AGAIN)
    raise EngineError(f"{reason} Queue again to try once more.", errors.SERVICE_DOWN)


def _fresh_places(context: RunContext, attempt: Attempt, row: Job, index: int) -> Places:
    """Where the service now says that an image is; nothing if it does not say."""
    if row.remote_id is None:
        return ()
    answer = context.client.fetch(row.remote_id, row.fetch_url)
    if not isinstance(answer, Done):
        return ()
    wanted, seed = len(attempt.job.images), attempt.job.request.seed
    links, certain = placed(answer.links, wanted, answer.meta, answer.seeds, seed)
    return links[index] if certain or not row.placed else ()
