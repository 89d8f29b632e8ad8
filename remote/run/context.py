"""What the jobs of one run share, and what one attempt at a job carries along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..client import Client
from ..store.journal import Journal
from ..store.results import Results
from ..store.rows import Caps, NewJob
from ..timing import Backoff, Waiter
from .gate import SubmitGate
from .plan import PlannedJob
from .uploads import Uploads

Tell = Callable[[str, float | None], None]
"""Hears a job's step (queued, uploading, sending, generating, downloading, checking, done) and its eta in seconds."""


@dataclass(frozen=True)
class RunContext:
    """What the jobs of one run share.

    `waiter` stops with the run; `begin` also raises Stopped if no new job may be sent. `pay_again` is the counter at
    which failed and unknown jobs are paid for again.
    """

    client: Client
    uploads: Uploads
    journal: Journal
    results: Results
    waiter: Waiter
    begin: Callable[[], None]
    backoff: Backoff
    wall: Callable[[], float]
    owner: str
    run: str
    caps: Caps
    take: int
    pay_again: int = 0
    gate: SubmitGate = field(default_factory=SubmitGate)

    @property
    def name(self) -> str:
        """The endpoint's name, for messages."""
        return self.client.endpoint.name

    def pause_if_begun(self, seconds: float) -> None:
        """Wait; raise Stopped as soon as no new job may be sent."""
        self.begin()
        self.waiter(seconds)

    def new_job(self, job: PlannedJob, identity: str, attempt: int, resent: bool = False) -> NewJob:
        """How an attempt at `job` is reserved."""
        endpoint = self.client.endpoint
        return NewJob(
            identity,
            endpoint.account,
            endpoint.base_url,
            self.take,
            endpoint.name,
            len(job.images),
            job.identity,
            attempt,
            resent,
        )

    def reserve(self, new: NewJob) -> None:
        """Reserve an attempt. Raises EngineError "cap reached"."""
        self.journal.reserve([new], self.run, self.caps, self.owner)


@dataclass
class Attempt:
    """One attempt at `job`, under an `identity` of its own.

    `sent_at` is when this run sent it (monotonic, in seconds), `has_slot` whether this run took its slot,
    `failed_here` whether this run saw it fail, so that it need not be asked for again at once, and `stops` whether it
    was the second submit in a row without a clear answer.
    """

    job: PlannedJob
    identity: str
    tell: Tell
    sent_at: float | None = None
    has_slot: bool = False
    failed_here: bool = False
    stops: bool = False

    def leave_slot(self, journal: Journal) -> None:
        """Give the slot back, also one that a run before this one took."""
        journal.slots.free(self.identity)
        self.has_slot = False
