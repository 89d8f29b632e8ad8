"""Faults of a submit: which answers say that the job was not accepted, and which leave it open."""

from __future__ import annotations

from typing import Any

from image_mixer.tests.remote.cases.shapes import FREE, GIGANTIC, HTML, LINK, Case, answer, error, pending, success
from image_mixer.tests.standin.state import Fault

FAILED = {"status": "failed", "id": "{id}", "message": "x"}
UNKNOWN: dict[str, Any] = {"again": "unknown", "paid_again": 0}


def _refusals() -> tuple[Case, ...]:
    """Return cases of HTTP statuses that always mean a refusal: nothing is paid, and the next run sends the job again."""
    causes = {
        400: "job failed",
        401: "refused",
        402: "refused",
        403: "refused",
        404: "service down",
        405: "service down",
        411: "job failed",
        413: "job failed",
        414: "job failed",
        415: "job failed",
        422: "job failed",
        429: "queue full",
        431: "job failed",
    }
    cases = [
        FREE(f"{status} JSON", (error("mix", status, f"odd {status}"),), cause, f"odd {status}")
        for status, cause in causes.items()
    ]
    cases += [
        FREE(f"{status} page", (answer("mix", HTML, status, times=1000),), causes[status], f"HTTP {status}")
        for status in (400, 401, 403, 404, 413, 429)
    ]
    return tuple(cases)


def _open_statuses() -> tuple[Case, ...]:
    """Return cases of statuses that leave it open: an accepted job is found in the list, any other is not sent again."""
    cases = []
    for status in (500, 502, 503, 504, 520, 408, 303, 302, 425):
        for kind, body in (("JSON", '{"status":"error","message":"try again"}'), ("page", HTML), ("nothing", "")):
            where = {"Location": "{evil}"} if status in (302, 303) else {}
            cases.append(
                Case(f"{status} {kind}, taken", (answer("mix", body, status, taken=True, headers=where),), "images")
            )
            cases.append(
                FREE(
                    f"{status} {kind}, not taken",
                    (answer("mix", body, status, headers=where),),
                    "unknown",
                    "Queue again after",
                    **UNKNOWN,
                )
            )
    return tuple(cases)


def _texts() -> tuple[Case, ...]:
    """Return cases of errors with HTTP 200: whole sentences of the documents refuse, every other text leaves it open."""
    sentences = (
        ("Invalid API Key", "refused"),
        ("Insufficient credits. Please add more credits to continue.", "refused"),
        ("This feature requires a premium subscription", "refused"),
        ("prompt is required", "job failed"),
        ({"prompt": ["The prompt field is required."]}, "job failed"),
    )
    cases = [FREE(f"200 {message}", (error("mix", message=message),), cause) for message, cause in sentences]
    codes = (
        ("invalid_api_key", "refused"),
        ("insufficient_balance", "refused"),
        ("no_subscription", "refused"),
        ("forbidden", "refused"),
        ("not_found", "job failed"),
        ("validation_error", "job failed"),
    )
    cases += [FREE(f"code {code}", (error("mix", code=code),), cause) for code, cause in codes]
    texts = (
        "try again",
        "Failed, Try Again",
        "no image came back",
        "init_image: URL not reachable",
        "queue is full",
        "Internal server error. Please try again.",
        "out of credits maybe",
    )
    for text in texts:
        cases.append(Case(f"200 {text}, taken", (error("mix", message=text, times=1, taken=True),), "images"))
        cases.append(
            FREE(f"200 {text}, not taken", (error("mix", message=text),), "unknown", text.rstrip("."), **UNKNOWN)
        )
    for code in ("upstream_unavailable", "provider_error"):
        cases.append(Case(f"code {code}, taken", (error("mix", 400, code=code, times=1, taken=True),), "images"))
        cases.append(FREE(f"code {code}, not taken", (error("mix", code=code),), "unknown", **UNKNOWN))
    return tuple(cases)


