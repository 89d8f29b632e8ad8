"""Recording in the journal what the service answered: to a submit, and about a job that is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...wire.answers import Answer, Done, Pending, Refused, Unclear
from ...wire.links import placed
from ..errors import StoreError, UnknownOutcome
from ..store.job_rows import FinishedJob
from ..store.journal import Journal
from .context import Attempt, RunContext
from .proof import verdict

WAITS = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each try to record an answer to a submit."""


def record_answer(context: RunContext, attempt: Attempt, answer: Answer, request: Mapping[str, Any]) -> None:
    """Record the answer to a submit, trying several times: without it, a paid job could be lost.

    Raise UnknownOutcome if the journal cannot be written.
    """
    problem: StoreError | None = None
    for wait in WAITS:
        context.waiter.sleep(wait)
        try:
            return _record(context, attempt, answer, request)
        except StoreError as error:
            problem = error
    what = "without a clear answer"
    if not isinstance(answer, Unclear):
        what = f"and accepted as job {answer.id}" if answer.id else "and accepted without an id"
    raise UnknownOutcome(
        f"A job was sent to {context.name} {what}, but the journal cannot be written: {problem}",
        "Queue again once it can be: the job is then looked up. Raise pay_again only if it is not found.",
        True,
    ) from problem


def record_done(journal: Journal, attempt: Attempt, answer: Done, seconds: float | None, remote_id: str | None) -> None:
    """Record the links of a job that is done, each for its own image. `seconds` is how long it took, if measured."""
    wanted, seed = len(attempt.job.images), attempt.job.request.seed
    links, order_known = placed(answer.links, wanted, answer.meta, answer.seeds, seed)
    seeds: tuple[int | None, ...] = answer.seeds[:wanted]
    if len(seeds) == len(answer.links) < wanted:  # one seed per link: put them in the order of the images too
        by_link = dict(zip(answer.links, seeds, strict=True))
        seeds = tuple(by_link.get(image_links) for image_links in links)
    journal.ready(
        attempt.identity,
        FinishedJob(
            links=links,
            meta=answer.meta,
            seeds=seeds,
            seconds=seconds,
            remote_id=remote_id,
            unsafe=answer.unsafe,
            order_known=order_known,
        ),
    )


def _record(context: RunContext, attempt: Attempt, answer: Answer, request: Mapping[str, Any]) -> None:
    journal, identity = context.journal, attempt.identity
    if isinstance(answer, Unclear):
        return journal.lose_sight(identity, answer.reason)
    if answer.id is not None:
        pending = answer if isinstance(answer, Pending) else Pending(answer.id)
        with journal.one_transaction():
            if _names_another_job(context, attempt, answer, request):
                return journal.lose_sight(identity, f"the service named job {answer.id}, which is another job of yours")
            journal.accept(identity, answer.id, pending.fetch_url, pending.eta, pending.links)
    if isinstance(answer, Done):
        record_done(journal, attempt, answer, answer.seconds, answer.id)
    elif isinstance(answer, Refused):
        journal.fail(identity, answer.reason)
    return None


def _names_another_job(
    context: RunContext, attempt: Attempt, answer: Done | Pending | Refused, request: Mapping[str, Any]
) -> bool:
    """Return whether the id in the answer belongs to a job of ours that asked for something else.

    The service may answer an equal request from its cache, with the earlier id: then its pictures are the right ones.
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
