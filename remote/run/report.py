"""What a run says about itself. No key, no address that holds one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...mixing.recipe import Recipe
from ...mixing.report import MadeImage, Report
from ...mixing.seeds import sample_seed
from ..endpoints import Endpoint
from ..store.rows import Job
from .kept import delivering
from .plan import PlannedJob, says_weights

SENT = "sent"
UNCONFIRMED = "sent, not confirmed: today's page of this service has no weights"


@dataclass(frozen=True)
class JobTold:
    """What is told of a job: all attempts at it, those at images of it alone (by position), and whether it was here."""

    job: PlannedJob
    attempts: tuple[Job, ...]
    singles: dict[int, tuple[Job, ...]]
    reused: bool
    missing: dict[int, str]


def report_of(
    recipe: Recipe, endpoint: Endpoint, jobs: tuple[PlannedJob, ...], told: dict[str, JobTold], seconds: float
) -> Report:
    """The report of a finished run. `told` by identity; `seconds` is the run's whole time.

    Its seeds are those that the answers name, else those that were sent.
    """
    made = {index: entry for job in jobs for index, entry in _made(job, told[job.identity])}
    return Report(
        engine="remote",
        recipe=recipe.digest,
        seconds={"total": round(seconds, 3)},
        warnings=tuple(dict.fromkeys(_warnings(recipe, endpoint, jobs, told))),
        images=tuple(made[index] for index in sorted(made)),
        details={
            "endpoint": endpoint.name,
            "wire": endpoint.wire,
            "jobs": [_details(one) for one in told.values()],
            "weights": _weights(endpoint),
        },
    )


def _weights(endpoint: Endpoint) -> str:
    if not says_weights(endpoint):
        return endpoint.weights
    return SENT if endpoint.format.documents_weights else UNCONFIRMED


def _made(job: PlannedJob, told: JobTold) -> list[tuple[int, MadeImage]]:
    row = delivering(told.attempts)
    made = []
    for position, (index, sample) in enumerate(zip(job.images, job.samples, strict=True)):
        seed = _seed(job, position, row, told)
        sent = job.request.seed
        missing = told.missing.get(position, "")
        if missing:
            seed = None if sent is None else sample_seed(sent, position)
        uncertain = not missing and row is not None and not row.placed and position not in told.singles
        made.append(
            (index, MadeImage(job.variant, sample, None if uncertain else seed, job.effective, missing, uncertain))
        )
    return made


def _seed(job: PlannedJob, position: int, row: Job | None, told: JobTold) -> int | None:
    """The seed really used for an image of a job, as far as it is known."""
    if position in told.singles:
        row, sent = delivering(told.singles[position]), job.request.seed
        return row.seed if row and row.seed is not None else None if sent is None else sample_seed(sent, position)
    if row is not None and position < len(row.seeds) and row.seeds[position] is not None:
        return row.seeds[position]
    if position:
        return None
    return row.seed if row is not None and row.seed is not None else job.request.seed


def _warnings(recipe: Recipe, endpoint: Endpoint, jobs: tuple[PlannedJob, ...], told: dict[str, JobTold]) -> list[str]:
    found = [warning for job in jobs for warning in job.warnings]
    if any(i.kind == "text" for i in recipe.mix.used().ingredients):
        found.append("Text ingredients were joined to the prompt, without weights.")
    if endpoint.images_per_job > 1:
        found.append("Several images came from one job: only the first of each can be made again alone, by its seed.")
    for one in told.values():
        found += _warnings_of(one)
    lost = sum(len(told[job.identity].missing) for job in jobs)
    if lost:
        found.append(
            f"{lost} of {recipe.mix.variants * recipe.samples} pictures are missing: plain pictures stand for them."
        )
    return found


def _warnings_of(told: JobTold) -> list[str]:
    row, job = delivering(told.attempts), told.job
    place = f"Variant {job.variant + 1}, sample {job.samples[0] + 1}"
    found = []
    if row is not None and row.unsafe:
        found.append(f"{place}: the service's filter says that it struck (nsfw_content_detected): it may be blank.")
    paid = [one.remote_id or "without id" for one in told.attempts if one.paid]
    if len(paid) > 1:
        times = "twice" if len(paid) == 2 else f"{len(paid)} times"
        found.append(f"{place} was paid {times}: jobs {', '.join(paid)}.")
    if row is not None and not row.placed:
        found.append(
            f"{place}: the service gave fewer images than it was paid for, without saying which: their seeds "
            "are uncertain."
        )
    return found


def _details(told: JobTold) -> dict[str, Any]:
    job = told.job
    row = delivering(told.attempts) or (told.attempts[-1] if told.attempts else None)
    entry: dict[str, Any] = {
        "id": row and row.remote_id,
        "identity": job.identity,
        "images": len(job.images),
        "prompt": job.request.prompt,
        "seed_sent": job.request.seed,
        "seconds": None if row is None or row.seconds is None else round(row.seconds, 3),
        "from": "journal" if told.reused else "service",
    }
    if len(told.attempts) > 1 or (row is not None and row.state != "done"):
        entry["attempts"] = [
            {"id": one.remote_id, "state": one.state, "pay_again": one.attempt, "sent_again": one.resent}
            for one in told.attempts
        ]
    return entry
