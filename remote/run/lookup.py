"""What became of a job that got no clear answer: the account's list is asked, which costs nothing.

A job that the list proves is adopted. One that the list shows, twice and in full, not to be there may be sent again,
once. Everything else stays unknown, and a line says what would settle it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ...wire.account import ListedPage
from ...wire.answers import Done
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
    """One reading of the account's list: all `ids`, those that are `open`, and whether it reached back far enough.

    `rows` counts all of its rows, `unread` those in a form that is not known.
    """

    ids: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)
    complete: bool = False
    rows: int = 0
    unread: int = 0


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
    if not problem and not attempt.stops and _still_clear(context, identity, row):
        return True
    if _found(context, identity):
        return False
    attempt.leave_slot(journal)
    problem = problem or "A second look at the account's list was not clear. Queue again to look once more"
    asked = reading is not None or not context.client.has_list
    raise UnknownOutcome(
        f"{context.name} gave no clear answer to a job ({row.reason.rstrip('. ')}): it may be paid for. {problem}.",
        "Or raise pay_again by 1 to pay for another.",
        attempt.stops,
        asked,
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
        if again is None or again.open or not again.complete or not _shows_both_sides(context, row, again):
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
    if row.account != context.client.endpoint.account:
        return "It was sent with another key, whose list cannot be asked. Look at that account"
    if row.fields.get("seed") is None:
        return "With seed -1 it cannot be told from another job. Look at your account there"
    if resent:
        return "It was sent once more already. Queue again to look once more"
    if reading.unread:
        return f"{reading.unread} rows of the account's list cannot be read. Look at your account there"
    if not reading.complete:
        return (
            f"The first {reading.rows} jobs of the account's list do not reach back to it. Look at your account there"
        )
    left = _seconds_left(context, row)
    if left > 0:
        clock = time.strftime("%H:%M", time.localtime(context.wall() + left + 59))
        return (
            f"The account's list does not show it yet. Queue again after {clock}: if the list still lacks it then, "
            "it is sent once more"
        )
    if not _shows_both_sides(context, row, reading):
        return (
            "The account's list does not show both an earlier and a later job of yours, so it may only be late. Queue "
            "again after another job of yours is done"
        )
    return ""


def _seconds_left(context: RunContext, row: Job) -> float:
    """How long the list may still lag behind."""
    longest = context.journal.longest_taken(context.client.endpoint.base_url)
    return max(SETTLED_AFTER, TIMES_LONGEST * longest) - context.journal.seconds_since_sent(row)


def _shows_both_sides(context: RunContext, row: Job, reading: Reading) -> bool:
    """Whether the list shows jobs of ours from before and after: then it is this account's, and not behind."""
    before, after = context.journal.accounts.neighbours(row)
    return bool(before & reading.ids) and bool(after & reading.ids)


def _read(context: RunContext, row: Job) -> Reading | None:
    """Read the list back to what was known before the job was sent, and adopt every lost job that it proves."""
    journal, account = context.journal, context.client.endpoint.account
    newest = journal.accounts.newest_id(account, row.sent)
    oldest = journal.accounts.newest_id(
        account, min([row.sent, *(other.sent for other in journal.accounts.unsettled(account))])
    )
    reading, unknown = Reading(), []
    for page in range(1, PAGES + 1):
        listed = context.client.listed(page)
        if listed is None:
            return None
        fresh = [item for item in listed.items if item["id"] not in reading.ids]
        reading.rows += len(listed.items) + listed.unread
        reading.unread += listed.unread
        reading.ids.update(item["id"] for item in fresh)
        unknown += [item for item in fresh if not _is_at_most(item["id"], oldest)]
        if _reaches_back(listed, page, newest, reading):
            reading.complete = True
            break
        if not fresh:
            break  # a list that gives the same page for ever, or ends before all that it says there is
        context.waiter.look()
    fetches, sent = FETCHES, journal.accounts.sent_requests(account) if unknown else []
    for item in reversed(unknown):  # the lost job is likely to be the first one after its intent
        fetches = _judge(context, row, item, reading, fetches, sent, is_older=_is_at_most(item["id"], newest))
        context.waiter.look()
    return reading


def _reaches_back(listed: ListedPage, page: int, newest: int, reading: Reading) -> bool:
    """Whether a page shows a job from before the intent, or is the end of all that there is."""
    if any(_is_at_most(item["id"], newest) for item in listed.items):
        return True
    if listed.total is not None:
        return reading.rows >= listed.total
    return not listed.items and not listed.unread if listed.last is None else page >= listed.last


def _is_at_most(job: str, number: int) -> bool:
    """Whether an id is a whole number that is not above another one."""
    return job.isdigit() and int(job) <= number


def _judge(
    context: RunContext,
    row: Job,
    item: dict[str, Any],
    reading: Reading,
    fetches: int,
    sent: list[tuple[str, Any]],
    is_older: bool,
) -> int:
    """Adopt a listed job if it is one that was lost, told from all that were `sent`; give the fetches that are left.

    Note it as open if it may be that of `row`, which one that `is_older` than its intent cannot.
    """
    journal, account, job = context.journal, context.client.endpoint.account, str(item["id"])
    if job in journal.accounts.known_ids(account):
        return fetches
    meta = item.get("meta")
    if not (isinstance(meta, dict) and meta) and fetches:
        answer = context.client.fetch(job, None)
        fetches, meta = fetches - 1, answer.meta if isinstance(answer, Done) else {}
    meta = meta if isinstance(meta, dict) else {}
    named = marks(meta)
    for one in journal.accounts.unsettled(account):
        if one.state != "unknown" and one.identity != row.identity:
            continue  # its own answer is still awaited
        proved = not named and verdict(meta, one.fields, one.own, _alike(one, sent)) == "ours"
        if (proved or one.identity[:16] in named) and journal.adopt(one.identity, job):
            return fetches
    if not is_older and not named and verdict(meta, row.fields, row.own, 0) != "another's":
        reading.open.append(job)
    return fetches


def _alike(row: Job, sent: list[tuple[str, Any]]) -> int:
    """How many other jobs, of all that were ever sent, share all but the finer fields with this one."""
    return sum(first != row.first and core(fields) == core(row.fields) for first, fields in sent)
