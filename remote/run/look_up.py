"""Find out what became of a job that got no clear answer, from the account's list, which costs nothing.

A job that the list proves is adopted. If the complete list shows twice that a job is not there, the job may be sent
again, once. Otherwise it stays unknown, and the message says what would settle it.
"""

from __future__ import annotations

import time

from ..errors import UnknownOutcome
from ..store.job_rows import JobRow
from .context import Attempt, RunContext
from .identity import attempt_identity
from .read_list import Reading, read_list

WAITS = (0.0, 1.0, 3.0)
"""Seconds before each reading of the list: new jobs appear in it late."""

SETTLED_AFTER = 600.0
"""Seconds after which the list should show a job, if it ever does; at least TIMES_LONGEST times the longest job."""

TIMES_LONGEST = 3.0
BETWEEN_READINGS = 60.0
"""Seconds between the two readings that show that a job was not accepted."""

LOOK_YOURSELF = "Look at your account there"


def look_up(context: RunContext, attempt: Attempt, row: JobRow) -> str | None:
    """Find out whether a job was accepted. Return None if it was found.

    If it was certainly not accepted, reserve one more attempt and return that attempt's identity. Otherwise raise
    UnknownOutcome, which says what would settle it.
    """
    journal, identity = context.journal, attempt.identity
    journal.lose_sight(identity, row.reason or "the run ended before an answer was read")
    row = journal.job(identity) or row
    attempt.show_step("checking", None)
    reading: Reading | None = None
    for wait in WAITS if context.client.has_list else ():
        context.waiter(wait)
        reading = read_list(context, row) or reading
        if _is_found(context, identity):
            return None
    again = attempt_identity(attempt.job.identity, row.attempt, resent=True)
    was_resent = row.resent or journal.job(again) is not None
    problem = _why_not_again(context, row, reading, was_resent)
    if not problem and not attempt.stops and _second_reading_agrees(context, identity, row):
        context.reserve(context.new_job(attempt.job, again, row.attempt, resent=True))
        return again
    if _is_found(context, identity):
        return None
    attempt.free_slot(journal)
    problem = (
        problem or "A second reading of the account's list did not show clearly that it was not accepted. Queue again"
    )
    raise UnknownOutcome(
        f"{context.name} gave no clear answer to a job ({row.reason.rstrip('. ')}): it may be paid for. {problem}.",
        "Or raise pay_again by 1 to pay for another.",
        attempt.stops,
        asked=reading is not None or not context.client.has_list,
    )


def _is_found(context: RunContext, identity: str) -> bool:
    row = context.journal.job(identity)
    found = row is None or row.state not in ("intent", "unknown")
    if found:
        context.breaker.reset()
    return found


def _second_reading_agrees(context: RunContext, identity: str, row: JobRow) -> bool:
    """Read the list once more, BETWEEN_READINGS after the first time. Return whether it still lacks the job."""
    now = context.wall()
    since = row.cleared if row.cleared is not None and row.cleared <= now else None
    if since is None:
        context.journal.clear(identity, now)
        since = now
    if since == now or now - since < BETWEEN_READINGS:
        context.waiter(BETWEEN_READINGS - (now - since))
        again = read_list(context, row)
        if _is_found(context, identity):
            return False
        if again is None or again.open or not again.complete or not _shows_both_sides(context, row, again):
            context.journal.clear(identity, None)
            return False
    return True


def _why_not_again(context: RunContext, row: JobRow, reading: Reading | None, was_resent: bool) -> str:
    """Return why the job may not be sent again now and what would settle it; "" if `reading` shows that it may."""
    if not context.client.has_list:
        return f"This service has no list of jobs. {LOOK_YOURSELF}"
    if reading is None:
        return "The account's list of jobs did not answer. Queue again to read it once more"
    if reading.open:
        context.journal.clear(row.identity, None)
        shown = ", ".join(reading.open[:5])
        return f"The account's list shows {shown}, unknown here, which may be this job. {LOOK_YOURSELF}"
    if row.account != context.client.endpoint.account:
        return "It was sent with another key, whose list cannot be read. Look at that account"
    if row.fields.get("seed") is None:
        return f"With seed -1 it cannot be told from other jobs. {LOOK_YOURSELF}"
    if was_resent:
        return "It was sent once more already. Queue again to read the list once more"
    if reading.unread:
        return f"{reading.unread} rows of the account's list cannot be read. {LOOK_YOURSELF}"
    if not reading.complete:
        return f"The first {reading.rows} jobs of the account's list do not reach back to it. {LOOK_YOURSELF}"
    left = _seconds_until_settled(context, row)
    if left > 0:
        clock = time.strftime("%H:%M", time.localtime(context.wall() + left + 59))
        return (
            f"The account's list does not show it yet. Queue again after {clock}: if the list still does not show it "
            "then, it is sent once more"
        )
    if not _shows_both_sides(context, row, reading):
        return (
            "The account's list does not show both an earlier and a later job of yours, so it may just be late. Queue "
            "again after another job of yours is done"
        )
    return ""


def _seconds_until_settled(context: RunContext, row: JobRow) -> float:
    """Return for how many more seconds the job may still appear in the list."""
    longest = context.journal.longest_taken(context.client.endpoint.base_url)
    return max(SETTLED_AFTER, TIMES_LONGEST * longest) - context.journal.seconds_since_sent(row)


def _shows_both_sides(context: RunContext, row: JobRow, reading: Reading) -> bool:
    """Return whether the list shows jobs from before and after: then it is this account's, and up to date."""
    before, after = context.journal.accounts.neighbours(row)
    return bool(before & reading.ids) and bool(after & reading.ids)