SUBMIT = (
    FREE(
        "401 echoes the key", (error("mix", 401, "Invalid API Key demo-key-0000"),), "refused", "Settings › Image Mixer"
    ),
    FREE("400 says nothing was paid", (error("mix", 400, "bad prompt"),), "job failed", "nothing was paid for it"),
    Case("429 once", (error("mix", 429, "queue full", 1, retry_after=0.2),), "images"),
    Case("429 once, header only", (answer("mix", "", 429, headers={"Retry-After": "0.2"}),), "images"),
    FREE("429 for an hour", (error("mix", 429, "queue full", 1, retry_after=3600),), "queue full"),
    Case("code rate_limited", (error("mix", times=1, code="rate_limited"),), "images"),
    Case(
        "rate limit in words",
        (error("mix", times=1, message="Rate limit exceeded. Maximum 5 queued requests allowed."),),
        "images",
    ),
    *(
        FREE(
            f"{status} elsewhere",
            (answer("mix", "", status, headers={"Location": "{evil}"}, times=1000),),
            "service down",
        )
        for status in (301, 307, 308)
    ),
    *_refusals(),
    *_open_statuses(),
    *_texts(),
    FREE(
        "messege",
        (answer("mix", {"status": "error", "messege": {"seed": ["is odd"]}}, times=1000),),
        "job failed",
        "seed: is odd",
    ),
    FREE(
        "control characters",
        (error("mix", 400, "a\x1b[31m red\u202e line\r\nnext"),),
        "job failed",
        "a [31m red line next",
    ),
    FREE("key in pieces", (error("mix", 401, "bad \\u0064emo-key-0000 or %64emo-key-0000"),), "refused"),
    FREE("failed without id", (answer("mix", {"status": "failed", "message": "x"}, times=1000),), "unknown", **UNKNOWN),
    Case(
        "failed with id, and it is so",
        (answer("mix", FAILED, taken=True), answer("fetch", FAILED, times=1000)),
        "job failed",
        "raise pay_again",
    ),
    Case("failed with id, and it is not so", (answer("mix", FAILED, taken=True),), "images"),
    Case(
        "500 page, taken, v5",
        (answer("mix", HTML, 500, taken=True),),
        "unknown",
        "no list",
        again="unknown",
        endpoint="v5",
    ),
    Case("500 three times, each taken", (answer("mix", HTML, 500, taken=True, times=3),), "images"),
    FREE("reset unread", (Fault("unread:mix"),), "unknown", "pay_again", **UNKNOWN),
    Case("reset, taken", (Fault("mix", "reset", taken=True),), "images"),
    FREE("reset, not taken", (Fault("mix", "reset"),), "unknown", **UNKNOWN),
    Case("no answer, taken", (Fault("mix", "hang", taken=True, seconds=6),), "images", limits={"submit": 3.0}),
    FREE("no answer, not taken", (Fault("mix", "hang", seconds=6),), "unknown", limits={"submit": 3.0}, **UNKNOWN),
    Case("cut", (Fault("mix", "cut"),), "images"),
    Case("cut in the first byte, v5", (Fault("mix", "cut", part=0.0),), "unknown", again="unknown", endpoint="v5"),
    Case("slow trickle", (Fault("mix", "trickle", seconds=0.1),), "images", limits={"submit": 3.0}),
    Case("truncated JSON", (answer("mix", '{"status":"process', taken=True),), "images"),
    Case("a page", (answer("mix", HTML, taken=True),), "images"),
    Case("gigantic answer", (answer("mix", GIGANTIC, taken=True),), "images"),
    Case("deep JSON", (answer("mix", "[" * 200_000, taken=True),), "images"),
    FREE("empty answer", (answer("mix", ""),), "unknown", **UNKNOWN),
    FREE("success of nothing", (answer("mix", {"status": "success"}),), "unknown", **UNKNOWN),
    Case("processing without id", (answer("mix", {"status": "processing"}, taken=True),), "images"),
    Case(
        "taken, list without proof",
        (Fault("mix", "reset", taken=True),),
        "unknown",
        "list shows 1001",
        again="unknown",
        manners={"hides_meta": True},
    ),
    Case("taken, thin meta", (Fault("mix", "reset", taken=True),), "images", manners={"thin_meta": True}),
    Case(
        "taken, the seed comes back as a double",
        (Fault("mix", "reset", taken=True),),
        "unknown",
        "list shows 1001",
        again="unknown",
        manners={"rounds_seeds": True},
    ),
    Case(
        "taken, the list answers an error",
        (Fault("mix", "reset", taken=True), error("list", 500)),
        "unknown",
        "did not answer",
    ),
    Case(
        "taken, the list is a page of HTML",
        (Fault("mix", "reset", taken=True), answer("list", HTML, times=1000)),
        "unknown",
        "did not answer",
    ),
    Case(
        "taken, seed drawn by the service",
        (Fault("mix", "reset", taken=True),),
        "unknown",
        "which may be this job",
        again="unknown",
        order={"seed": -1},
        order_again={"seed": -1},
    ),
    Case(
        "four taken, thin meta",
        (Fault("mix", "reset", taken=True, times=2),),
        "images",
        samples=4,
        paid=4,
        paid_again=4,
        manners={"thin_meta": True},
    ),
    Case("id a string", (pending(),), "images"),
    Case("eta a float", (pending(eta=0.5),), "images"),
    Case("eta nonsense", (pending(eta="soon"),), "images"),
    Case("eta far too long", (pending(eta=2),), "images"),
    Case("queued", (pending(status="queued"),), "images"),
    Case("hostile fetch_result", (pending(fetch_result="{evil}/fetch/1"),), "images"),
    Case("fetch_result in disguise", (pending(fetch_result="{base}@localhost:1/f"),), "images"),
    Case("fetch_result of our own that fails", (pending(fetch_result="{base}/nowhere/1"),), "images"),
    Case("done at once", (), "images", manners={"at_once": True}),
    Case("output of objects", (success(output=[{"url": LINK}]),), "images"),
    Case("output a text", (success(output=LINK),), "images"),
    Case("proxy_links", (success(output=[], proxy_links=[LINK]),), "images"),
    Case("future_links", (success(output="", future_links=[LINK]),), "images"),
    Case("dead output, live proxy", (success(output=["{base}/images/9-9.png"], proxy_links=[LINK]),), "images"),
    Case("success without links", (success(output=[]),), "images"),
    Case("success without id", (answer("mix", {"status": "success", "output": [LINK]}, taken=True),), "images"),
    Case("success, filtered", (success(output=[LINK], nsfw_content_detected=[True]),), "images"),
    FREE("connection refused", (), "service down", "refused", before="service gone", between="service back"),
    FREE("no TLS", (), "service down", "TLS", before="speak TLS", between="speak plainly"),
    FREE("offline", (), "offline", "network", before="offline", between="online"),
)
