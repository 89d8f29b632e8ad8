"""Faults of fetches and uploads, which may be repeated for free."""

from __future__ import annotations

from image_mixer.tests.remote.cases.shapes import ALWAYS, FREE, GIGANTIC, HTML, Case, answer, error, pending
from image_mixer.tests.standin.state import Fault

FAILED = {"status": "failed", "message": "out of memory"}

FETCH = (
    Case("fetch 500 twice", (error("fetch", 500, times=2),), "images"),
    Case("fetch 500 eight times", (error("fetch", 500, times=8),), "images"),
    Case("fetch 429", (error("fetch", 429, times=1, retry_after=0.3),), "images"),
    Case(
        "fetch bare Try Again",
        (answer("fetch", {"status": "processing", "message": "Try Again", "output": ""}, times=2),),
        "images",
    ),
    Case("fetch reset", (Fault("fetch", "reset", times=2),), "images"),
    Case("fetch hang", (Fault("fetch", "hang", seconds=6),), "images", limits={"call": 3.0}),
    Case("fetch trickle", (Fault("fetch", "trickle", seconds=0.3),), "images", limits={"call": 3.0}),
    Case("fetch cut", (Fault("fetch", "cut", times=2),), "images"),
    Case("fetch page", (answer("fetch", HTML, times=2),), "images"),
    Case("fetch truncated", (answer("fetch", '{"status":', times=2),), "images"),
    Case("fetch gigantic", (answer("fetch", GIGANTIC),), "images"),
    Case("fetch redirect", (answer("fetch", "", 302, headers={"Location": "{evil}"}),), "images"),
    Case("fetch not found once", (error("fetch", 404, times=2, code="not_found"),), "images"),
    Case("fetch 401", (error("fetch", 401, "Invalid API Key"),), "refused", "to collect the job"),
    Case("two generic errors", (error("fetch", message="something went wrong", times=2),), "images"),
    Case("three generic errors", (error("fetch", message="something went wrong", times=3),), "images"),
    Case("said to have failed twice", (answer("fetch", FAILED, times=2),), "images"),
    Case("vanished id, link lives", (error("fetch", 404, code="not_found"),), "images"),
    Case(
        "vanished id for a while",
        (pending(), error("fetch", 404, "No such request", code="not_found")),
        "job failed",
        "raise pay_again",
    ),
    Case(
        "failed while made, then done",
        (pending(), answer("fetch", FAILED, times=ALWAYS)),
        "job failed",
        "out of memory",
    ),
    Case("never ready", (), "service down", "still running there", manners={"took": [1e6]}, between="hurry"),
    Case(
        "deep JSON for ever",
        (pending(), answer("fetch", "[" * 100_000, times=ALWAYS)),
        "service down",
        "still running there",
    ),
    Case(
        "an id of 5,000 digits", (answer("fetch", '{"status":"success","id":' + "9" * 5000 + "}", times=2),), "images"
    ),
)

UPLOAD = (
    Case("upload 500 once", (error("upload", 500, times=1),), "images"),
    Case("upload reset", (Fault("upload", "reset", times=1),), "images"),
    Case("upload hang", (Fault("upload", "hang", seconds=6),), "images", limits={"call": 3.0}),
    Case("upload 404", (answer("upload", HTML, 404),), "images"),
    FREE("upload 401", (error("upload", 401),), "refused", "refuses the upload"),
    FREE(
        "upload too large",
        (error("upload", 400, "larger than 5 MB"),),
        "job failed",
        "refuses a picture: larger than 5 MB",
    ),
    FREE("upload page for ever", (answer("upload", HTML, times=ALWAYS),), "service down"),
    FREE(
        "upload without address", (answer("upload", {"status": "success", "output": []}, times=ALWAYS),), "service down"
    ),
    FREE(
        "upload to a file",
        (answer("upload", {"status": "success", "output": ["file:///a.png"]}, times=ALWAYS),),
        "service down",
    ),
    Case("expired upload", (), "images", before="expired upload"),
)
