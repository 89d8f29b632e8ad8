"""What a run says about itself: plain values that become the report's JSON. No key, no address that holds one."""

from __future__ import annotations

from typing import Any

from .endpoints import Endpoint
from .journal import Job
from .plan import PlannedJob, says_weights

_SAID = {
    "v5": "sent",
    "v6": "sent, not confirmed: today's page of this service has no weights",
}


def report_of(endpoint: Endpoint, jobs: tuple[PlannedJob, ...], rows: dict[str, Job], reused: set[str],
              texts: int, seconds: float) -> dict[str, Any]:
    """The report of a finished run. `rows` by identity; `reused` names the jobs that sent nothing; `seconds` is the
    run's whole time."""
    images = [entry for job in jobs for entry in _entries(job, rows[job.identity], job.identity in reused)]
    warnings = list(dict.fromkeys(w for job in jobs for w in job.warnings))
    if texts:
        warnings.append("Text ingredients were joined to the prompt, without weights.")
    if endpoint.images_per_job > 1:
        warnings.append("Images of one job share its seed: those after the first cannot be made again alone.")
    return {
        "engine": "remote", "endpoint": endpoint.name, "wire": endpoint.wire,
        "weights": _SAID[endpoint.wire] if says_weights(endpoint) else endpoint.weights,
        "jobs": len({job.identity for job in jobs}), "reused": len(reused), "seconds": round(seconds, 3),
        "warnings": warnings, "images": sorted(images, key=lambda entry: int(entry["image"])),
    }


def _entries(job: PlannedJob, row: Job, reused: bool) -> list[dict[str, Any]]:
    sent = job.request.seed
    return [
        {
            "image": place, "variant": job.variant, "sample": sample, "seed_sent": sent,
            "seed": (row.seed if row.seed is not None else sent) if number == 0 else None,
            "repeatable_alone": number == 0 and (sent is not None or row.seed is not None),
            "prompt": job.request.prompt, "ingredients": list(job.weighed), "weights": list(job.effective),
            "job": row.remote_id, "identity": job.identity, "service_seconds": row.seconds,
            "from": "journal" if reused else "service",
        }
        for number, (place, sample) in enumerate(zip(job.images, job.samples, strict=True))
    ]
