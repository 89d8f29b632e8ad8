"""What a run says about itself. No key, no address that holds one."""

from __future__ import annotations

from typing import Any

from ..mixing.recipe import Recipe
from ..mixing.report import MadeImage, Report
from .endpoints import Endpoint
from .journal import Job
from .plan import PlannedJob, says_weights

_SAID = {
    "v5": "sent",
    "v6": "sent, not confirmed: today's page of this service has no weights",
}


def report_of(recipe: Recipe, endpoint: Endpoint, jobs: tuple[PlannedJob, ...], rows: dict[str, Job],
              reused: set[str], seconds: float) -> Report:
    """The report of a finished run. `rows` by identity; `reused` names the jobs that sent nothing; `seconds` is the
    run's whole time. Its seeds are those that the answers name, else those that were sent."""
    made = {place: entry for job in jobs for place, entry in _made(job, rows[job.identity])}
    warnings = list(dict.fromkeys(warning for job in jobs for warning in job.warnings))
    if any(i.kind == "text" for i in recipe.mix.used().ingredients):
        warnings.append("Text ingredients were joined to the prompt, without weights.")
    if endpoint.images_per_job > 1:
        warnings.append("Several images came from one job: only the first of each can be made again alone, by its seed.")
    unique = {job.identity: job for job in jobs}
    return Report(
        engine="remote", recipe=recipe.digest, warnings=tuple(warnings), seconds={"total": round(seconds, 3)},
        images=tuple(made[place] for place in sorted(made)),
        details={
            "endpoint": endpoint.name, "wire": endpoint.wire, "jobs": [
                _told(job, rows[identity], identity in reused) for identity, job in unique.items()
            ],
            "weights": _SAID[endpoint.wire] if says_weights(endpoint) else endpoint.weights,
        },
    )


def _made(job: PlannedJob, row: Job) -> list[tuple[int, MadeImage]]:
    seed = row.seed if row.seed is not None else job.request.seed
    return [
        (place, MadeImage(job.variant, sample, seed if number == 0 else None, job.effective))
        for number, (place, sample) in enumerate(zip(job.images, job.samples, strict=True))
    ]


def _told(job: PlannedJob, row: Job, reused: bool) -> dict[str, Any]:
    return {
        "id": row.remote_id, "identity": job.identity, "images": len(job.images), "prompt": job.request.prompt,
        "seed_sent": job.request.seed, "seconds": None if row.seconds is None else round(row.seconds, 3),
        "from": "journal" if reused else "service",
    }
