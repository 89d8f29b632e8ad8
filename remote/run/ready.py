"""Writing down where the pictures of a job are."""

from __future__ import annotations

from ...wire.answers import Done
from ...wire.links import placed
from ..store.journal import Journal
from .context import Attempt


def record_ready(
    journal: Journal, attempt: Attempt, answer: Done, seconds: float | None, remote_id: str | None
) -> None:
    """Note the links of `answer`, each as that of its own image. `seconds` is how long the job took, if that was seen."""
    wanted, seed = len(attempt.job.images), attempt.job.request.seed
    links, certain = placed(answer.links, wanted, answer.meta, answer.seeds, seed)
    seeds: tuple[int | None, ...] = answer.seeds[:wanted]
    if len(seeds) == len(answer.links) < wanted:  # a seed per link: they stand where the links do
        by_link = dict(zip(answer.links, seeds, strict=True))
        seeds = tuple(by_link.get(places) for places in links)
    journal.ready(
        attempt.identity,
        links,
        meta=answer.meta,
        seeds=seeds,
        seconds=seconds,
        remote_id=remote_id,
        unsafe=answer.unsafe,
        placed=certain,
    )
