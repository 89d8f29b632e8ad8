"""The table of scripted faults: what goes wrong, and what must come of it. test_faults.py runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from image_mixer.tests.service.state import Fault

ALWAYS = 1000
PNG = b"\x89PNG\r\n\x1a\n"
BOMB = PNG + b"\x00\x00\x00\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00" + bytes(32)
HTML = "<!doctype html><html><body>502</body></html>"
GIGANTIC = b"[" + b"0," * 3_000_000 + b"0]"


@dataclass(frozen=True)
class Case:
    """`outcome` of the first run and `again` of a second one without the faults: "images", an EngineError's cause, or
    "unknown", "store", "gone". `line` is a part of the first run's message; `paid` jobs after each run.

    `before` and `between` change the scene (see test_faults.Scene) ahead of the first and of the second run. `limits`
    are the time limits that must run out while an answer is awaited: with any, the case runs in real time.
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


def answer(phase: str, body: Any, status: int = 200, **more: Any) -> Fault:
    """A scripted answer; `body` may be fields, text or bytes."""
    return Fault(phase, "answer", status, body if isinstance(body, (str, bytes)) else json.dumps(body), **more)


def error(phase: str, status: int = 200, message: Any = "no", times: int = ALWAYS, **fields: Any) -> Fault:
    """The service's own error."""
    return answer(phase, {"status": "error", "message": message, **fields}, status, times=times)


def pending(**fields: Any) -> Fault:
    """A job that is taken, announced in an odd way."""
    return answer("mix", {"status": "processing", "id": "{id}", "eta": 1, "output": [], **fields}, taken=True)


def success(**fields: Any) -> Fault:
    """A job that is taken and done at once."""
    return answer("mix", {"status": "success", "id": "{id}", **fields}, taken=True)


LINK = "{base}/images/{id}-0.png"
FREE: Callable[..., Case] = lambda *args, **more: Case(*args, **({"paid": 0} | more))  # noqa: E731

