"""The report of a run. It holds no key, and no URL that may contain one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...mixing.recipe import Recipe
from ...mixing.report import MadeImage, Report
from ...mixing.seeds import sample_seed
from ..endpoints import Endpoint
from ..store.job_rows import JobRow
from ..store.journal import Journal
from .missing_pictures import MissingPicture
from .plan import PlannedJob, sends_weights
from .stored_pictures import first_delivery, single_attempts

_WEIGHTS_SENT = {
    "v5": "sent",
    "v6": "sent, not confirmed: today's page of this service has no weights",
}


@dataclass(frozen=True)
class JobHistory:
    """What became of a job.

    `attempts` are all attempts at it; `singles`, by position, those at single images of it. `reused`: its pictures were
    on disk before this run. `missing` are the reasons for missing pictures, by position.
    """

    job: PlannedJob
    attempts: tuple[JobRow, ...]
    singles: Mapping[int, tuple[JobRow, ...]]
    reused: bool
    missing: Mapping[int, str]

    @property
    def delivery(self) -> JobRow | None:
        """The attempt that delivered first."""
        return first_delivery(self.attempts)


def job_history(
    job: PlannedJob, journal: Journal, endpoint: Endpoint, take: int, reused: bool, missing: Sequence[MissingPicture]
) -> JobHistory:
    """Return what the journal knows about a job. `missing` are the missing pictures of the whole run."""
    singles = {position: tuple(rows) for position, rows in single_attempts(journal, job, endpoint, take).items()}
    reasons = {one.index: one.reason for one in missing}
    lost = {position: reasons[index] for position, index in enumerate(job.images) if index in reasons}
    return JobHistory(job, tuple(journal.attempts(job.identity)), singles, reused, lost)


def report_of(
    recipe: Recipe,
    endpoint: Endpoint,
    jobs: Sequence[PlannedJob],
    histories: Mapping[str, JobHistory],
    seconds: float,
) -> Report:
    """Return the report of a finished run. `histories` are by identity; `seconds` is how long the whole run took.

    The seeds are those that the answers name, or else those that were sent.
    """
    made = {index: entry for job in jobs for index, entry in _made_images(job, histories[job.identity])}
    return Report(
        engine="remote",
        recipe=recipe.digest,
        seconds={"total": round(seconds, 3)},
        warnings=tuple(dict.fromkeys(_warnings(recipe, endpoint, jobs, histories))),
        images=tuple(made[index] for index in sorted(made)),
        details={
            "endpoint": endpoint.name,
            "wire": endpoint.wire,
            "jobs": [_details(history) for history in histories.values()],
            "weights": _WEIGHTS_SENT.get(endpoint.wire, "sent") if sends_weights(endpoint) else endpoint.weights,
        },
    )


def _made_images(job: PlannedJob, history: JobHistory) -> Iterator[tuple[int, MadeImage]]:
    """Yield (index, entry) of each image. Equal variants share one history, so `job` may differ from its job."""
    row = history.delivery
    for position, (index, sample) in enumerate(zip(job.images, job.samples, strict=True)):
        missing = history.missing.get(position, "")
        uncertain = not missing and row is not None and not row.order_known and position not in history.singles
        seed = _sent_seed(job, position) if missing else None if uncertain else _used_seed(job, position, history)
        yield index, MadeImage(job.variant, sample, seed, job.effective, missing, uncertain)


def _sent_seed(job: PlannedJob, position: int) -> int | None:
    return None if job.request.seed is None else sample_seed(job.request.seed, position)


def _used_seed(job: PlannedJob, position: int, history: JobHistory) -> int | None:
    """Return the seed that was really used for an image, as far as it is known."""
    if position in history.singles:
        single = first_delivery(history.singles[position])
        return single.seed if single is not None and single.seed is not None else _sent_seed(job, position)
    row = history.delivery
    if row is not None and position < len(row.seeds) and row.seeds[position] is not None:
        return row.seeds[position]
    if position:
        return None
    return row.seed if row is not None and row.seed is not None else job.request.seed


def _warnings(
    recipe: Recipe, endpoint: Endpoint, jobs: Sequence[PlannedJob], histories: Mapping[str, JobHistory]
) -> Iterator[str]:
    for job in jobs:
        yield from job.warnings
    if any(i.kind == "text" for i in recipe.mix.used().ingredients):
        yield "Text ingredients were joined to the prompt, without weights."
    if endpoint.images_per_job > 1:
        yield "Several images came from one job: only the first image of each job can be made again alone, by its seed."
    for history in histories.values():
        yield from _job_warnings(history)
    lost = sum(len(histories[job.identity].missing) for job in jobs)
    if lost:
        yield f"{lost} of {recipe.mix.variants * recipe.samples} pictures are missing: plain pictures stand for them."


def _job_warnings(history: JobHistory) -> Iterator[str]:
    row, job = history.delivery, history.job
    label = f"Variant {job.variant + 1}, sample {job.samples[0] + 1}"
    if row is not None and row.unsafe:
        yield f"{label}: the service's filter was triggered (nsfw_content_detected): the image may be blank."
    paid = [one.remote_id or "without id" for one in history.attempts if one.paid]
    if len(paid) > 1:
        times = "twice" if len(paid) == 2 else f"{len(paid)} times"
        yield f"{label} was paid {times}: jobs {', '.join(paid)}."
    if row is not None and not row.order_known:
        yield (
            f"{label}: the service gave fewer images than were paid for, without saying which ones: their seeds are "
            "uncertain."
        )


def _details(history: JobHistory) -> dict[str, Any]:
    job = history.job
    row = history.delivery or (history.attempts[-1] if history.attempts else None)
    entry: dict[str, Any] = {
        "id": row and row.remote_id,
        "identity": job.identity,
        "images": len(job.images),
        "prompt": job.request.prompt,
        "seed_sent": job.request.seed,
        "seconds": None if row is None or row.seconds is None else round(row.seconds, 3),
        "from": "journal" if history.reused else "service",
    }
    if len(history.attempts) > 1 or (row is not None and row.state != "done"):
        entry["attempts"] = [
            {"id": one.remote_id, "state": one.state, "pay_again": one.attempt, "sent_again": one.resent}
            for one in history.attempts
        ]
    return entry
