"""Every scripted fault ends in images or in one line, nothing is paid for twice, and no picture stands for another one:
seeds are random and large, and each picture is compared with the one that its seed makes."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import random
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import EngineError, MixError
from image_mixer.network.transport import Call, NotSent, Reply, RequestsTransport
from image_mixer.remote.endpoints import Timeouts
from image_mixer.remote.engine import Engine, Order
from image_mixer.remote.errors import PicturesMissing, ResultGone, StoreError, UnknownOutcome
from image_mixer.tests.remote import harness
from image_mixer.tests.remote.cases.fetch import FETCH, UPLOAD
from image_mixer.tests.remote.cases.here import HERE
from image_mixer.tests.remote.cases.pictures import IMAGE
from image_mixer.tests.remote.cases.shapes import Case
from image_mixer.tests.remote.cases.submit import SUBMIT
from image_mixer.tests.remote.cases.sweeps import SWEEPS
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.listener import Listener
from image_mixer.tests.standin.state import Fault, Manners
from image_mixer.tests.support.pictures import coloured

PACE = 20.0
"""How much faster than real time the clocks of a case run. The time limits of one exchange are in real time, so that a
busy machine does not exceed them."""

TIMES = Timeouts(connect=60.0, read=60.0, submit=60.0, call=40.0, job=50.0, download=40.0, queue=60.0)
KINDS = ((UnknownOutcome, "unknown"), (StoreError, "store"), (ResultGone, "gone"), (PicturesMissing, "missing"))
CASES = SUBMIT + FETCH + UPLOAD + IMAGE + HERE + SWEEPS


@dataclasses.dataclass
class Run:
    """How one run ended."""

    outcome: str
    line: str
    paid: int
    images: tuple[bytes | None, ...] = ()
    delivered: int = 0
    misplaced: int = 0
    unknown: int = 0


class Scene:
    """The service, folder and clock of one case. `change` makes faults that a scripted answer cannot make."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder, self.evil = case, folder, Listener()
        self.seed = random.Random(case.name).randrange(2**53, 2**63 - 100)
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
        engine = harness.engine(
            self.base,
            self.folder,
            settings,
            transport=self.transport,
            busy_seconds=0.3,
            wall=lambda: time.time() + self.ahead,
            clock=self.clock,
            sleep=self.sleep,
        )
        if self.full:

            def accept(*args: Any, **more: Any) -> None:
                raise StoreError("The journal cannot be written (database or disk is full).")

            engine.journal.accept = accept  # type: ignore[method-assign]
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
        elif what.startswith("repeats"):
            self.engine().run(self.order({}) if what == "repeats ids" else harness.order(harness.recipe(seed=1)))
            state.manners.repeats = "equal" if what == "repeats ids" else "any"
        elif what in ("wrong type", "base64"):
            state.faults.append(Fault("image", "answer", taken=True))
            image = coloured(size=(256, 256)).pixels
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
            self.lock = None
        elif what == "corrupt journal":
            journal.write_bytes(b"this is not a database, " * 400)
        elif what == "restore journal":
            shutil.move(journal, journal.with_suffix(".broken"))
        elif what in ("journal full", "journal free"):
            self.full = what == "journal full"

    def order(self, changes: dict[str, Any]) -> Order:
        seed = changes.get("seed", self.seed)
        more = {name: value for name, value in changes.items() if name != "seed"}
        recipe = harness.recipe(seed=seed, samples=self.case.samples)
        return harness.order(recipe, endpoint=self.case.endpoint, **more)

    def run(self, changes: dict[str, Any]) -> Run:
        order = self.order(changes)
        try:
            images = self.engine().run(order).images
            run = Run("placeholders" if None in images else "images", "", 0, images)
        except MixError as error:
            kind = next((name for cls, name in KINDS if isinstance(error, cls)), type(error).__name__)
            run = Run(error.cause if isinstance(error, EngineError) else kind, str(error), 0)
        run.paid = len(self.service.state.paid)
        self.look(run, order)
        return run

    def look(self, run: Run, order: Order) -> None:
        """Count what is in the journal and on the disk; compare each picture with the one that its seed makes."""
        for index, image in enumerate(run.images):
            if order.recipe.seed >= 0 and image is not None and not self.case.manners.get("inline"):
                run.misplaced += image != harness.rendered(order.recipe, index) and not self.uncertain
        file = self.folder / "journal.sqlite"
        if not file.is_file() or not file.read_bytes().startswith(b"SQLite") or self.lock is not None:
            return
        with contextlib.closing(sqlite3.connect(file)) as journal:
            rows = journal.execute("SELECT identity, state, files, request FROM jobs").fetchall()
        run.unknown = sum(state in ("unknown", "intent") for _, state, _, _ in rows)
        for identity, state, files, request in rows:
            for index, file in enumerate(json.loads(files or "[]") if state == "done" else []):
                if file is None:
                    continue
                run.delivered += 1
                seed = json.loads(request)["fields"].get("seed")
                data = (self.folder / "results" / identity[:2] / f"{identity}-{index}.image").read_bytes()
                if seed is not None and not self.case.manners.get("inline") and not self.uncertain:
                    run.misplaced += data != harness.rendered(harness.recipe(seed=seed, samples=8), index)

    @property
    def uncertain(self) -> bool:
        """Whether the service does not say which image is which."""
        return bool(self.case.manners.get("plain_names")) and not self.case.manners.get("nulls")

    def close(self) -> None:
        self.service.shutdown()
        self.service.server_close()
        self.evil.close()


