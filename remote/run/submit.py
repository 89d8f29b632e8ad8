"""Send a paid job: once, and again only if the answer itself says that it was not accepted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...mixing.mix import Picture
from ...network.transport import NotSent
from ...wire.answers import Answer, Pending, Refused, Unclear
from .. import errors
from ..store.job_rows import JobRow
from .context import Attempt, RunContext
from .parallel import in_parallel
from .plan import NOT_RECORDED, sends_weights
from .proof import MARK
from .record_answer import record_answer

POLL_SLOT = 0.05
"""Seconds between two looks at whether a slot is free."""

_VERBS = {
    errors.REFUSED: "refuses the job",
    errors.JOB_FAILED: "does not accept the job",
    errors.QUEUE_FULL: "has a full queue",
    errors.SERVICE_DOWN: "does not accept jobs",
}
UNPAID = "The job was not accepted, so nothing was paid for it."


def submit(context: RunContext, attempt: Attempt, row: JobRow) -> None:
    """Send the job until its row tells how to go on. Raise EngineError if it was not accepted, and LostClaim."""
    context.check_may_send()
    urls = _image_urls(context, attempt)
    _take_slot(context, attempt)
    times, clock = context.client.endpoint.timeouts, context.waiter.clock
    began, waits, may_upload_again = clock(), context.backoff.waits(float("inf")), True
    while True:
        answer = _submit_once(context, attempt, urls)
        if answer is None:
            return
        passed, wait = clock() - began, next(waits)
        if isinstance(answer, NotSent):
            if passed + wait > times.submit:
                raise context.client.unreachable("cannot be reached", answer)
        else:
            if answer.cause == errors.JOB_FAILED and may_upload_again and _forget_old_uploads(context, attempt, urls):
                may_upload_again, urls = False, _image_urls(context, attempt)
                continue
            wait = max(wait, answer.retry_after or 0.0)
            limit = times.queue if answer.cause == errors.QUEUE_FULL else times.submit
            if answer.cause in (errors.REFUSED, errors.JOB_FAILED) or passed + wait > limit:
                raise context.client.error(
                    _VERBS[answer.cause], f"{answer.reason.rstrip('. ')}. {UNPAID}", answer.cause
                )
        attempt.show_step("queued", None)
        context.waiter(wait)


def _submit_once(context: RunContext, attempt: Attempt, urls: tuple[str, ...]) -> Refused | NotSent | None:
    """Send the job once. Return None if the row tells how to go on, or the answer if nothing was accepted."""
    endpoint, identity = context.client.endpoint, attempt.identity
    own = [url for url, picture in zip(urls, attempt.job.pictures, strict=True) if picture is not None]
    if endpoint.mark_uploads and own:
        urls = tuple(f"{url}{MARK}{identity[:16]}" if url == own[0] else url for url in urls)
    fields = endpoint.format.encode(attempt.job.with_urls(urls), sends_weights(endpoint))
    request = {"fields": {name: value for name, value in fields.items() if name not in NOT_RECORDED}, "own": own}
    probe = context.breaker.enter(context.pause_before_send)
    clear: bool | None = None
    try:
        context.check_may_send()
        attempt.show_step("sending", None)
        context.journal.intend(identity, context.owner, request)
        clear = False
        try:
            answer: Answer = context.client.submit(fields)
        except NotSent as error:
            clear = None
            context.journal.not_taken(identity, context.owner)
            return error
        attempt.sent_at = context.waiter.clock()
        answer = _clear_or_not(context, answer)
        clear = not isinstance(answer, Unclear)
        if isinstance(answer, Refused) and answer.id is None:
            context.journal.not_taken(identity, context.owner)
            return answer
        record_answer(context, attempt, answer, request)
    finally:
        context.breaker.leave(clear, probe)
    attempt.stops = probe and clear is False
    return None


def _clear_or_not(context: RunContext, answer: Answer) -> Answer:
    """Return the answer to a submit; Unclear if it leaves open whether the job was accepted."""
    if isinstance(answer, Pending) and answer.id is None:
        job = context.client.own_id(answer.fetch_url)
        if job is not None:
            return replace(answer, id=job)
        return Unclear("it says that it is working on the job, but gives no id")
    if isinstance(answer, Refused) and answer.id is None and not answer.not_taken:
        return Unclear(answer.reason, answer.status)
    return answer


def _image_urls(context: RunContext, attempt: Attempt) -> tuple[str, ...]:
    """Return the URL of each image of the request; upload the pictures that do not have one yet."""
    pictures = {picture.digest: picture for picture in _pictures(attempt)}
    if pictures:
        attempt.show_step("uploading", None)
    uploaded = in_parallel([partial(context.uploads.url, p, context.waiter) for p in pictures.values()])
    urls = dict(zip(pictures, uploaded, strict=True))
    return tuple(
        url if picture is None else urls[picture.digest]
        for url, picture in zip(attempt.job.request.images, attempt.job.pictures, strict=True)
    )


def _forget_old_uploads(context: RunContext, attempt: Attempt, urls: tuple[str, ...]) -> bool:
    """Forget uploads that may have expired. Return whether uploading again would give other URLs than `urls`."""
    used = {picture.digest: url for picture, url in zip(attempt.job.pictures, urls, strict=True) if picture is not None}
    return context.uploads.forget(_pictures(attempt), used)


def _pictures(attempt: Attempt) -> tuple[Picture, ...]:
    return tuple(picture for picture in attempt.job.pictures if picture is not None)


def _take_slot(context: RunContext, attempt: Attempt) -> None:
    """Wait for one of the account's slots. Raise EngineError "queue full"."""
    endpoint, clock = context.client.endpoint, context.waiter.clock
    end = clock() + endpoint.timeouts.queue
    while not context.journal.slots.take(endpoint.account, attempt.identity, endpoint.jobs_in_flight, context.owner):
        attempt.show_step("queued", None)
        context.check_may_send()
        if clock() > end:
            reason = f"no slot became free within {endpoint.timeouts.queue:g} s"
            raise context.client.error("is busy with this account's other jobs", reason, errors.QUEUE_FULL)
        context.waiter(POLL_SLOT)
    attempt.has_slot = True