SUBMIT = (
    FREE("400 bad parameter", (error("mix", 400, "bad prompt"),), "job failed", "bad prompt"),
    FREE("401 wrong key", (error("mix", 401, "Invalid API Key demo-key-0000"),), "refused", "Check the key"),
    FREE("402 no credits", (error("mix", 402, "no credits"),), "refused", "no credits"),
    FREE("403 not in the plan", (error("mix", 403, "not in your plan"),), "refused", "plan"),
    FREE("403 page", (answer("mix", HTML, 403, times=ALWAYS),), "refused", "HTTP 403"),
    FREE("404 page", (answer("mix", HTML, 404, times=ALWAYS),), "service down", "HTTP 404"),
    Case("429 once", (error("mix", 429, "queue full", 1, retry_after=0.2),), "images"),
    Case("429 once, header only", (answer("mix", "", 429, headers={"Retry-After": "0.2"}),), "images"),
    FREE("429 for ever", (error("mix", 429, "queue full"),), "queue full", "jobs_in_flight"),
    FREE("429 for an hour", (error("mix", 429, "queue full", 1, retry_after=3600),), "queue full"),
    Case("500 once", (error("mix", 500, "oops", 1),), "images"),
    FREE("500 for ever", (error("mix", 500, "oops"),), "service down", "Try again later"),
    Case("503 once", (error("mix", 503, "later", 1),), "images"),
    FREE("503 for ever", (error("mix", 503, "later"),), "service down"),
    FREE("302 elsewhere", (answer("mix", "", 302, headers={"Location": "{evil}"}, times=ALWAYS),), "service down"),
    FREE("307 elsewhere", (answer("mix", "", 307, headers={"Location": "{evil}"}, times=ALWAYS),), "service down"),
    FREE("error with 200", (error("mix", message="nope"),), "job failed", "nope"),
    FREE("messege", (answer("mix", {"status": "error", "messege": {"seed": ["is odd"]}}, times=ALWAYS),), "job failed",
         "seed: is odd"),
    Case("code rate_limited", (error("mix", times=1, code="rate_limited"),), "images"),
    FREE("code invalid_api_key", (error("mix", code="invalid_api_key"),), "refused"),
    FREE("code insufficient_balance", (error("mix", code="insufficient_balance"),), "refused"),
    FREE("code no_subscription", (error("mix", code="no_subscription"),), "refused"),
    FREE("code forbidden", (error("mix", code="forbidden"),), "refused"),
    FREE("code not_found", (error("mix", code="not_found"),), "job failed"),
    FREE("code validation_error", (error("mix", code="validation_error"),), "job failed"),
    FREE("code upstream_unavailable", (error("mix", code="upstream_unavailable"),), "service down"),
    FREE("code provider_error", (error("mix", code="provider_error"),), "service down"),
    FREE("failed without id", (answer("mix", {"status": "failed", "message": "x"}, times=ALWAYS),), "job failed"),
    Case("failed with id", (answer("mix", {"status": "failed", "id": "{id}", "message": "x"}, taken=True),),
         "job failed", "raise take", again="job failed"),
    FREE("500 page, not taken", (answer("mix", HTML, 500),), "unknown", "may be paid", again="unknown", paid_again=0),
    Case("500 page, taken", (answer("mix", HTML, 500, taken=True),), "images"),
    Case("502 page, taken, v5", (answer("mix", HTML, 502, taken=True),), "unknown", "no list", again="unknown",
         endpoint="v5"),
    FREE("503 page, not taken", (answer("mix", HTML, 503),), "unknown", "shows nothing", again="unknown", paid_again=0),
    FREE("reset unread", (Fault("unread:mix"),), "unknown", "take", again="unknown", paid_again=0),
    Case("reset, taken", (Fault("mix", "reset", taken=True),), "images"),
    FREE("reset, not taken", (Fault("mix", "reset"),), "unknown", again="unknown", paid_again=0),
    Case("no answer, taken", (Fault("mix", "hang", taken=True, seconds=6),), "images", limits={"submit": 3.0}),
    FREE("no answer, not taken", (Fault("mix", "hang", seconds=6),), "unknown", again="unknown", paid_again=0,
         limits={"submit": 3.0}),
    Case("cut", (Fault("mix", "cut"),), "images"),
    Case("cut in the first byte, v5", (Fault("mix", "cut", part=0.0),), "unknown", again="unknown", endpoint="v5"),
    Case("slow trickle", (Fault("mix", "trickle", seconds=0.1),), "images", limits={"submit": 3.0}),
    Case("truncated JSON", (answer("mix", '{"status":"process', taken=True),), "images"),
    Case("a page", (answer("mix", HTML, taken=True),), "images"),
    Case("gigantic answer", (answer("mix", GIGANTIC, taken=True),), "images"),
    Case("deep JSON", (answer("mix", "[" * 200_000, taken=True),), "images"),
    FREE("empty answer", (answer("mix", ""),), "unknown", again="unknown", paid_again=0),
    FREE("success of nothing", (answer("mix", {"status": "success"}),), "unknown", again="unknown", paid_again=0),
    Case("processing without id", (answer("mix", {"status": "processing"}, taken=True),), "images"),
    Case("taken, list without proof", (Fault("mix", "reset", taken=True),), "unknown", "list shows 1001",
         again="unknown", manners={"hides_meta": True}),
    Case("id a string", (pending(),), "images"),
    Case("eta a float", (pending(eta=0.5),), "images"),
    Case("eta nonsense", (pending(eta="soon"),), "images"),
    Case("eta far too long", (pending(eta=2),), "images"),
    Case("queued", (pending(status="queued"),), "images"),
    Case("hostile fetch_result", (pending(fetch_result="{evil}/fetch/1"),), "images"),
    Case("fetch_result in disguise", (pending(fetch_result="{base}@localhost:1/f"),), "images"),
    Case("done at once", (), "images", manners={"at_once": True}),
    Case("output of objects", (success(output=[{"url": LINK}]),), "images"),
    Case("output a text", (success(output=LINK),), "images"),
    Case("proxy_links", (success(output=[], proxy_links=[LINK]),), "images"),
    Case("future_links", (success(output="", future_links=[LINK]),), "images"),
    Case("dead output, live proxy", (success(output=["{base}/images/9-9.png"], proxy_links=[LINK]),), "images"),
    Case("success without links", (success(output=[]),), "images"),
    Case("success without id", (answer("mix", {"status": "success", "output": [LINK]}, taken=True),), "images"),
    FREE("connection refused", (), "service down", "refused", before="service gone", between="service back"),
    FREE("no TLS", (), "service down", "TLS", before="speak TLS", between="speak plainly"),
    FREE("offline", (), "offline", "network", before="offline", between="online"),
)

