"""One job of a run, from its rows in the journal to its pictures. The state of a row decides the next step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from ...mixing.errors import MixError
from ..errors import NotDelivered, ResultGone, StoreError, UnknownOutcome
from ..store.job_rows import JobRow, State
from ..store.journal import LostClaim
from .ask_again import ask_again, ask_for_missing_images
from .await_result import await_result
from .context import Attempt, RunContext, ShowStep
from .download import download
from .identity import attempt_identity
from .look_up import look_up
from .plan import PlannedJob, single_job
from .stored_pictures import Images, first_delivery, images_of_attempts, stored_images
from .submit import submit

STEPS: dict[State, Callable[[RunContext, Attempt, JobRow], str | None]] = {
    "planned": submit,
    "intent": look_up,
    "unknown": look_up,
    "accepted": await_result,
    "ready": download,
    "done": download,
    "failed": ask_again,
}
"""The next step for a row, by its state. A step that returns an identity goes on with that attempt instead."""

ORDER: dict[State, int] = {"done": 0, "ready": 1, "accepted": 2, "failed": 3, "unknown": 4, "intent": 4, "planned": 5}
"""Which attempt comes first: the one that is nearest to its pictures."""

POLL_OTHERS = 0.2
"""Seconds between two looks at whether another run has let the job go."""

Problem = NotDelivered | UnknownOutcome | ResultGone


class JobRun:
    """Carries out `job` with all attempts at it.

    `reused` is whether its pictures were on disk already, `problem` why some of them are missing.
    """

    def __init__(self, context: RunContext, job: PlannedJob, show_step: ShowStep) -> None:
        self._context = context
        self._job = job
        self._show_step = show_step
        self._attempts: list[Attempt] = []
        self._problems: list[Problem] = []
        self.reused = False
        self.problem: MixError | None = None

    def images(self) -> Images:
        """Return the bytes of the job's images, in order; None for an image that the service left out.

        Raise an error of the pack if there are no images, or Stopped.
        """
        try:
            images = self._claim() or self._first_delivered()
            return self._fill_gaps(images) if None in images else images
        finally:
            self._release()

    def _claim(self) -> Images | None:
        """Claim the job, and return None; or return its images if another run delivers them first."""
        context, identity, first_look = self._context, self._job.identity, True
        while True:
            stored = stored_images(context.journal, context.results, self._job, context.client.endpoint, context.take)
            if stored is not None and None not in stored:
                self.reused = first_look
                self._show_step("done", None)
                return stored
            first_look = False
            context.waiter.look()
            if context.journal.job(identity) is None:
                context.reserve(context.new_job(self._job, identity, context.pay_again))
            if context.journal.claims.take(identity, context.owner) is not None:
                return None
            self._show_step("queued", None)
            context.waiter(POLL_OTHERS)

    def _first_delivered(self) -> Images:
        """Return the images of the first attempt that delivers. Pay for another one only if the counter was raised."""
        journal, first = self._context.journal, self._job.identity
        rows = journal.attempts(first)
        for row in sorted(rows, key=lambda row: ORDER[row.state]):
            try:
                return self._deliver(row.identity)
            except (NotDelivered, UnknownOutcome, ResultGone) as error:
                self._problems.append(error)
        problem = _worst(self._problems)
        if problem is None:
            return self._deliver(first)
        if not self._may_pay_again(rows):
            journal.not_delivered(first, self._context.pay_again)
            raise problem
        identity = attempt_identity(first, self._context.pay_again, resent=False)
        self._context.reserve(self._context.new_job(self._job, identity, self._context.pay_again))
        return self._deliver(identity)

    def _may_pay_again(self, rows: list[JobRow]) -> bool:
        """Return whether the counter was raised since the last run without images, and the service was asked for all
        attempts once more just now."""
        asked = all(error.asked for error in self._problems)
        stops = any(isinstance(error, UnknownOutcome) and error.stops for error in self._problems)
        counter = self._context.pay_again
        seen = max(row.seen for row in rows if row.identity == row.first)
        return asked and not stops and counter > seen and counter not in {row.attempt for row in rows}

    def _deliver(self, identity: str) -> Images:
        """Return the images of one attempt. Raise an error of the pack if it does not deliver, or Stopped."""
        attempt = Attempt(self._job, identity, self._show_step)
        self._attempts.append(attempt)
        while True:
            row = self._context.journal.claims.take(identity, self._context.owner)
            if row is None:
                raise StoreError("The journal was changed by another program while a job ran: queue again.")
            images = images_of_attempts(self._context.results, len(self._job.images), [row])
            if images is not None:
                attempt.free_slot(self._context.journal)
                self._show_step("done", None)
                return images
            self._context.waiter.look()
            again: str | None = None
            with contextlib.suppress(LostClaim):
                again = STEPS[row.state](self._context, attempt, row)
            if again is not None:
                return self._deliver(again)

    def _fill_gaps(self, images: Images) -> Images:
        """Return the images with those that the service left out, as far as they can be had.

        Ask for them once more, for free; or make them as jobs of their own if the counter was raised since. The images
        that came are kept, whatever goes wrong with the others.
        """
        context, journal = self._context, self._context.journal
        try:
            row = first_delivery(journal.attempts(self._job.identity))
            assert row is not None, "images come from a row that is done"
            if ask_for_missing_images(context, Attempt(self._job, row.identity, self._show_step), row):
                images = self._deliver(row.identity)
            for position, image in enumerate(images):
                single = single_job(self._job, position, context.client.endpoint, context.take)
                if image is None and (
                    context.pay_again > max(row.attempt, row.seen) or journal.attempts(single.identity)
                ):
                    images[position] = JobRun(context, single, self._show_step).images()[0]
            if None in images:
                journal.not_delivered(self._job.identity, context.pay_again)
        except MixError as error:
            self.problem = error
        self._show_step("done", None)
        return images

    def _release(self) -> None:
        """Give claims and slots back. Keep the slot of a job that the service works on until its lease expires."""
        journal, owner = self._context.journal, self._context.owner
        with contextlib.suppress(StoreError):  # the error before this one is the better message
            for attempt in self._attempts:
                row = journal.job(attempt.identity)
                journal.claims.release(attempt.identity, owner)
                if attempt.has_slot and row is not None and row.state in ("intent", "accepted", "unknown"):
                    journal.slots.abandon(attempt.identity)
                elif attempt.has_slot:
                    journal.slots.free(attempt.identity)
            journal.claims.release(self._job.identity, owner)


def _worst(problems: Sequence[Problem]) -> Problem | None:
    """Return the problem that the user must see: an unknown outcome before all others."""
    unknown = next((problem for problem in problems if isinstance(problem, UnknownOutcome)), None)
    return unknown or next(iter(problems), None)
