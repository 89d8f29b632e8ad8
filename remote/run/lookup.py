"""What became of a job that got no clear answer: the account's list is asked, which costs nothing.

A job that the list proves is adopted. One that the list shows, twice and in full, not to be there may be sent again,
once. Everything else stays unknown, and a line says what would settle it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ..answers import Done
from ..errors import UnknownOutcome
from ..store.rows import Job
from .context import Attempt, RunContext
from .proof import core, marks, verdict

LOOKS = (0.0, 1.0, 3.0)
"""Seconds before each reading of the list: it lags."""

PAGES = 20
"""Most pages of the list that one reading takes, of 30 jobs each."""

FETCHES = 60
"""Most jobs of one reading whose `meta` is fetched, if the list does not tell it."""

SETTLED_AFTER = 600.0
"""Seconds after which the list should show a job, if it ever does; at least TIMES_LONGEST times the longest job."""

TIMES_LONGEST = 3.0
BETWEEN_READINGS = 60.0


@dataclass
class Reading:
    """One reading of the account's list: all `ids`, those that are `open`, and whether it reached back far enough."""

    ids: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)
    complete: bool = False
    rows: int = 0


def look_up(context: RunContext, attempt: Attempt, row: Job, resent: bool) -> bool:
    """Find out whether a job was taken. True if it may be sent once more; `resent` if it has been already.

    False if it was found. Raises UnknownOutcome with what would settle it.
    """
    journal, identity = context.journal, attempt.identity
    journal.lose_sight(identity, row.reason or "the run ended before an answer was read")
    row = journal.job(identity) or row
    attempt.tell("checking", None)
    reading: Reading | None = None
    for wait in LOOKS if context.client.has_list else ():
        context.waiter(wait)
        reading = _read(context, row) or reading
        if _found(context, identity):
            return False
    problem = _problem(context, row, reading, resent)
    if not problem and _still_clear(context, identity, row):
        return True
    if _found(context, identity):
        return False
    attempt.leave_slot(journal)
    problem = problem or "A second look at the account's list was not clear. Queue again to look once more"
    raise UnknownOutcome(
        f"{context.name} gave no clear answer to a job ({row.reason.rstrip('. ')}): it may be paid for. "
        f"{problem}.", "Or raise pay_again by 1 to pay for another.", attempt.stops,
    )


def _found(context: RunContext, identity: str) -> bool:
    row = context.journal.job(identity)
    found = row is None or row.state not in ("intent", "unknown")
    if found:
        context.gate.reopen()
    return found


def _still_clear(context: RunContext, identity: str, row: Job) -> bool:
    """Whether a second reading, BETWEEN_READINGS after the first, shows the same: that the job was not taken."""
    now = context.wall()
    since = row.cleared if row.cleared is not None and row.cleared <= now else None
    if since is None:
        context.journal.clear(identity, now)
        since = now
    if since == now or now - since < BETWEEN_READINGS:
        context.waiter(BETWEEN_READINGS - (now - since))
        again = _read(context, row)
        if _found(context, identity):
            return False
        if again is None or again.open or not _shows_a_later_job(context, row, again) or not again.complete:
            context.journal.clear(identity, None)
            return False
    return True


def _problem(context: RunContext, row: Job, reading: Reading | None, resent: bool) -> str:
    """Why the job may not be sent again now, and what would settle it; nothing if this reading shows that it may."""
    if not context.client.has_list:
        return "This service has no list of jobs to look in. Look at your account there"
    if reading is None:
        return "The account's list of jobs did not answer. Queue again to look once more"
    if reading.open:
        context.journal.clear(row.identity, None)
        shown = ", ".join(reading.open[:5])
        return f"The account's list shows {shown}, unknown here, which may be it. Look at your account there"
    if row.fields.get("seed") is None:
        return "With seed -1 it cannot be told from another job. Look at your account there"
    if resent:
        return "It was sent once more already. Queue again to look once more"
    if not reading.complete:
        return f"The first {reading.rows} jobs of the account's list do not reach back to it. Look at your account there"
    left = _seconds_left(context, row)
    if left > 0:
        clock = time.strftime("%H:%M", time.localtime(context.wall() + left + 59))
        return (f"The account's list does not show it yet. Queue again after {clock}: if the list still lacks it then, "
                "it is sent once more")
    if not _shows_a_later_job(context, row, reading):
        return ("The account's list shows no later job of yours, so it may only be late. Queue again after another job "
                "of yours is done")
    return ""


