"""What all jobs of one run share, and what one attempt at a job carries along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..client import Client
from ..store.caps import Caps
from ..store.job_rows import NewJob
from ..store.journal import Journal
from ..store.results import Results
from ..timing import Backoff, Waiter
from .circuit_breaker import CircuitBreaker
from .plan import PlannedJob
from .uploads import Uploads

ShowStep = Callable[[str, float | None], None]
"""Called with each step of a job (queued, uploading, sending, generating, downloading, checking, done) and its eta in
seconds, if known."""


@dataclass(frozen=True)
class RunContext:
    """What all jobs of one run share.

    `waiter` raises Stopped when the run is over; `check_may_send` also raises it if no new job may be sent. `wall`
    returns the time of day in seconds. `owner` is the run's name in the journal, `run` what the cap per run counts for.
    `pay_again` is the counter at which failed and unknown jobs are paid for again.
    """

    client: Client
    uploads: Uploads
    journal: Journal
    results: Results
    waiter: Waiter
    check_may_send: Callable[[], None]
    backoff: Backoff
    wall: Callable[[], float]
    owner: str
    run: str
    caps: Caps
    take: int
    pay_again: int = 0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)

    @property
    def name(self) -> str:
        """The endpoint's name, for messages."""
        return self.client.endpoint.name

    def pause_before_send(self, seconds: float) -> None:
        """Wait. Raise Stopped as soon as no new job may be sent."""
        self.check_may_send()
        self.waiter(seconds)

    def new_job(self, job: PlannedJob, identity: str, attempt: int, resent: bool = False) -> NewJob:
        """Return the row to reserve for an attempt at `job`."""
        endpoint = self.client.endpoint
        return NewJob(
            identity=identity,
            account=endpoint.account,
            base_url=endpoint.base_url,
            take=self.take,
            endpoint=endpoint.name,
            wanted=len(job.images),
            first=job.identity,
            attempt=attempt,
            resent=resent,
        )

    def reserve(self, new: NewJob) -> None:
        """Reserve an attempt. Raise EngineError "cap reached"."""
        self.journal.reserve([new], self.run, self.caps, self.owner)


@dataclass
class Attempt:
    """One attempt at `job`, with an `identity` of its own.

    `sent_at` is when this run sent it (monotonic clock, seconds); `has_slot` is whether this run took its slot.
    `asked_again` is whether this run saw it fail or has asked for it once more: then it is not asked for again at once.
    `stops` is whether it was the second submit in a row without a clear answer.
    """

    job: PlannedJob
    identity: str
    show_step: ShowStep
    sent_at: float | None = None
    has_slot: bool = False
    asked_again: bool = False
    stops: bool = False

    def free_slot(self, journal: Journal) -> None:
        """Give the slot back, even if an earlier run took it."""
        journal.slots.free(self.identity)
        self.has_slot = False
