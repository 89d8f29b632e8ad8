"""Sending a paid job: once, and again only if the answer says by its nature that it was not taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ...mixing.mix import Picture
from ...network.transport import NotSent
from ...wire.answers import Answer, Done, Pending, Refused, Unclear
from .. import errors
from ..errors import StoreError, UnknownOutcome
from ..store.rows import Job
from .context import Attempt, RunContext
from .parallel import in_parallel
from .plan import UNSAID, says_weights
from .proof import MARK, verdict
from .ready import record_ready

RECORD_TRIES = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each try to write an answer down."""

LOOK_FOR_SLOT = 0.05

_VERBS = {
    errors.REFUSED: "refuses the job",
    errors.JOB_FAILED: "does not take the job",
    errors.QUEUE_FULL: "has a full queue",
    errors.SERVICE_DOWN: "does not take jobs",
}
UNPAID = "The job was not taken, so nothing was paid for it."


def submit(context: RunContext, attempt: Attempt, row: Job) -> None:
    """Send the job until its row says how to go on. Raises EngineError if it was not taken, and LostClaim."""
    context.begin()
    urls = _urls(context, attempt)
    _take_slot(context, attempt)
    times, clock = context.client.endpoint.timeouts, context.waiter.clock
    began, waits, uploads_are_known = clock(), context.backoff.waits(float("inf")), True
    while True:
        answer = _submit_once(context, attempt, urls)
        if answer is None:
            return
        passed, wait = clock() - began, next(waits)
        if isinstance(answer, NotSent):
            if passed + wait > times.submit:
                raise context.client.unreachable("cannot be reached", answer)
        else:
            if answer.cause == errors.JOB_FAILED and uploads_are_known:
                used = {p.digest if p else None: url for p, url in zip(attempt.job.pictures, urls, strict=True)}
                if context.uploads.forget(_pictures(attempt), used):
                    uploads_are_known, urls = False, _urls(context, attempt)  # an address may have expired
                    continue
            wait = max(wait, answer.retry_after or 0.0)
            limit = times.queue if answer.cause == errors.QUEUE_FULL else times.submit
            if answer.cause in (errors.REFUSED, errors.JOB_FAILED) or passed + wait > limit:
                raise context.client.error(
                    _VERBS[answer.cause], f"{answer.reason.rstrip('. ')}. {UNPAID}", answer.cause
                )
        attempt.tell("queued", None)
        context.waiter(wait)


def _submit_once(context: RunContext, attempt: Attempt, urls: tuple[str, ...]) -> Refused | NotSent | None:
    """None if the row says how to go on; what was answered if nothing was taken."""
    endpoint, identity = context.client.endpoint, attempt.identity
    own = [url for url, picture in zip(urls, attempt.job.pictures, strict=True) if picture is not None]
    if endpoint.mark_uploads and own:
        urls = tuple(f"{url}{MARK}{identity[:16]}" if url == own[0] else url for url in urls)
    fields = endpoint.format.encode(attempt.job.addressed(urls), says_weights(endpoint))
    said = {name: value for name, value in fields.items() if name not in UNSAID}
    alone = context.gate.enter(context.pause_if_begun)
    clear: bool | None = None
    try:
        context.begin()
        attempt.tell("sending", None)
        context.journal.intend(identity, context.owner, {"fields": said, "own": own})
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
        _record(context, attempt, answer, {"fields": said, "own": own})
    finally:
        context.gate.leave(clear, alone)
    attempt.stops = alone and clear is False
    return None


def _clear_or_not(context: RunContext, answer: Answer) -> Answer:
    """The answer to a submit; Unclear if it leaves open whether the job was taken."""
    if isinstance(answer, Pending) and answer.id is None:
        job = context.client.own_id(answer.fetch_url)
        if job is not None:
            return replace(answer, id=job)
        return Unclear("it says that it works on the job, without an id")
    if isinstance(answer, Refused) and answer.id is None and not answer.not_taken:
        return Unclear(answer.reason, answer.status)
    return answer


def _record(context: RunContext, attempt: Attempt, answer: Answer, request: Mapping[str, Any]) -> None:
    """Write down what the service answered to a submit, with patience: this is what must not be lost."""
    for tries_left, wait in zip(range(len(RECORD_TRIES) - 1, -1, -1), RECORD_TRIES, strict=True):
        context.waiter.sleep(wait)
        try:
            return _write(context, attempt, answer, request)
        except StoreError as error:
            if tries_left:
                continue
            how = "and no clear answer was read"
            if not isinstance(answer, Unclear):
                how = f"and taken as job {answer.id or 'without id'}"
            raise UnknownOutcome(
                f"A job was sent to {context.name} {how}, and that cannot be written down: {error}",
                "Queue again once it can be: the job is then looked up. Raise pay_again only if it is not found.",
                True,
            ) from error


def _write(context: RunContext, attempt: Attempt, answer: Answer, request: Mapping[str, Any]) -> None:
    journal, identity = context.journal, attempt.identity
    if isinstance(answer, Unclear):
        return journal.lose_sight(identity, answer.reason)
    if answer.id is not None:
        pending = answer if isinstance(answer, Pending) else Pending(answer.id)
        with journal.at_once():
            if _is_anothers(context, attempt, answer, request):
                return journal.lose_sight(identity, f"the service named job {answer.id}, which is another one of ours")
            journal.accept(identity, answer.id, pending.fetch_url, pending.eta, pending.links)
    if isinstance(answer, Done):
        record_ready(journal, attempt, answer, answer.seconds, answer.id)
    elif isinstance(answer, Refused):
        journal.fail(identity, answer.reason)
    return None


def _is_anothers(
    context: RunContext, attempt: Attempt, answer: Done | Pending | Refused, request: Mapping[str, Any]
) -> bool:
    """Whether the id that was answered belongs to a job of ours that asked for something else.

    An equal request may be answered from the service's own cache, with the id of before: then its pictures are right.
    """
    others = [
        row
        for row in context.journal.accounts.accepted_as(context.client.endpoint.account, str(answer.id))
        if row.identity != attempt.identity
    ]
    if not others or any(row.fields == request["fields"] for row in others):
        return False
    meta = answer.meta if isinstance(answer, Done) else {}
    return verdict(meta, request["fields"], request["own"], 0) != "ours"


def _pictures(attempt: Attempt) -> tuple[Picture, ...]:
    return tuple(picture for picture in attempt.job.pictures if picture is not None)


def _urls(context: RunContext, attempt: Attempt) -> tuple[str, ...]:
    pictures = {picture.digest: picture for picture in _pictures(attempt)}
    if pictures:
        attempt.tell("uploading", None)
    uploaded = in_parallel([partial(context.uploads.url, p, context.waiter) for p in pictures.values()])
    urls = dict(zip(pictures, uploaded, strict=True))
    return tuple(
        url if picture is None else urls[picture.digest]
        for url, picture in zip(attempt.job.request.images, attempt.job.pictures, strict=True)
    )


def _take_slot(context: RunContext, attempt: Attempt) -> None:
    endpoint, clock = context.client.endpoint, context.waiter.clock
    end = clock() + endpoint.timeouts.queue
    while not context.journal.slots.take(endpoint.account, attempt.identity, endpoint.jobs_in_flight, context.owner):
        attempt.tell("queued", None)
        context.begin()
        if clock() > end:
            reason = f"no place became free in {endpoint.timeouts.queue:g} s"
            raise context.client.error("is busy with this account's other jobs", reason, errors.QUEUE_FULL)
        context.waiter(LOOK_FOR_SLOT)
    attempt.has_slot = True