def _seconds_left(context: RunContext, row: Job) -> float:
    """How long the list may still lag behind."""
    longest = context.journal.longest_taken(context.client.endpoint.base_url)
    return max(SETTLED_AFTER, TIMES_LONGEST * longest) - context.journal.seconds_since_sent(row)


def _shows_a_later_job(context: RunContext, row: Job, reading: Reading) -> bool:
    later = context.journal.sent_after(context.client.endpoint.account, row.intended or 0.0)
    return bool(later & reading.ids)


def _read(context: RunContext, row: Job) -> Reading | None:
    """Read the list back to what was known before the job was sent, and adopt every lost job that it proves."""
    account = context.client.endpoint.account
    lost = [other.intended or 0.0 for other in context.journal.unsettled(account)]
    newest = context.journal.newest_id(account, row.intended or 0.0)
    oldest = context.journal.newest_id(account, min([row.intended or 0.0, *lost]))
    reading, unknown = Reading(), []
    for page in range(1, PAGES + 1):
        listed = context.client.listed(page)
        if listed is None:
            return None
        items, last = listed
        fresh = [item for item in items if item["id"] not in reading.ids]
        reading.rows += len(items)
        reading.ids.update(item["id"] for item in fresh)
        unknown += [item for item in fresh if not _is_at_most(item["id"], oldest)]
        if not items or (last is not None and page >= last) or any(_is_at_most(item["id"], newest) for item in items):
            reading.complete = True
            break
        if not fresh:
            break  # a list that gives the same page for ever
        context.waiter.look()
    fetches = FETCHES
    for item in reversed(unknown):  # the lost job is likely to be the first one after its intent
        fetches = _judge(context, row, item, reading, fetches, is_older=_is_at_most(item["id"], newest))
        context.waiter.look()
    return reading


def _is_at_most(job: str, number: int) -> bool:
    """Whether an id is a whole number that is not above another one."""
    return job.isdigit() and int(job) <= number


def _judge(
    context: RunContext, row: Job, item: dict[str, Any], reading: Reading, fetches: int, is_older: bool
) -> int:
    """Adopt a listed job if it is one that was lost; give the fetches that are left.

    Note it as open if it may be that of `row`, which one that `is_older` than its intent cannot.
    """
    journal, account, job = context.journal, context.client.endpoint.account, str(item["id"])
    if job in journal.known_ids(account):
        return fetches
    meta = item.get("meta")
    if not isinstance(meta, dict) and fetches:
        answer = context.client.fetch(job, None)
        fetches, meta = fetches - 1, answer.meta if isinstance(answer, Done) else {}
    meta = meta if isinstance(meta, dict) else {}
    named = marks(meta)
    lost = [one for one in journal.unsettled(account) if one.state == "unknown" or one.identity == row.identity]
    for one in lost:
        proved = not named and verdict(meta, one.fields, one.own, _alike(one, lost)) == "ours"
        if (proved or one.identity[:16] in named) and journal.adopt(one.identity, job):
            return fetches
    if not is_older and not named and verdict(meta, row.fields, row.own, 0) != "another's":
        reading.open.append(job)
    return fetches


def _alike(row: Job, lost: list[Job]) -> int:
    """How many other lost jobs share all but the finer fields with this one."""
    return sum(other.first != row.first and core(other.fields) == core(row.fields) for other in lost)
