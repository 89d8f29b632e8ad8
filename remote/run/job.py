"""One job of a run, from its rows in the journal to its pictures: which step comes next is told by a row's state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from ...mixing.errors import MixError
from ..errors import NotDelivered, ResultGone, StoreError, UnknownOutcome
from ..store.journal import LostClaim
from ..store.rows import Job, State
from .context import Attempt, RunContext, Tell
from .download import ask_for_the_rest, download
from .identity import attempt_identity
from .kept import Images, delivering, kept_images, stored_images
from .lookup import look_up
from .plan import PlannedJob, alone
from .submit import submit
from .waiting import ask_again, await_result

_STEPS: dict[State, Callable[[RunContext, Attempt, Job], None]] = {
    "planned": submit,
    "accepted": await_result,
    "ready": download,
    "done": download,
    "failed": ask_again,
}
"""What is done next with a row; an attempt without a clear answer is looked up."""

_ORDER: dict[State, int] = {"done": 0, "ready": 1, "accepted": 2, "failed": 3, "unknown": 4, "intent": 4, "planned": 5}
"""Which attempt is asked first: the one that is nearest to its pictures."""

WAIT_FOR_OTHERS = 0.2


class JobRun:
    """Carries `job` through, with all attempts at it.

    `reused` says whether its pictures were here already, and `problem` why one of them could not be had.
    """

    def __init__(self, context: RunContext, job: PlannedJob, tell: Tell) -> None:
        self._context = context
        self._job = job
        self._tell = tell
        self._attempts: list[Attempt] = []
        self._problems: list[NotDelivered | UnknownOutcome | ResultGone] = []
        self.reused = False
        self.problem: MixError | None = None

    def images(self) -> Images:
        """The bytes of the job's images, in order; None for one that the service left out.

        Raises an error of the pack if there is none, or Stopped.
        """
        try:
            images = self._claimed() or self._delivered()
            return self._completed(images) if None in images else images
        finally:
            self._let_go()

    def _stored(self) -> Images | None:
        context = self._context
        return kept_images(context.journal, context.results, self._job, context.client.endpoint, context.take)

    def _claimed(self) -> Images | None:
        """Claim the job, or give its images if another run delivers them first."""
        context, identity, first_look = self._context, self._job.identity, True
        while True:
            stored = self._stored()
            if stored is not None and None not in stored:
                self.reused = first_look
                self._tell("done", None)
                return stored
            first_look = False
            context.waiter.look()
            if context.journal.job(identity) is None:
                context.reserve(context.new_job(self._job, identity, context.pay_again))
            if context.journal.claim(identity, context.owner) is not None:
                return None
            self._tell("queued", None)
            context.waiter(WAIT_FOR_OTHERS)

    def _delivered(self) -> Images:
        """The images of the first attempt that delivers; the next attempt is paid only if the counter was raised."""
        journal, first = self._context.journal, self._job.identity
        rows = journal.attempts(first)
        for row in sorted(rows, key=lambda row: _ORDER[row.state]):
            try:
                return self._settled(row.identity)
            except (NotDelivered, UnknownOutcome, ResultGone) as error:
                self._problems.append(error)
        problem = _worst(self._problems)
        if problem is None:
            return self._settled(first)
        if not self._pays_again(rows):
            journal.not_delivered(first, self._context.pay_again)
            raise problem
        identity = attempt_identity(first, self._context.pay_again, resent=False)
        self._context.reserve(self._context.new_job(self._job, identity, self._context.pay_again))
        return self._settled(identity)

    def _pays_again(self, rows: list[Job]) -> bool:
        """Whether the counter was raised since the last run that got nothing, and all was asked once more just now."""
        asked = all(error.asked for error in self._problems)
        stops = any(isinstance(error, UnknownOutcome) and error.stops for error in self._problems)
        counter = self._context.pay_again
        seen = max(row.seen for row in rows if row.identity == row.first)
        return asked and not stops and counter > seen and counter not in {row.attempt for row in rows}

    def _settled(self, identity: str) -> Images:
        """The images of one attempt. Raises an error of the pack if it does not deliver, or Stopped."""
        attempt = Attempt(self._job, identity, self._tell)
        self._attempts.append(attempt)
        while True:
            row = self._context.journal.claim(identity, self._context.owner)
            if row is None:
                raise StoreError("The journal was changed by another program while a job ran: queue again.")
            images = stored_images(self._context.results, len(self._job.images), [row])
            if images is not None:
                attempt.leave_slot(self._context.journal)
                self._tell("done", None)
                return images
            self._context.waiter.look()
            if row.state in ("intent", "unknown"):
                again = attempt_identity(self._job.identity, row.attempt, resent=True)
                if look_up(self._context, attempt, row, row.resent or self._context.journal.job(again) is not None):
                    self._context.reserve(self._context.new_job(self._job, again, row.attempt, resent=True))
                    return self._settled(again)
                continue
            with contextlib.suppress(LostClaim):
                _STEPS[row.state](self._context, attempt, row)

    def _completed(self, images: Images) -> Images:
        """The images, with those that the service left out: asked for again for free, or made as jobs of their own if
        the counter was raised since. What came stays, whatever goes wrong with the rest."""
        context, journal = self._context, self._context.journal
        try:
            row = delivering(journal.attempts(self._job.identity))
            assert row is not None, "images came from a row that is done"
            if ask_for_the_rest(context, Attempt(self._job, row.identity, self._tell), row):
                images = self._settled(row.identity)
            for position, image in enumerate(images):
                single = alone(self._job, position, context.client.endpoint, context.take)
                if image is None and (
                    context.pay_again > max(row.attempt, row.seen) or journal.attempts(single.identity)
                ):
                    images[position] = JobRun(context, single, self._tell).images()[0]
            if None in images:
                journal.not_delivered(self._job.identity, context.pay_again)
        except MixError as error:
            self.problem = error
        self._tell("done", None)
        return images

    def _let_go(self) -> None:
        """Give claims and slots back. A slot of a job that the service works on stays until its lease expires."""
        journal, owner = self._context.journal, self._context.owner
        with contextlib.suppress(StoreError):  # what went wrong before this is the better line
            for attempt in self._attempts:
                row = journal.job(attempt.identity)
                journal.release(attempt.identity, owner)
                if attempt.has_slot and row is not None and row.state in ("intent", "accepted", "unknown"):
                    journal.slots.abandon(attempt.identity)
                elif attempt.has_slot:
                    journal.slots.free(attempt.identity)
            journal.release(self._job.identity, owner)


def _worst(
    problems: Sequence[NotDelivered | UnknownOutcome | ResultGone],
) -> NotDelivered | UnknownOutcome | ResultGone | None:
    """Of the reasons for a missing picture the one that must be seen: an unknown outcome before all else."""
    unknown = next((problem for problem in problems if isinstance(problem, UnknownOutcome)), None)
    return unknown or next(iter(problems), None)
