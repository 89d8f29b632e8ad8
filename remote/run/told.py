"""What a run came to, job by job: from the journal's rows and the errors to what the report and a message say."""

from __future__ import annotations

from collections.abc import Sequence

from ..endpoints import Endpoint
from ..store.journal import Journal
from .kept import Images, singles_of
from .missing import MissingPicture, kind_of, reason_of
from .plan import PlannedJob
from .progress import RunState
from .report import JobTold


def missing_pictures(
    jobs: Sequence[PlannedJob], images: dict[str, Images], state: RunState
) -> tuple[MissingPicture, ...]:
    """The pictures of `jobs` that did not come, in order, each with its reason."""
    found = []
    for job in jobs:
        made = images.get(job.identity)
        for position, index in enumerate(job.images):
            if made is not None and made[position] is not None:
                continue
            error = state.errors.get(job.identity)
            kind, again = kind_of(error)
            reason = reason_of(error)
            if made is not None and error is None:
                came = sum(image is not None for image in made)
                kind, again = "failed", True
                reason = f"The service gave {came} of the {len(made)} images of a job"
            found.append(MissingPicture(index, job.variant, job.samples[position], kind, reason, again))
    return tuple(sorted(found, key=lambda one: one.index))


def jobs_again(jobs: Sequence[PlannedJob], missing: Sequence[MissingPicture]) -> int:
    """How many jobs raising pay_again would pay for: one per failed or unknown job, one per picture of a short one."""
    lost = {one.index for one in missing if one.again}
    count = 0
    for job in jobs:
        own = sum(index in lost for index in job.images)
        count += min(own, 1) if own == len(job.images) else own
    return count


def tell_of(
    job: PlannedJob, journal: Journal, endpoint: Endpoint, take: int, reused: bool, missing: Sequence[MissingPicture]
) -> JobTold:
    """All that the journal knows of a job."""
    singles = {position: tuple(rows) for position, rows in singles_of(journal, job, endpoint, take).items()}
    reasons = {one.index: one.reason for one in missing}
    lost = {position: reasons[index] for position, index in enumerate(job.images) if index in reasons}
    return JobTold(job, tuple(journal.attempts(job.identity)), singles, reused, lost)
