"""`test --live` against the stand-in: what it finds, what it says first, and that it pays for no more than it said."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_mixer.network.transport import Call, Reply, RequestsTransport
from image_mixer.remote.endpoints import MODELSLAB, STABLE_DIFFUSION_API, Settings
from image_mixer.remote.store.caps import Caps
from image_mixer.remote.store.job_rows import NewJob
from image_mixer.remote.store.journal import Journal
from image_mixer.tests.standin import real
from image_mixer.tests.standin.app import DEMO_KEY, Service
from image_mixer.tests.standin.state import Fault, Manners, ServiceState
from image_mixer.tools.comfy_tool.commands import live
from image_mixer.tools.comfy_tool.main import main

PACE = 20.0
"""So many times faster than by the clock does the time of a test go by."""

STAND_IN = {
    "v6 heeds weights": "yes",
    "v5 takes jobs": "yes",
    "an equal request gets the same id": "no",
    "an equal request gets the same picture": "yes",
    "meta repeats the prompt": "yes",
    "meta repeats init_image": "yes",
    "meta repeats the seed": "yes",
    "meta repeats the seed 2**53 - 1": "yes",
    "meta repeats the seed 2**62 + 1": "yes",
    "a fragment on an address is taken": "yes",
    "a fragment on an address is repeated": "yes",
    "the list heeds per_page": "yes",
    "the list heeds page": "yes",
    "the list has 10 rows unless asked": "not seen",
    "the list tells its pages": "yes",
    "the list is newest first": "yes",
    "the list tells meta": "no",
    "a finished job is in the list within 60 s": "yes",
    "a submit without a clear answer is paid for": "not seen",
}
"""What is true of the stand-in."""


class Live:
    """The stand-in, and the check run on it."""

    def __init__(self, folder: Path, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.service = service
        self.state: ServiceState = service.state
        self._capsys = capsys
        self.said = ""

    def __call__(self, transport: Callable[[Call], Reply] | None = None, code: int = 0) -> dict[str, str]:
        """Runs the check; gives its findings."""
        profiles = (
            dataclasses.replace(MODELSLAB, base_url=f"{self.service.base}/api/v6"),
            dataclasses.replace(STABLE_DIFFUSION_API, base_url=f"{self.service.base}/api/v5"),
        )
        settings = Settings({one.name: one for one in profiles})
        assert (
            real.main(
                self.folder,
                settings,
                transport,
                5.0,
                lambda: time.monotonic() * PACE,
                lambda seconds: time.sleep(seconds / PACE),
            )
            == code
        )
        self.said = self._capsys.readouterr().out
        found: dict[str, str] = json.loads(self.said.splitlines()[-1])
        assert set(found.values()) <= {"yes", "no", "not seen"} and DEMO_KEY not in self.said
        return found


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv(live.KEY, DEMO_KEY)
    with Service(manners=Manners(took=[0.02], queue_limit=20)).start() as service:
        yield Live(tmp_path, service, capsys)
        service.shutdown()


def test_what_is_true_of_the_stand_in_and_nothing_is_paid_again(check: Live) -> None:
    assert check() == STAND_IN
    assert len(check.state.paid) == live.JOBS and not check.state.violations and not check.state.leaks
    assert sorted(path.stem for path in check.folder.glob("*.image")) == sorted(real.ASKED)
    again = check()
    assert len(check.state.paid) == live.JOBS
    assert again == STAND_IN | {"a finished job is in the list within 60 s": "not seen"}


class Contrary:
    """A service that does the opposite wherever it may: it answers from a cache, rewrites what it repeats, gives one page
    for ever, oldest first, refuses fragments, and does not heed weights."""

    def __init__(self) -> None:
        self._send = RequestsTransport()
        self._cache: dict[str, Reply] = {}

    def __call__(self, call: Call) -> Reply:
        if "/api/" not in call.url:
            return self._send(call)
        fields = json.loads(call.body or b"{}")
        if "assets_generated" in call.url:
            fields = {name: fields[name] for name in ("key", "type")}
        mixes = "/v6/" in call.url and "img_mixer" in call.url
        if mixes:
            if any("#" in url for url in fields["init_image"]):
                return Reply(400, {}, b'{"status": "error", "message": {"init_image": ["is not an address"]}}')
            fields.pop("init_image_weights")
        asked = str(call.body)
        if mixes and asked in self._cache:
            return self._cache[asked]
        reply = self._send(dataclasses.replace(call, body=json.dumps(fields).encode()))
        answer = json.loads(reply.body)
        if "meta" in answer:
            answer["meta"] |= {
                "prompt": answer["meta"]["prompt"].upper(),
                "seed": float(answer["meta"]["seed"]),
                "init_image": [f"{url}?copy" for url in answer["meta"]["init_image"]],
            }
        if "data" in answer:
            answer["data"].reverse()
            del answer["pagination"]
        changed = Reply(reply.status, reply.headers, json.dumps(answer).encode())
        if mixes:
            self._cache[asked] = changed
        return changed


def test_a_service_that_does_the_opposite(check: Live) -> None:
    found = check(Contrary(), code=1)
    assert found == STAND_IN | {
        "v6 heeds weights": "no",
        "an equal request gets the same id": "yes",
        "meta repeats the prompt": "no",
        "meta repeats init_image": "no",
        "meta repeats the seed 2**62 + 1": "no",
        "a fragment on an address is taken": "no",
        "a fragment on an address is repeated": "not seen",
        "the list heeds per_page": "no",
        "the list heeds page": "no",
        "the list tells its pages": "no",
        "the list is newest first": "no",
    }
    assert "marked: modelslab v6, marked does not accept the job: init_image: is not an address" in check.said


@pytest.mark.parametrize(("taken", "skip", "finding"), [(True, 1, "yes"), (False, 1, "no"), (False, 6, "not seen")])
def test_a_submit_that_gets_no_clear_answer(check: Live, taken: bool, skip: int, finding: str) -> None:
    """Skipped are so many submits, of which the third is v5's: the last one of v6 has no later job to compare with."""
    check.state.faults.append(Fault("mix", "answer", 500, '{"status": "error"}', taken=taken, skip=skip))
    found = check(code=int(not taken))
    assert found["a submit without a clear answer is paid for"] == finding
    assert len(check.state.paid) == live.JOBS - (not taken)
    assert "Calls without a clear answer: submit: HTTP 500" in check.said
    assert f"The account's list has {len(check.state.paid)} jobs, and had 0 before" in check.said


