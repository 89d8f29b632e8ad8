"""The pictures of a run that are missing: which ones, why, what raising pay_again would pay for, and the message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import NotDelivered, ResultGone, StillRunning, UnknownOutcome
from .plan import PlannedJob
from .stored_pictures import Images

MOST_NAMED = 4
"""How many missing pictures, and how many different reasons, the message names."""

NOT_BEGUN = "the run stopped before it, because of an error that every job would meet"


@dataclass(frozen=True)
class MissingPicture:
    """One missing picture: its index among all pictures of the recipe, its variant and sample, and the reason (one line).

    `kind` is unknown, failed, refused, late or not begun. `again`: whether raising pay_again pays for it.
    """

    index: int
    variant: int
    sample: int
    kind: str
    reason: str
    again: bool = False

    @property
    def label(self) -> str:
        """Its variant and sample, counted from 1."""
        return f"variant {self.variant + 1}, sample {self.sample + 1}"


def missing_pictures(
    jobs: Sequence[PlannedJob], images: Mapping[str, Images], errors: Mapping[str, BaseException]
) -> tuple[MissingPicture, ...]:
    """Return the missing pictures of `jobs`, in order. `images` and `errors` are those of each job, by identity."""
    found = []
    for job in jobs:
        made = images.get(job.identity)
        for position, index in enumerate(job.images):
            if made is not None and made[position] is not None:
                continue
            error = errors.get(job.identity)
            kind, again = kind_of(error)
            reason = reason_of(error)
            if made is not None and error is None:
                came = sum(image is not None for image in made)
                kind, again = "failed", True
                reason = f"The service gave {came} of the {len(made)} images of a job"
            found.append(MissingPicture(index, job.variant, job.samples[position], kind, reason, again))
    return tuple(sorted(found, key=lambda one: one.index))


def count_paid_again(jobs: Sequence[PlannedJob], missing: Sequence[MissingPicture]) -> int:
    """Return how many jobs raising pay_again would pay for.

    That is one per failed or unknown job, and one per missing picture of a job that gave some of its pictures.
    """
    lost = {one.index for one in missing if one.again}
    count = 0
    for job in jobs:
        own = sum(index in lost for index in job.images)
        count += min(own, 1) if own == len(job.images) else own
    return count


def kind_of(error: BaseException | None) -> tuple[str, bool]:
    """Return (what became of a job, whether raising pay_again pays for it again), from the error that ended it."""
    if error is None:
        return "not begun", False
    if isinstance(error, UnknownOutcome):
        return "unknown", True
    if isinstance(error, (NotDelivered, ResultGone)):
        return "failed", True
    if isinstance(error, StillRunning):
        return "late", False
    return "refused", False


def reason_of(error: BaseException | None) -> str:
    """Return why a picture is missing, without advice if the error keeps the two apart."""
    if error is None:
        return NOT_BEGUN
    return error.reason if isinstance(error, (NotDelivered, ResultGone, UnknownOutcome)) else str(error)


def missing_line(missing: Sequence[MissingPicture], total: int, jobs_again: int) -> str:
    """Return the message for the user: which of `total` pictures are missing, why, and what to do.

    `jobs_again` is how many jobs raising pay_again would pay for.
    """
    labels = "; ".join(one.label for one in missing[:MOST_NAMED]) + (" and more" if len(missing) > MOST_NAMED else "")
    reasons = list(dict.fromkeys(f"{one.kind}: {one.reason.rstrip('. ')}" for one in missing))
    why = " | ".join(reasons[:MOST_NAMED])
    if len(reasons) > MOST_NAMED:
        why += f" | and {len(reasons) - MOST_NAMED} more reasons"
    advice = "Queue again to ask for the missing ones; the others are not paid for again."
    if jobs_again:
        advice += (
            f" Raise pay_again to pay again for {jobs_again} job{'s' * (jobs_again > 1)}, which may have cost already."
        )
    advice += " Or set missing to placeholder to continue with the pictures that came."
    kept = total - len(missing)
    return f"{len(missing)} of {total} pictures are missing ({labels}). {why}. {kept} are kept. {advice}"
