"""Every scripted fault ends in images or in one stated line, and is never paid for twice."""

from __future__ import annotations

import base64
import dataclasses
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError, MixError
from image_mixer.remote.endpoints import Timeouts
from image_mixer.remote.engine import Engine
from image_mixer.remote.errors import ResultGone, StoreError, UnknownOutcome
from image_mixer.remote.transport import Call, NotSent, Reply, RequestsTransport
from image_mixer.tests.remote import harness
from image_mixer.tests.remote.faults import CASES, Case
from image_mixer.tests.service.app import Service
from image_mixer.tests.service.listener import Listener
from image_mixer.tests.service.state import Fault, Manners

PACE = 20.0
"""How much faster than real time a case runs, the service's clock with the engine's. What one exchange may take is
measured in real time, so that a machine that is busy breaks none off."""

TIMES = Timeouts(connect=60.0, read=60.0, submit=60.0, call=40.0, job=50.0, download=40.0, queue=60.0)
KINDS = ((UnknownOutcome, "unknown"), (StoreError, "store"), (ResultGone, "gone"))


@dataclasses.dataclass
class Run:
    """What one run came to."""

    outcome: str
    line: str
    paid: int
    images: tuple[bytes, ...] = ()


class Scene:
    """One case's service, folder and clock; `change` sets and clears what no scripted answer can do."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder, self.evil = case, folder, Listener()
        self.pace = 1.0 if case.limits else PACE
        self.service = Service(manners=Manners(**({"took": [0.15]} | case.manners)))
        self.service.state.clock = self.clock
        self.service.start()
        self.base = self.service.base
        self.offline = False
        self.ahead = 0.0
        self.lock: sqlite3.Connection | None = None
        self.full = False
        for fault in case.faults:
            body = fault.body
            if isinstance(body, str):
                body = body.replace("{evil}", self.evil.base)
            headers = {name: value.replace("{evil}", self.evil.base) for name, value in fault.headers.items()}
            self.service.state.faults.append(dataclasses.replace(fault, body=body, headers=headers))

    def clock(self) -> float:
        return time.monotonic() * self.pace

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.pace)

    def engine(self) -> Engine:
        settings = harness.endpoints(self.base, timeouts=dataclasses.replace(TIMES, **self.case.limits))
        engine = harness.engine(self.base, self.folder, settings, transport=self.transport, busy_seconds=0.3,
                                wall=lambda: time.time() + self.ahead, clock=self.clock, sleep=self.sleep)
        if self.full:
            def accept(*args: Any, **more: Any) -> None:
                raise StoreError("The journal cannot be written (database or disk is full).")

            engine._journal.accept = accept  # type: ignore[method-assign]
        return engine

    def transport(self, call: Call) -> Reply:
        if self.offline:
            raise NotSent("the network or the name does not answer", offline=True)
        if self.case.before.startswith("clock") and "/fetch/" in call.url:
            self.ahead = float(self.case.before.split()[1])
        return RequestsTransport()(call)

    def change(self, what: str) -> None:
        journal, results, state = self.folder / "journal.sqlite", self.folder / "results", self.service.state
        if what == "service gone":
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.base = f"http://127.0.0.1:{free.getsockname()[1]}"
        elif what == "speak TLS":
            self.base = self.service.base.replace("http:", "https:")
        elif what in ("service back", "speak plainly"):
            self.base = self.service.base
        elif what in ("offline", "online"):
            self.offline = what == "offline"
        elif what == "hurry":
            for job in state.jobs.values():
                job.seconds = 0.0
        elif what == "expired upload":
            self.engine().run(harness.order(harness.recipe(seed=1)))
            state.uploads.clear()
            state.paid.clear()
        elif what in ("wrong type", "base64"):
            state.faults.append(Fault("image", "answer", taken=True))
            image = harness.picture(size=(256, 256)).pixels
            state.faults[-1].body = base64.b64encode(image) if what == "base64" else image
            state.faults[-1].headers["Content-Type"] = "text/html"
        elif what == "results full":
            results.write_text("a file where a folder should be")
        elif what == "results free":
            results.unlink()
        elif what == "lock journal":
            self.engine().close()
            self.lock = sqlite3.connect(journal, check_same_thread=False, isolation_level=None)
            self.lock.execute("BEGIN EXCLUSIVE")
        elif what == "unlock journal" and self.lock is not None:
            self.lock.close()
        elif what == "corrupt journal":
            journal.write_bytes(b"this is no database, " * 400)
        elif what == "restore journal":
            shutil.move(journal, journal.with_suffix(".broken"))
        elif what in ("journal full", "journal free"):
            self.full = what == "journal full"

    def run(self) -> Run:
        try:
            images = self.engine().run(harness.order(endpoint=self.case.endpoint)).images
            return Run("images", "", len(self.service.state.paid), images)
        except MixError as error:
            kind = next((name for cls, name in KINDS if isinstance(error, cls)), type(error).__name__)
            outcome = error.cause if isinstance(error, EngineError) else kind
            return Run(outcome, str(error), len(self.service.state.paid))

    def close(self) -> None:
        self.service.shutdown()
        self.service.server_close()
        self.evil.close()


def play(case: Case, folder: Path) -> tuple[Run, Run, Scene]:
    """Both runs of a case."""
    folder.mkdir()
    scene = Scene(case, folder)
    try:
        if case.before and not case.before.startswith("clock"):
            scene.change(case.before)
        first = scene.run()
        scene.service.state.faults.clear()
        if case.between:
            scene.change(case.between)
        return first, scene.run(), scene
    finally:
        scene.close()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """All cases, side by side: nearly all of their time is waiting."""
    folder = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(40) as pool:
        yield {case.name: pool.submit(play, case, folder / str(n)) for n, case in enumerate(CASES)}


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 60 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault(case: Case, played: dict[str, Any]) -> None:
    first, again, scene = played[case.name].result(60)
    assert (first.outcome, first.paid) == (case.outcome, case.paid), first.line
    assert case.line.lower() in first.line.lower()
    assert (again.outcome, again.paid) == (case.again, case.paid_again), again.line
    for run in (first, again):
        assert "\n" not in run.line and harness.KEY not in run.line
        assert (run.outcome == "images") == (len(run.images) == 1)
    if first.images and again.images:
        assert first.images == again.images
    assert scene.service.state.paid_twice() == 0
    assert scene.evil.heard == 0
    assert scene.service.state.violations == [] and scene.service.state.leaks == []
    for path in scene.folder.rglob("*"):
        assert not path.is_file() or harness.KEY.encode() not in path.read_bytes()