def play(case: Case, folder: Path) -> tuple[Run, Run, Scene]:
    """Play a case; return both of its runs."""
    folder.mkdir()
    scene = Scene(case, folder)
    try:
        if case.before and not case.before.startswith("clock"):
            scene.change(case.before)
        first = scene.run(case.order)
        scene.service.state.faults.clear()
        if case.between:
            scene.change(case.between)
        scene.ahead += case.later
        return first, scene.run(case.order_again or case.order), scene
    finally:
        scene.close()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Play all cases at the same time: they mostly wait."""
    folder = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(40) as pool:
        yield {case.name: pool.submit(play, case, folder / str(n)) for n, case in enumerate(CASES)}


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 170 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault(case: Case, played: dict[str, Any]) -> None:
    first, again, scene = played[case.name].result(60)
    assert (first.outcome, first.paid) == (case.outcome, case.paid), first.line
    assert case.line.lower() in first.line.lower()
    assert (again.outcome, again.paid) == (case.again, case.paid_again), again.line
    others = 1 if case.before in ("expired upload", "repeats ids", "repeats an id") else 0
    for run, outcome, delivered in ((first, case.outcome, case.delivered), (again, case.again, case.delivered_again)):
        assert "\n" not in run.line and harness.KEY not in run.line
        assert run.misplaced == 0
        if outcome != "store":
            assert run.delivered - others == case.pictures(outcome, delivered)
        assert (run.outcome in ("images", "placeholders")) == (len(run.images) == case.samples)
    assert first.unknown == case.unknown_jobs
    if first.outcome == "unknown" and first.unknown:
        assert any(word in first.line for word in ("Queue again", "your account")) and "pay_again" in first.line
    if first.outcome == again.outcome == "images":
        assert first.images == again.images
    assert scene.service.state.paid_twice() == 0
    assert scene.evil.heard == 0
    assert scene.service.state.violations == [] and scene.service.state.leaks == []
    for path in scene.folder.rglob("*"):
        assert not path.is_file() or harness.KEY.encode() not in path.read_bytes()


def test_what_the_table_comes_to(played: dict[str, Any], record_property: Callable[[str, object], None]) -> None:
    """Over all cases: jobs paid, pictures delivered, pictures that stand for others, jobs of unknown outcome."""
    ended = [played[case.name].result(60) for case in CASES]
    last = [again for _, again, _ in ended]
    tally = {
        "rows": len(CASES),
        "paid": sum(run.paid for run in last),
        "delivered": sum(run.delivered for run in last),
        "unknown": sum(run.unknown for run in last),
        "misplaced": sum(run.misplaced for run in last),
        "paid_twice": sum(scene.service.state.paid_twice() for _, _, scene in ended),
    }
    for name, value in tally.items():
        record_property(name, value)
    print(tally)
    assert (tally["misplaced"], tally["paid_twice"]) == (0, 0) and tally["delivered"] > 150
