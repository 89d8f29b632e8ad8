"""How a case of the table of faults is written: what goes wrong, and what must come of it. test_faults.py runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from image_mixer.tests.standin.state import Fault

ALWAYS = 1000
PNG = b"\x89PNG\r\n\x1a\n"
HTML = "<!doctype html><html><body>502</body></html>"
GIGANTIC = b"[" + b"0," * 3_000_000 + b"0]"
LINK = "{base}/images/{id}-0.png"


@dataclass(frozen=True)
class Case:
    """One case: a run with the faults, and a second run without them.

    `outcome` and `again` are how the two runs end: "images", "placeholders", an EngineError's cause, "unknown", "store",
    "gone", or "missing" if some pictures came. `line` is a part of the first run's message.
    `paid` and `paid_again` count the jobs paid so far after each run; `delivered` and `delivered_again` the pictures on
    disk (by default all of `samples` if the run ends in images, else none); `unknown` the jobs of unknown outcome.
    `before` and `between` change the scene before the first and the second run (see `test_faults.Scene`). `limits` are
    time limits that must expire: with any, the case runs in real time. `order` and `order_again` change the orders;
    `later` is by how many seconds the time of day moves between the runs.
    """

    name: str
    faults: tuple[Fault, ...]
    outcome: str
    line: str = ""
    paid: int = 1
    again: str = "images"
    paid_again: int = 1
    endpoint: str = "v6"
    manners: dict[str, Any] = field(default_factory=dict)
    before: str = ""
    between: str = ""
    limits: dict[str, float] = field(default_factory=dict)
    samples: int = 1
    delivered: int | None = None
    delivered_again: int | None = None
    unknown: int | None = None
    order: dict[str, Any] = field(default_factory=dict)
    order_again: dict[str, Any] = field(default_factory=dict)
    later: float = 0.0

    def pictures(self, outcome: str, stated: int | None) -> int:
        """Return how many pictures are on disk after a run."""
        if stated is not None:
            return stated
        return self.samples if outcome == "images" else 0

    @property
    def unknown_jobs(self) -> int:
        """How many jobs are of unknown outcome after the first run."""
        return self.unknown if self.unknown is not None else int(self.outcome == "unknown")


def answer(phase: str, body: Any, status: int = 200, **more: Any) -> Fault:
    """Return a scripted answer; `body` may be fields, text or bytes."""
    return Fault(phase, "answer", status, body if isinstance(body, (str, bytes)) else json.dumps(body), **more)


def error(phase: str, status: int = 200, message: Any = "no", times: int = ALWAYS, **fields: Any) -> Fault:
    """Return an error in the service's own form."""
    how = {name: fields.pop(name) for name in ("taken", "skip", "path") if name in fields}
    return answer(phase, {"status": "error", "message": message, **fields}, status, times=times, **how)


def pending(**fields: Any) -> Fault:
    """Return the answer to a job that is accepted, with odd `fields`."""
    return answer("mix", {"status": "processing", "id": "{id}", "eta": 1, "output": [], **fields}, taken=True)


def success(**fields: Any) -> Fault:
    """Return the answer to a job that is accepted and done at once."""
    return answer("mix", {"status": "success", "id": "{id}", **fields}, taken=True)


FREE: Callable[..., Case] = lambda *args, **more: Case(*args, **({"paid": 0} | more))  # noqa: E731
