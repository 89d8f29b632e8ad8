"""What a run is given in tests of its parts: a client without a network, and a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from image_mixer.mixing.errors import EngineError
from image_mixer.network.transport import NotSent
from image_mixer.remote import errors
from image_mixer.remote.client import Client, Missed
from image_mixer.remote.endpoints import Endpoint
from image_mixer.remote.run.context import RunContext
from image_mixer.remote.run.uploads import Uploads
from image_mixer.remote.store.caps import Caps
from image_mixer.remote.store.journal import Journal
from image_mixer.remote.store.results import Results
from image_mixer.remote.timing import Backoff, Waiter
from image_mixer.tests.remote import harness
from image_mixer.wire.answers import Answer, ListedPage, Unclear

BASE_URL = "https://service.example/api/v6"


class Time:
    """A clock; sleeping moves it."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeClient:
    """A client that answers from lists, the last entry of each for ever, and notes every call in `calls`."""

    def __init__(self, endpoint: Endpoint | None = None, has_list: bool = True) -> None:
        self.endpoint = endpoint or Endpoint("x", BASE_URL)
        self.has_list = has_list
        self.calls: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.submits: list[Answer | NotSent] = []
        self.fetches: dict[str, list[Answer]] = {}
        self.list: list[ListedPage | None] = [None]
        self.pictures: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.on_upload: Callable[[], None] = lambda: None

    def submit(self, fields: dict[str, Any]) -> Answer:
        self.calls.append("submit")
        self.sent.append(fields)
        answer = _next(self.submits)
        if isinstance(answer, NotSent):
            raise answer
        return answer

    def fetch(self, job: str, fetch_url: str | None) -> Answer:
        self.calls.append(f"fetch {job}")
        return _next(self.fetches[job]) if job in self.fetches else Unclear("no such job")

    def listed(self, page: int) -> ListedPage | None:
        self.calls.append("list")
        return _next(self.list)

    def download(self, url: str) -> bytes | Missed:
        self.calls.append(f"download {url}")
        return self.pictures.get(url, Missed("it never works", barred=True))

    def upload(self, data_uri: str, pause: object, backoff: object) -> str:
        self.calls.append("upload")
        self.on_upload()
        self.uploads.append(data_uri)
        return f"https://service.example/up/{len(self.uploads)}.png"

    def own_id(self, fetch_url: str | None) -> str | None:
        return None

    def error(self, what: str, reason: str, cause: str) -> EngineError:
        return EngineError(f"{self.endpoint.name} {what}: {reason}", cause)

    def unreachable(self, what: str, error: NotSent) -> EngineError:
        return errors.Unreachable(f"{self.endpoint.name} {what}: {error}", errors.OFFLINE)


class Run:
    """The parts of one run on `folder`: journal, results, client and time."""

    def __init__(self, folder: Path, client: FakeClient | None = None, time: Time | None = None) -> None:
        self.time, self.client = time or Time(), client or FakeClient()
        self.journal = Journal(folder / "journal.sqlite", self.time.clock, 1.0, self.time.clock)
        self.results = Results(folder / "results", 10**9)

    def context(self, **changes: Any) -> RunContext:
        """The context of a new run; `changes` are fields of it."""
        client = cast(Client, self.client)
        backoff = Backoff(self.time.clock, lambda: 0.5)
        parts: dict[str, Any] = {
            "client": client,
            "uploads": Uploads(client, self.journal, harness.encode, backoff),
            "journal": self.journal,
            "results": self.results,
            "waiter": Waiter(self.time.clock, self.time.sleep, lambda: False),
            "check_may_send": lambda: None,
            "backoff": backoff,
            "wall": self.time.clock,
            "owner": self.journal.claims.new_owner(),
            "run": "run",
            "caps": Caps(100, 100),
            "take": 0,
        }
        return RunContext(**parts | changes)


def _next(answers: list[Any]) -> Any:
    return answers.pop(0) if len(answers) > 1 else answers[0]