def test_meta_that_is_not_told_is_not_seen(check: Live) -> None:
    check.state.manners.hides_meta = check.state.manners.at_once = True
    found = check()
    assert {name: finding for name, finding in found.items() if "repeat" in name} == {
        name: "not seen" for name in STAND_IN if "repeat" in name
    }


def test_a_slow_list_is_not_taken_for_a_quick_one(check: Live) -> None:
    check.state.manners.list_late = 1e6
    found = check()
    assert found["a finished job is in the list within 60 s"] == "no"
    assert found["the list is newest first"] == "not seen"


def test_it_pays_for_no_more_than_it_said_in_all_runs_together(check: Live) -> None:
    journal = Journal(check.folder / "journal.sqlite", time.time)
    owner = journal.claims.new_owner()
    for name in "abcde":
        journal.reserve([NewJob(name, "an account", "https://a.example")], real.RUN, Caps(9, 9), owner)
        journal.intend(name, owner, {})
    journal.close()
    check(code=1)
    assert len(check.state.paid) == live.JOBS - 5
    assert f"{live.JOBS} of at most {live.JOBS} in this run are used" in check.said


def test_the_cost_comes_first_by_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--live"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"This makes at most {len(real.ASKED)} paid jobs: 6 at modelslab.com (v6) and 1 at ")
    paid = [line.split()[0] for line in lines if "paid job" in line and line.startswith("  ")]
    assert [0 if word == "no" else int(word) for word in paid] == [question.jobs for question in live.QUESTIONS]
    assert sum(question.jobs for question in live.QUESTIONS) == live.JOBS == len(real.ASKED)
    assert lines[-1] == "error: nothing was sent: add --yes to pay for it"
