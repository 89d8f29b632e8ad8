"""Read the account's list of jobs at the service, and adopt every lost job that it proves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...wire.account import ListedPage
from ...wire.answers import Done
from ..store.job_rows import JobRow
from .context import RunContext
from .proof import core, marks, verdict

PAGES = 20
"""Most pages of the list that one reading takes, of 30 jobs each."""

FETCHES = 60
"""Most jobs per reading whose `meta` is fetched because the list does not give it."""


@dataclass
class Reading:
    """One reading of the account's list.

    `ids` are all ids read, `open` those of jobs that may be the lost one. `complete`: whether the reading reached back
    to before the lost job was sent. `rows` counts all rows, `unread` those whose form is unknown.
    """

    ids: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)
    complete: bool = False
    rows: int = 0
    unread: int = 0


def read_list(context: RunContext, row: JobRow) -> Reading | None:
    """Read the list back to before the attempt `row` was sent. Return None if the service does not answer.

    Adopt every lost job of the account that the list proves; note as `open` those that may be the attempt's.
    """
    accounts, account = context.journal.accounts, context.client.endpoint.account
    newest = accounts.newest_id(account, row.sent)
    oldest = accounts.newest_id(account, min([row.sent, *(other.sent for other in accounts.unsettled(account))]))
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
            break  # the list repeats the same page, or ends earlier than it says
        context.waiter.look()
    matcher = _Matcher(context, row, reading, accounts.sent_requests(account) if unknown else [])
    for item in reversed(unknown):  # the lost job is probably the first one after it was sent
        matcher.match(item, is_older=_is_at_most(item["id"], newest))
        context.waiter.look()
    return reading


def _reaches_back(listed: ListedPage, page: int, newest: int, reading: Reading) -> bool:
    """Return whether a page shows a job from before the attempt was sent, or is the end of the whole list."""
    if any(_is_at_most(item["id"], newest) for item in listed.items):
        return True
    if listed.total is not None:
        return reading.rows >= listed.total
    return not listed.items and not listed.unread if listed.last is None else page >= listed.last


def _is_at_most(job: str, number: int) -> bool:
    """Return whether an id is a whole number and not above `number`."""
    return job.isdigit() and int(job) <= number


@dataclass
class _Matcher:
    """Compares the jobs of one reading with the lost ones. `sent` are all requests ever sent to this account."""

    context: RunContext
    row: JobRow
    reading: Reading
    sent: list[tuple[str, Any]]
    fetches_left: int = FETCHES

    def match(self, item: dict[str, Any], is_older: bool) -> None:
        """Adopt a listed job if it is one that was lost; otherwise note it as open if it may be this attempt's.

        A job that `is_older` than the attempt's submit cannot be the attempt's.
        """
        journal, account, job = self.context.journal, self.context.client.endpoint.account, str(item["id"])
        if job in journal.accounts.known_ids(account):
            return
        meta = self._meta(job, item.get("meta"))
        named = marks(meta)
        for lost in journal.accounts.unsettled(account):
            if lost.state != "unknown" and lost.identity != self.row.identity:
                continue  # the answer to its submit may still come
            proved = not named and verdict(meta, lost.fields, lost.own, self._count_alike(lost)) == "ours"
            if (proved or lost.identity[:16] in named) and journal.adopt(lost.identity, job):
                return
        if not is_older and not named and verdict(meta, self.row.fields, self.row.own, 0) != "another's":
            self.reading.open.append(job)

    def _meta(self, job: str, listed: Any) -> dict[str, Any]:
        """Return a job's `meta`: as listed, or else fetched, while fetches are left."""
        if not (isinstance(listed, dict) and listed) and self.fetches_left:
            self.fetches_left -= 1
            answer = self.context.client.fetch(job, None)
            listed = answer.meta if isinstance(answer, Done) else {}
        return dict(listed) if isinstance(listed, dict) else {}

    def _count_alike(self, lost: JobRow) -> int:
        """Return how many other jobs were ever sent that differ from this one in the finer fields at most."""
        return sum(first != lost.first and core(fields) == core(lost.fields) for first, fields in self.sent)
