"""Faults in a run of several jobs: the others go on, unless every job would meet the same error."""

from __future__ import annotations

from typing import Any

from image_mixer.tests.remote.cases.shapes import Case, answer, error
from image_mixer.tests.standin.state import Fault

FOUR: dict[str, Any] = {"samples": 4, "outcome": "missing", "paid": 4, "delivered": 3, "paid_again": 4}
PLACES: dict[str, Any] = {"order": {"when_missing": "placeholder"}, "order_again": {"when_missing": "placeholder"}}
FAILED = {"status": "failed", "id": "{id}", "message": "odd"}
ONE_FAILS = (answer("mix", FAILED, taken=True, skip=1), answer("fetch", FAILED, times=1000, path="/fetch/1002"))


def four(name: str, *faults: Fault, **more: Any) -> Case:
    """Return a case of four samples of which one does not come in the first run."""
    return Case(name, faults, **(FOUR | more))


SWEEPS = (
    four("one of four refused", error("mix", 400, "odd picture", 1), paid=3, line="1 of 4 pictures are missing"),
    four("one of four refused, shown", error("mix", 400, "odd picture", 1), paid=3, outcome="placeholders", **PLACES),
    four("one of four failed", *ONE_FAILS, line="3 are kept"),
    four("one of four failed, shown", *ONE_FAILS, outcome="placeholders", **PLACES),
    four(
        "one of four lost",
        Fault("mix", "reset", skip=1),
        paid=3,
        unknown=1,
        again="missing",
        paid_again=3,
        delivered_again=3,
        line="unknown",
    ),
    four(
        "one of four lost, shown",
        Fault("mix", "reset"),
        paid=3,
        unknown=1,
        again="placeholders",
        paid_again=3,
        delivered_again=3,
        outcome="placeholders",
        **PLACES,
    ),
    four("one of four never downloads", answer("image", "", 404, times=1000, path="/images/1002-"), line="paid for"),
    four(
        "the key is revoked after two",
        error("mix", 401, "Invalid API Key", skip=2),
        paid=2,
        delivered=2,
        line="Settings › Image Mixer",
    ),
    four(
        "credits end after three",
        error("mix", 402, "Insufficient credits", skip=3),
        paid=3,
        delivered=3,
        line="credits",
    ),
    four("all refused", error("mix", 400, "bad prompt"), outcome="job failed", paid=0, delivered=0),
    four("all refused, shown", error("mix", 400, "bad prompt"), outcome="placeholders", paid=0, delivered=0, **PLACES),
    four("no key left, shown", error("mix", 401, "Invalid API Key"), outcome="refused", paid=0, delivered=0, **PLACES),
    Case("four at once, all come", (), "images", endpoint="four", samples=4),
    Case(
        "four at once, the third left out",
        (),
        "missing",
        "3 of the 4 images",
        endpoint="four",
        samples=4,
        delivered=3,
        again="missing",
        delivered_again=3,
        manners={"leaves_out": [2]},
    ),
    Case(
        "four at once, one left out, not said which",
        (),
        "missing",
        "3 of the 4 images",
        endpoint="four",
        samples=4,
        delivered=3,
        again="missing",
        delivered_again=3,
        manners={"leaves_out": [1], "plain_names": True},
    ),
    Case(
        "four at once, the second null",
        (),
        "missing",
        "3 of the 4 images",
        endpoint="four",
        samples=4,
        delivered=3,
        again="missing",
        delivered_again=3,
        manners={"leaves_out": [1], "nulls": True, "plain_names": True},
    ),
    Case(
        "four at once, one left out, bought alone",
        (),
        "missing",
        "pay_again",
        endpoint="four",
        samples=4,
        delivered=3,
        manners={"leaves_out": [2]},
        order_again={"pay_again": 1},
        paid_again=2,
    ),
    Case("an id of before, for an equal request", (), "images", before="repeats ids", order={"take": 1}),
    Case(
        "an id of before, for another request",
        (),
        "unknown",
        "another job of yours",
        before="repeats an id",
        again="unknown",
        paid=1,
    ),
)
