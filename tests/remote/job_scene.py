"""A run with one job, its rows as an earlier run left them behind, and a service that answers from lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from image_mixer.remote.endpoints import Endpoint, Timeouts
from image_mixer.remote.run.identity import attempt_identity
from image_mixer.remote.run.job import JobRun
from image_mixer.remote.run.plan import PlannedJob, plan
from image_mixer.remote.store.job_rows import FinishedJob, JobRow, State
from image_mixer.tests.remote import harness
from image_mixer.tests.remote.fakes import BASE_URL, FakeClient, Run
from image_mixer.tests.support.pictures import coloured, size_of
from image_mixer.wire.account import ListedPage
from image_mixer.wire.answers import Done, Refused

PNG = coloured((1, 2, 3)).pixels
LINK, OTHER_LINK = "https://cdn.example/1.png", "https://cdn.example/2.png"
DONE = Done(((LINK,),), id="7")
FAILED = Refused("out of memory", "job failed", id="7")
DOWN = Refused("later", "service down", status=500)
FULL = Refused("full", "queue full", status=429, not_taken=True)
REFUSED = Refused("bad key", "refused", status=401, not_taken=True)
TIMES = Timeouts(submit=5.0, job=60.0, download=30.0, queue=5.0)
ONE = Endpoint("x", BASE_URL, timeouts=TIMES)
FOUR = Endpoint("x", "https://service.example/api/v5", wire="v5", images_per_job=4, timeouts=TIMES)


class Scene(Run):
    """A run with one job, on a service that holds the picture at LINK."""

    def __init__(self, folder: Path, endpoint: Endpoint = ONE, samples: int = 1) -> None:
        super().__init__(folder, FakeClient(endpoint))
        self.client.pictures[LINK] = PNG
        (self.job,) = plan(harness.recipe(samples=samples), endpoint, 0, "", size_of)
        self.steps: list[str] = []

    def run(self, **changes: Any) -> JobRun:
        return JobRun(self.context(**changes), self.job, lambda step, eta: self.steps.append(step))

    def outcome(self, **changes: Any) -> Any:
        """The images, or the error."""
        try:
            return self.run(**changes).images()
        except Exception as error:
            return error

    def put(self, state: State, attempt: int = 0, resent: bool = False, job: PlannedJob | None = None) -> str:
        """Make a row in this state, as an earlier run left it. Return its identity."""
        earlier, job = self.context(), job or self.job
        identity, journal = attempt_identity(job.identity, attempt, resent), self.journal
        earlier.reserve(earlier.new_job(job, identity, attempt, resent))
        fields = {"seed": job.request.seed, "prompt": job.request.prompt, "init_image": ["https://u/1"]}
        if state != "planned":
            journal.intend(identity, earlier.owner, {"fields": fields, "own": ["https://u/1"]})
        if state in ("accepted", "ready", "done", "failed"):
            journal.accept(identity, self.remote_id(attempt), None, 2.0, ())
        if state in ("ready", "done"):
            links = ((LINK,),) * len(job.images)
            journal.ready(identity, FinishedJob(links, seconds=3.0, remote_id=self.remote_id(attempt)))
        if state == "done":
            files = tuple(self.results.keep(identity, n, PNG) for n in range(len(job.images)))
            journal.done(identity, files)
        if state == "failed":
            journal.fail(identity, "out of memory")
        if state == "unknown":
            journal.lose_sight(identity, "the connection broke")
        journal.claims.end_owner(earlier.owner)
        return identity

    def lose_for_good(self) -> None:
        """A job is lost, and the list shows one from before it (5) and one from after it (9), but not this one."""
        for name, job in (("before", "5"), ("", ""), ("after", "9")):
            if not name:
                self.put("unknown")
                continue
            self.put("done", job=replace(self.job, identity=name))
            self.journal._db.execute("UPDATE jobs SET remote_id = ? WHERE identity = ?", (job, name))
        self.client.list = [ListedPage(({"id": "9"}, {"id": "5"}), total=2)]

    @staticmethod
    def remote_id(attempt: int) -> str:
        return str(7 + attempt)

    def row(self, identity: str = "") -> JobRow:
        row = self.journal.job(identity or self.job.identity)
        assert row is not None
        return row