FETCH = (
    Case("fetch 500 twice", (error("fetch", 500, times=2),), "images"),
    Case("fetch 429", (error("fetch", 429, times=1, retry_after=0.3),), "images"),
    Case("fetch bare Try Again", (answer("fetch", {"status": "processing", "message": "Try Again", "output": ""},
                                         times=2),), "images"),
    Case("fetch reset", (Fault("fetch", "reset", times=2),), "images"),
    Case("fetch hang", (Fault("fetch", "hang", seconds=6),), "images", limits={"call": 3.0}),
    Case("fetch trickle", (Fault("fetch", "trickle", seconds=0.3),), "images", limits={"call": 3.0}),
    Case("fetch cut", (Fault("fetch", "cut", times=2),), "images"),
    Case("fetch page", (answer("fetch", HTML, times=2),), "images"),
    Case("fetch truncated", (answer("fetch", '{"status":', times=2),), "images"),
    Case("fetch gigantic", (answer("fetch", GIGANTIC),), "images"),
    Case("fetch redirect", (answer("fetch", "", 302, headers={"Location": "{evil}"}),), "images"),
    Case("fetch not found once", (error("fetch", 404, times=2, code="not_found"),), "images"),
    Case("fetch 401", (error("fetch", 401, "Invalid API Key"),), "refused", "collects"),
    Case("vanished id, link lives", (error("fetch", 404, code="not_found"),), "images"),
    Case("vanished id", (pending(), error("fetch", 404, "No such request", code="not_found")), "job failed",
         "raise take", again="job failed"),
    Case("failed while made", (pending(), answer("fetch", {"status": "failed", "message": "out of memory"},
                                                 times=ALWAYS)), "job failed", "out of memory", again="job failed"),
    Case("never ready", (), "service down", "goes on there", manners={"took": [1e6]}, between="hurry"),
)

UPLOAD = (
    Case("upload 500 once", (error("upload", 500, times=1),), "images"),
    Case("upload reset", (Fault("upload", "reset", times=1),), "images"),
    Case("upload hang", (Fault("upload", "hang", seconds=6),), "images", limits={"call": 3.0}),
    Case("upload 404", (answer("upload", HTML, 404),), "images"),
    FREE("upload 401", (error("upload", 401),), "refused"),
    FREE("upload too large", (error("upload", 400, "larger than 5 MB"),), "job failed", "5 MB"),
    FREE("upload page for ever", (answer("upload", HTML, times=ALWAYS),), "service down"),
    FREE("upload without address", (answer("upload", {"status": "success", "output": []}, times=ALWAYS),),
         "service down"),
    Case("expired upload", (), "images", before="expired upload", paid=1, paid_again=1),
)

IMAGE = (
    Case("late link", (), "images", manners={"links_late": 0.8}),
    Case("404 for ever", (answer("image", "", 404, times=ALWAYS),), "job failed", "paid for"),
    Case("image 500 twice", (answer("image", HTML, 500, times=2),), "images"),
    Case("image reset", (Fault("image", "reset", times=2),), "images"),
    Case("image cut", (Fault("image", "cut"),), "images"),
    Case("image trickle", (Fault("image", "trickle", seconds=0.05, times=ALWAYS),), "service down",
         limits={"download": 2.0}),
    Case("wrong content type", (), "images", before="wrong type"),
    Case("base64 text", (), "images", before="base64"),
    Case("image a page", (answer("image", HTML, times=ALWAYS),), "job failed", "no PNG"),
    Case("image truncated", (answer("image", PNG + b"\x00\x00\x00\rIHDR", times=ALWAYS),), "job failed", "broken"),
    Case("image huge", (answer("image", b"", times=ALWAYS, headers={"Content-Length": "2000000000"}),), "job failed",
         "larger than"),
    Case("image bomb", (answer("image", BOMB, times=ALWAYS),), "job failed", "60000"),
    Case("redirect to a private place", (answer("image", "", 302, times=ALWAYS, headers={"Location": "{evil}"}),),
         "job failed", "not allowed"),
    Case("redirect home", (answer("image", "", 302, headers={"Location": "/images/1001-0.png"}),), "images"),
    Case("redirect for ever", (answer("image", "", 302, times=ALWAYS, headers={"Location": "/images/1-0.png"}),),
         "job failed", "redirects"),
    Case("link to a private place", (pending(), answer("fetch", {"status": "success", "output": ["{evil}/i.png"]},
                                                       times=ALWAYS)), "job failed", "not allowed"),
    Case("link to a file", (success(output=["file:///etc/passwd"]),), "images"),
)

HERE = (
    Case("disk full", (), "store", "make room", before="results full", between="results free"),
    FREE("journal locked", (), "store", "locked", before="lock journal", between="unlock journal"),
    FREE("journal corrupt", (), "store", "damaged", before="corrupt journal", between="restore journal"),
    Case("journal full after the submit", (), "unknown", "as job 1001", before="journal full", between="journal free"),
    Case("clock a day ahead", (), "images", before="clock 86400"),
    Case("clock a year back", (), "images", before="clock -31536000"),
)

CASES = SUBMIT + FETCH + UPLOAD + IMAGE + HERE
