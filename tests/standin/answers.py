"""What the stand-in answers about its jobs: their links, `meta`, and the account's list."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

if __package__:
    from .state import Job, ServiceState
else:
    from state import Job, ServiceState  # type: ignore[import-not-found, no-redef]

ROWS_PER_PAGE, MOST_PER_PAGE = 10, 30


@dataclass(frozen=True)
class Answers:
    """Answers from `state`. `base` is the stand-in's URL, without a slash at its end."""

    state: ServiceState
    base: str

    def processing(self, job: Job, fetch_path: str) -> dict[str, Any]:
        """Return the answer to a submit whose job is not done yet."""
        return {
            "status": "processing",
            "tip": "Your image is processing in background",
            "eta": math.ceil(job.eta),
            "message": "Try to fetch request after seconds estimated",
            "id": job.id,
            "output": [],
            "fetch_result": f"{self.base}{fetch_path}{job.id}",
            "future_links": self.links(job),
            "meta": self.meta(job),
        }

    def success(self, job: Job) -> dict[str, Any]:
        """Return the answer about a job that is done."""
        answer: dict[str, Any] = {
            "status": "success",
            "generationTime": job.seconds,
            "id": job.id,
            "output": self.links(job),
        }
        return answer if self.state.manners.hides_meta else answer | {"meta": self.meta(job)}

    def listed(self, key: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a page of the account's finished jobs, newest first: 10 per page by default, 30 at most."""
        now = self.state.clock() - self.state.manners.list_late
        shown = (job for job in self.state.jobs.values() if job.key == key and job.ready_at <= now)
        jobs = sorted((job for job in shown if job.id not in self.state.manners.unlisted), key=lambda job: -job.id)
        per, page = min(MOST_PER_PAGE, int(fields.get("per_page") or ROWS_PER_PAGE)), int(fields.get("page") or 1)
        rows = [{"id": job.id, "output": self.links(job)} for job in jobs[(page - 1) * per : page * per]]
        paging = {"current_page": page, "per_page": per, "total": len(jobs), "last_page": max(1, -(-len(jobs) // per))}
        return {"status": "success", "data": rows, "pagination": paging}

    def links(self, job: Job) -> list[str | None]:
        """Return the links of a job's images; None for one that is left out, if the manners say so."""
        manners, count = self.state.manners, int(job.fields.get("samples") or 1)
        mark = "/" if manners.plain_names else "-"
        links: list[str | None] = [f"{self.base}/images/{job.id}{mark}{index}.png" for index in range(count)]
        if count == 1 or (manners.leaves_out_of and job.id not in manners.leaves_out_of):
            return links
        if manners.nulls:
            return [None if index in manners.leaves_out else link for index, link in enumerate(links)]
        return [link for index, link in enumerate(links) if index not in manners.leaves_out]

    def meta(self, job: Job) -> dict[str, Any]:
        """Return the service's echo of a job."""
        fields, manners = job.fields, self.state.manners
        meta = {
            "H": job.size[1],
            "W": job.size[0],
            "prompt": fields["prompt"],
            "seed": float(job.seed) if manners.rounds_seeds else job.seed,
            "outdir": "out",
            "negative_prompt": fields.get("negative_prompt", ""),
            "steps": fields.get("steps"),
            "guidance_scale": fields.get("guidance_scale"),
            "n_samples": fields.get("samples", 1),
            "init_image": fields["init_image"],
            "file_prefix": f"{job.id}",
        }
        if manners.thin_meta:
            return {name: meta[name] for name in ("prompt", "seed", "init_image")}
        if not manners.hides_weights and fields.get("init_image_weights"):
            meta["init_image_weights"] = fields["init_image_weights"]
        return meta
