"""Wait for a job that the service accepted."""

from __future__ import annotations

from ...mixing.errors import EngineError
from ...wire.answers import Done
from .. import errors
from ..client import first_download
from ..errors import StillRunning
from ..store.job_rows import JobRow
from .context import Attempt, RunContext
from .polling import Expected, Late, poll
from .record_answer import record_done


def await_result(context: RunContext, attempt: Attempt, row: JobRow) -> None:
    """Poll until the job is done or has failed. Raise EngineError if it takes too long, or if the key is refused."""
    endpoint, clock, job = context.client.endpoint, context.waiter.clock, row.remote_id or ""
    passed = max(0.0, context.wall() - (row.accepted or 0.0))
    if attempt.sent_at is not None:
        passed = clock() - attempt.sent_at
    attempt.show_step("generating", row.eta)
    end = poll(
        lambda: context.client.fetch(job, row.fetch_url),
        Expected(row.eta, context.journal.seconds_taken(endpoint.base_url), passed, endpoint.timeouts.job),
        context.waiter,
        lambda pending: attempt.show_step("generating", pending.eta),
    )
    if isinstance(end, Late):
        context.journal.pending(attempt.identity, passed + endpoint.timeouts.job)
        raise StillRunning(
            f"{context.name} has not finished job {job} ({end.reason}). It is still running there: queue this graph "
            "again to collect it."
        )
    if isinstance(end, Done):
        seconds = clock() - attempt.sent_at if attempt.sent_at is not None else None
        record_done(context.journal, attempt, end, seconds, job)
    elif end.cause == errors.REFUSED:
        raise EngineError(
            f"{context.name} does not show job {job}: {end.reason.rstrip('. ')}. Check the key (Settings › Image "
            "Mixer), then queue this graph again to collect the job.",
            errors.REFUSED,
        )
    else:
        attempt.asked_again = True
        _record_failure(context, attempt, row, end.reason)
    attempt.free_slot(context.journal)


def _record_failure(context: RunContext, attempt: Attempt, row: JobRow, reason: str) -> None:
    """Record that the job failed, unless a link that the service promised holds the picture all the same."""
    if row.links and row.links[0] and isinstance(first_download(context.client, row.links[0]), bytes):
        record_done(context.journal, attempt, Done(row.links), None, row.remote_id)
    else:
        context.journal.fail(attempt.identity, reason)
