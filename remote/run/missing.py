"""What is said of pictures that did not come: which, why, how many are kept, and what to press."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import NotDelivered, ResultGone, StillRunning, UnknownOutcome

NAMED = 4
"""So many missing pictures are named one by one, and so many different reasons are given."""

NOT_BEGUN = "the run met an error that every job would meet"


@dataclass(frozen=True)
class MissingPicture:
    """One picture that did not come: its index among all of the recipe's, where it belongs, and why (one line).

    `kind` is unknown, failed, refused, late or not begun; `again` says whether raising pay_again pays for it.
    """

    index: int
    variant: int
    sample: int
    kind: str
    reason: str
    again: bool = False

    @property
    def place(self) -> str:
        """Its place, counted from 1 as people do."""
        return f"variant {self.variant + 1}, sample {self.sample + 1}"


def kind_of(error: BaseException | None) -> tuple[str, bool]:
    """(What became of a job, whether raising pay_again pays for it again), told by the error that it ended in."""
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
    """Why a picture did not come, without what to do about it if the error tells the two apart."""
    if error is None:
        return NOT_BEGUN
    return error.reason if isinstance(error, (NotDelivered, ResultGone, UnknownOutcome)) else str(error)


def missing_line(missing: Sequence[MissingPicture], total: int, jobs_again: int) -> str:
    """One line for the person: what is missing of `total` pictures and what to press. `jobs_again` are the jobs that
    raising pay_again would pay for."""
    places = "; ".join(one.place for one in missing[:NAMED]) + (" and more" if len(missing) > NAMED else "")
    reasons = list(dict.fromkeys(f"{one.kind}: {one.reason.rstrip('. ')}" for one in missing))
    why = " | ".join(reasons[:NAMED]) + (f" | and {len(reasons) - NAMED} more reasons" if len(reasons) > NAMED else "")
    kept = total - len(missing)
    press = "Queue again to ask for the missing ones: what is kept is not paid again"
    if jobs_again:
        press += (
            f". Raise pay_again to pay again for {jobs_again} job{'s' * (jobs_again > 1)} that may have cost already"
        )
    press += ". Or set missing to placeholder to go on with those that came."
    return f"{len(missing)} of {total} pictures are missing ({places}). {why}. {kept} are kept. {press}"
