"""What the stand-in remembers: accounts, uploads, jobs, payments, and the faults that it was told to make."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """One scripted fault at a `phase` (mix, fetch, upload, list, image), for the next `times` calls after `skip`.

    `action`: "answer" sends `status`, `body` ({id} and {base} are filled in) and `headers` instead; "reset" and "hang"
    send nothing; "cut" sends `part` of the answer; "trickle" sends one byte per `seconds`; "delay" waits first;
    "unread" resets the connection before the request is read. `path` is a part of the URLs that are meant. `taken`:
    whether the call still does its work (a mix is paid for).
    """

    phase: str
    action: str = "answer"
    status: int = 200
    body: str | bytes = ""
    headers: dict[str, str] = field(default_factory=dict)
    taken: bool = False
    times: int = 1
    skip: int = 0
    seconds: float = 1.0
    part: float = 0.5
    path: str = ""


@dataclass
class Job:
    """A paid job. Times are those of the monotonic clock, in seconds."""

    id: int
    wire: str
    key: str
    fields: dict[str, Any]
    inputs: list[bytes | str]
    weights: list[float]
    seed: int
    size: tuple[int, int]
    begun: float
    seconds: float
    eta: float

    @property
    def ready_at(self) -> float:
        """When the generation is done, in seconds."""
        return self.begun + self.seconds


@dataclass
class Manners:
    """How the stand-in behaves. Times are in seconds; `took` and `eta_factors` are used in turn.

    `unlisted` are jobs that the account's list does not show. A job of several images (every one, or those in
    `leaves_out_of`) leaves out the images in `leaves_out`, as null if `nulls`; its file names have no numbers if
    `plain_names`. `rounds_seeds`: `meta` holds seeds as doubles. `repeats`: "equal" answers an equal request with the
    earlier job, "any" answers every request with it.
    """

    took: list[float] = field(default_factory=lambda: [0.3])
    eta_factors: list[float] = field(default_factory=lambda: [1.0])
    queue_limit: int = 5
    retry_after: float = 1.0
    upload_seconds: float = 0.0
    submit_seconds: float = 0.0
    upload_lives: float = 86400.0
    links_late: float = 0.0
    links_live: float = 1e9
    at_once: bool = False
    hides_meta: bool = False
    hides_weights: bool = False
    list_late: float = 0.0
    thin_meta: bool = False
    rounds_seeds: bool = False
    unlisted: list[int] = field(default_factory=list)
    leaves_out: list[int] = field(default_factory=list)
    leaves_out_of: list[int] = field(default_factory=list)
    nulls: bool = False
    plain_names: bool = False
    inline: bool = False
    repeats: str = ""
    webhooks: int = 1


class ServiceState:
    """Everything that the stand-in remembers. `lock` guards it; `clock` is monotonic, in seconds."""

    def __init__(self, manners: Manners, clock: Callable[[], float] = time.monotonic) -> None:
        self.manners = manners
        self.clock = clock
        self.lock = threading.RLock()
        self.credits: dict[str, int] = {}
        self.jobs: dict[int, Job] = {}
        self.paid: list[int] = []
        self.uploads: dict[str, tuple[bytes, float]] = {}
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, float]] = []
        self.violations: list[str] = []
        self.webhooks: list[tuple[str, dict[str, Any]]] = []
        self.leaks: list[str] = []
        self._ids = itertools.count(1001)
        self._turn = itertools.count()

    def fault(self, phase: str, path: str = "") -> Fault | None:
        """Return the fault that is due at this call of `phase`, if any."""
        with self.lock:
            for fault in self.faults:
                if fault.phase != phase or fault.times <= 0 or fault.path not in path:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    def called(self, phase: str) -> None:
        """Count a call."""
        with self.lock:
            self.calls.append((phase, self.clock()))

    def count(self, phase: str) -> int:
        """Return how many calls of `phase` came so far."""
        with self.lock:
            return sum(name == phase for name, _ in self.calls)

    def in_flight(self, key: str) -> int:
        """Return how many jobs of an account are queued or running."""
        now = self.clock()
        return sum(job.key == key and job.ready_at > now for job in self.jobs.values())

    def keep_upload(self, data: bytes) -> str:
        """Keep an uploaded picture; return the name under which it is found until it expires."""
        with self.lock:
            name = uuid.uuid4().hex
            self.uploads[name] = (data, self.clock())
            return name

    def uploaded(self, name: str) -> bytes | None:
        """Return an uploaded picture, or None if it has expired or does not exist."""
        data, at = self.uploads.get(name, (b"", -1e18))
        return data if self.clock() - at < self.manners.upload_lives else None

    def repeated(self, fields: dict[str, Any]) -> Job | None:
        """Return the earlier job that this request is answered with, if the stand-in repeats jobs."""
        if not self.manners.repeats:
            return None
        jobs = [
            job for job in self.jobs.values() if self.manners.repeats == "any" or _core(job.fields) == _core(fields)
        ]
        return jobs[-1] if jobs else None

    def begin(
        self,
        wire: str,
        key: str,
        fields: dict[str, Any],
        inputs: list[bytes | str],
        weights: list[float],
        size: tuple[int, int],
    ) -> Job:
        """Accept a job, and its payment."""
        with self.lock:
            turn, number = next(self._turn), next(self._ids)
            seconds = self.manners.took[turn % len(self.manners.took)]
            factor = self.manners.eta_factors[turn % len(self.manners.eta_factors)]
            seed = fields.get("seed")
            seed = int(seed) if seed not in (None, "") else (number * 2654435761) % 2**32
            job = Job(number, wire, key, fields, inputs, weights, seed, size, self.clock(), seconds, seconds * factor)
            self.jobs[number] = job
            self.paid.append(number)
            self.credits[key] -= 1
            return job

    def paid_twice(self) -> int:
        """Return how many payments were for a request equal to an earlier one."""
        with self.lock:
            seen = [_core(self.jobs[number].fields) for number in self.paid]
            return len(seen) - len(set(seen))


def _core(fields: dict[str, Any]) -> str:
    return repr(sorted((name, str(value)) for name, value in fields.items() if name not in ("key", "track_id")))
