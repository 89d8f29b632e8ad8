"""Waiting for a job that the service took, and asking again for one that it said had failed."""

from __future__ import annotations

from ...mixing.errors import EngineError
from ...wire.answers import Done, Pending, Refused
from .. import errors
from ..client import first_download
from ..errors import NotDelivered, StillRunning
from ..store.rows import Job
from .context import Attempt, RunContext
from .polling import Late, poll
from .ready import record_ready


def await_result(context: RunContext, attempt: Attempt, row: Job) -> None:
    """Ask until the job is done, has failed, or took too long. Raises EngineError if it goes on at the service."""
    endpoint, clock, job = context.client.endpoint, context.waiter.clock, row.remote_id or ""
    passed = max(0.0, context.wall() - (row.accepted or 0.0))
    if attempt.sent_at is not None:
        passed = clock() - attempt.sent_at
    attempt.tell("generating", row.eta)
    took = context.journal.seconds_taken(endpoint.base_url)
    end = poll(
        lambda: context.client.fetch(job, row.fetch_url),
        row.eta,
        took,
        passed,
        endpoint.timeouts.job,
        clock,
        context.waiter,
        lambda pending: attempt.tell("generating", pending.eta),
    )
    if isinstance(end, Late):
        context.journal.pending(attempt.identity, passed + endpoint.timeouts.job)
        raise StillRunning(
            f"{context.name} has not finished job {job} ({end.reason}): it goes on there, and the next queue of this "
            "graph collects it."
        )
    if isinstance(end, Done):
        seconds = clock() - attempt.sent_at if attempt.sent_at is not None else None
        record_ready(context.journal, attempt, end, seconds, job)
    elif end.cause == errors.REFUSED:
        raise EngineError(
            f"{context.name} does not show job {job}: {end.reason.rstrip('. ')}. Check the key (Settings › Image "
            "Mixer); the next queue of this graph collects the job.",
            errors.REFUSED,
        )
    else:
        attempt.failed_here = True
        _failed(context, attempt, row, end.reason)
    attempt.leave_slot(context.journal)


def ask_again(context: RunContext, attempt: Attempt, row: Job) -> None:
    """Ask once more for a job that had failed: asking is free. Raises NotDelivered if the answer is the same."""
    asked = True
    if not attempt.failed_here and row.remote_id is not None:
        attempt.failed_here = True
        answer = context.client.fetch(row.remote_id, row.fetch_url)
        if isinstance(answer, Done):
            return record_ready(context.journal, attempt, answer, None, row.remote_id)
        if isinstance(answer, Pending):
            return context.journal.reopen(attempt.identity)
        asked = isinstance(answer, Refused) and answer.cause not in (errors.SERVICE_DOWN, errors.QUEUE_FULL)
    named = f" (job {row.remote_id})" if row.remote_id else ""
    raise NotDelivered(
        f"{context.name} took this job{named} and did not deliver ({row.reason.rstrip('. ')}); it may be paid for.",
        "Queue again to ask for it once more, or raise pay_again to pay for another."
        if asked
        else "It could not be asked for once more just now: queue again.",
        asked,
    )


def _failed(context: RunContext, attempt: Attempt, row: Job, reason: str) -> None:
    """The service says no; a link that it promised may hold the picture all the same."""
    if row.links and row.links[0] and isinstance(first_download(context.client, row.links[0]), bytes):
        record_ready(context.journal, attempt, Done(row.links), None, row.remote_id)
    else:
        context.journal.fail(attempt.identity, reason)
