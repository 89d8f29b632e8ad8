"""Documented and odd answers are read correctly, and every other input becomes one of the four answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_mixer.wire import answers
from image_mixer.wire.account import ListedPage, listed_page, queue_length
from image_mixer.wire.answers import Done, Pending, Refused, Unclear, decode_answer
from image_mixer.wire.texts import LONGEST_REASON

A, B, C = (f"https://cdn.example/{n}.png" for n in "abc")
PROCESSING = {
    "status": "processing",
    "tip": "t",
    "eta": 7,
    "message": "Try to fetch",
    "id": 12,
    "output": [],
    "fetch_result": "https://x.example/f/12",
    "meta": {"seed": 3},
}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"status": "success", "id": 1, "output": [A]}, Done(((A,),), "1")),
        ({"status": "success", "id": "ab-1", "output": [{"url": A}]}, Done(((A,),), "ab-1")),
        ({"status": "success", "id": 1, "output": A}, Done(((A,),), "1")),
        ({"status": "success", "id": 1, "output": [], "proxy_links": [B]}, Done(((B,),), "1")),
        ({"status": "success", "id": 1, "output": "", "future_links": [C]}, Done(((C,),), "1")),
        (
            {"status": "success", "id": 1, "output": [A], "proxy_links": [B], "future_links": [C]},
            Done(((A, B, C),), "1"),
        ),
        ({"status": "success", "id": 1, "output": [A, B]}, Done(((A,), (B,)), "1")),
        (
            {"status": "success", "id": 1, "output": [A], "generationTime": 19.2, "meta": {"seed": 5}},
            Done(((A,),), "1", {"seed": 5}, (5,), 19.2),
        ),
        (
            {"status": "success", "id": 1, "output": [A], "meta": {"seed": "17"}},
            Done(((A,),), "1", {"seed": "17"}, (17,)),
        ),
        ({"status": "success", "id": 1, "output": [A, None, B]}, Done(((A,), (), (B,)), "1")),
        (
            {"status": "success", "id": 1, "output": [A], "meta": {"seed": [5, 6]}},
            Done(((A,),), "1", {"seed": [5, 6]}, (5, 6)),
        ),
        (
            {"status": "success", "id": 1, "output": [A], "nsfw_content_detected": [True]},
            Done(((A,),), "1", unsafe=True),
        ),
        ({"status": "success", "id": 1, "output": [A], "nsfw_content_detected": ""}, Done(((A,),), "1")),
        ({"status": "Success", "output": [A]}, Done(((A,),))),
        ({"status": "success", "id": 9}, Pending("9", 0.0)),
        ({"status": "success", "id": 9, "output": ["file:///etc/passwd"]}, Done((("file:///etc/passwd",),), "9")),
        ({"status": "success", "id": 9, "output": ["", None]}, Pending("9", 0.0)),
        (PROCESSING, Pending("12", 7.0, "https://x.example/f/12")),
        (PROCESSING | {"eta": 7.5, "id": "s1"}, Pending("s1", 7.5, "https://x.example/f/12")),
        (PROCESSING | {"eta": None}, Pending("12", None, "https://x.example/f/12")),
        (PROCESSING | {"eta": -1}, Pending("12", None, "https://x.example/f/12")),
        (PROCESSING | {"eta": 1e12}, Pending("12", 3600.0, "https://x.example/f/12")),
        (PROCESSING | {"eta": "soon", "future_links": [C]}, Pending("12", None, "https://x.example/f/12", ((C,),))),
        ({"status": "processing", "message": "Try Again", "output": ""}, Pending()),
        ({"status": "queued", "id": 3}, Pending("3")),
        ({"status": "error", "message": "bad"}, Refused("bad")),
        ({"status": "error", "messege": "bad"}, Refused("bad")),
        (
            {"status": "error", "message": {"prompt": ["is needed", "is short"]}},
            Refused("prompt: is needed is short", not_taken=True),
        ),
        ({"status": "error", "message": {"server": ["is ill"]}}, Refused("server: is ill")),
        ({"status": "error", "message": "red \x1b[31m\u202e text\r\n"}, Refused("red [31m text")),
        ({"status": "failed", "id": 4, "message": "it broke"}, Refused("it broke", id="4")),
        ({"status": "error", "message": "x", "code": "invalid_api_key"}, Refused("x", "refused", not_taken=True)),
        ({"status": "error", "message": "x", "code": "insufficient_balance"}, Refused("x", "refused", not_taken=True)),
        ({"status": "error", "message": "x", "code": "no_subscription"}, Refused("x", "refused", not_taken=True)),
        ({"status": "error", "message": "x", "code": "forbidden"}, Refused("x", "refused", not_taken=True)),
        (
            {"status": "error", "message": "x", "code": "rate_limited", "retry_after": 3},
            Refused("x", "queue full", 3.0, not_taken=True),
        ),
        ({"status": "error", "message": "x", "code": "upstream_unavailable"}, Refused("x", "service down")),
        ({"status": "error", "message": "x", "code": "provider_error"}, Refused("x", "service down")),
        ({"status": "error", "message": "x", "code": "validation_error"}, Refused("x", "job failed", not_taken=True)),
        ({"status": "error", "message": "x", "code": "not_found"}, Refused("x", "job failed", not_taken=True)),
        ({"status": "error", "message": "Invalid API Key"}, Refused("Invalid API Key", "refused", not_taken=True)),
        ({"status": "error", "message": "Queue is full"}, Refused("Queue is full", "queue full")),
        ({"status": "error"}, Refused("it gives no reason")),
    ],
)
def test_documented_and_odd_answers(fields: dict[str, Any], wanted: answers.Answer) -> None:
    assert decode_answer(200, json.dumps(fields).encode()) == wanted


@pytest.mark.parametrize(
    ("status", "body", "header", "cause", "retry_after"),
    [
        (400, b'{"status":"error","message":"m"}', "", "job failed", None),
        (401, b'{"status":"error","message":"m"}', "", "refused", None),
        (402, b'{"status":"error","message":"m"}', "", "refused", None),
        (403, b"<html>", "", "refused", None),
        (404, b"<html>", "", "service down", None),
        (429, b'{"status":"error","message":"m","retry_after":9}', "", "queue full", 9.0),
        (429, b"", "4", "queue full", 4.0),
        (429, b"", "Fri, 31 Dec 1999 23:59:59 GMT", "queue full", None),
        (500, b'{"status":"error","message":"m"}', "", "service down", None),
        (503, b'{"status":"error","message":"m"}', "2", "service down", 2.0),
        (302, b"", "", "service down", None),
    ],
)
def test_http_status(status: int, body: bytes, header: str, cause: str, retry_after: float | None) -> None:
    answer = decode_answer(status, body, header)
    assert isinstance(answer, Refused)
    assert (answer.cause, answer.retry_after, answer.status) == (cause, retry_after, status)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b'{"status":"succ'),
        (200, b"[]"),
        (200, b"null"),
        (200, b'{"status":7}'),
        (200, b'{"status":"done"}'),
        (200, b'{"status":"success"}'),
        (500, b"<html>"),
        (502, b""),
        (503, b""),
        (200, b"[" * 100_000),
        (200, b"\xff\xfe\x00"),
        (200, b'{"status":"success","id":' + b"9" * 5000 + b"}"),
    ],
)
def test_what_is_no_answer_is_unclear(status: int, body: bytes) -> None:
    assert isinstance(decode_answer(status, body), Unclear)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"status": "success", "id": 1, "output": [A]}, A),
        ({"status": "success", "output": A}, A),
        ({"status": "success", "output": [{"url": A}]}, A),
        ({"status": "error", "output": [A]}, None),
        ({"status": "success", "output": []}, None),
        ([], None),
    ],
)
def test_uploads(body: Any, wanted: str | None) -> None:
    assert answers.uploaded_url(json.dumps(body).encode()) == wanted


@pytest.mark.parametrize(
    "body",
    [
        [{"id": 5, "output": [A]}],
        {"status": "success", "data": [{"id": 5}]},
        {"messages": {"data": [{"id": "5"}]}},
    ],
)
def test_the_accounts_list(body: Any) -> None:
    listed = listed_page(json.dumps(body).encode())
    assert listed is not None and [item["id"] for item in listed.items] == ["5"]
    assert (listed.total, listed.last, listed.unread) == (None, None, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b'{"status":"success"}',
        b'{"data":{"rows":3}}',
        b"7",
        b"[" * 9999,
        b'{"status":"error","data":[{"id":5}]}',
    ],
)
def test_what_is_not_a_list_says_nothing_about_the_account(body: bytes) -> None:
    assert listed_page(body) is None


def test_the_accounts_list_tells_its_length_and_rows_that_are_not_understood() -> None:
    body = {"status": "success", "data": [{"ID": 3}], "pagination": {"current_page": 1, "last_page": 4, "total": 100}}
    assert listed_page(json.dumps(body).encode()) == ListedPage((), 100, 4, 1)


@pytest.mark.parametrize(
    ("body", "length"),
    [
        ({"status": "success", "processing_count": 0}, 0),
        ({"status": "Success", "processing_count": 7}, 7),
        ({"status": "success", "processing_count": "7"}, None),
        ({"status": "success", "processing_count": True}, None),
        ({"status": "error", "processing_count": 7}, None),
        ({"processing_count": 7}, None),
        ({"status": "success"}, None),
        ([], None),
    ],
)
def test_the_length_of_the_queue(body: Any, length: int | None) -> None:
    assert queue_length(json.dumps(body).encode()) == length


NAMES = (
    "status",
    "id",
    "eta",
    "output",
    "proxy_links",
    "future_links",
    "message",
    "messege",
    "code",
    "retry_after",
    "fetch_result",
    "meta",
    "seed",
    "generationTime",
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["success", "processing", "error", "failed", "queued", A, "Infinity", "-1", "1e400"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from((*NAMES, "url")), inner, max_size=4),
    max_leaves=12,
)
BODIES = (
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=10).map(lambda v: json.dumps(v).encode())
    | VALUES.map(lambda v: json.dumps(v).encode())
    | st.binary(max_size=200)
    | st.tuples(st.just(json.dumps(PROCESSING).encode()), st.integers(0, 180)).map(lambda t: t[0][: t[1]])
)
STATUS = st.sampled_from([200, 201, 301, 400, 401, 402, 403, 404, 429, 500, 502, 503])


def _ends_well(status: int, body: bytes, header: str) -> None:
    answer = decode_answer(status, body, header)
    if isinstance(answer, Refused):
        assert answer.reason.isprintable() and answer.reason
        assert len(answer.reason) <= LONGEST_REASON
    elif isinstance(answer, Done):
        assert any(answer.links) and all(url.strip() for image in answer.links for url in image)
        assert all(seed is None or seed >= 0 for seed in answer.seeds)
    elif isinstance(answer, Pending):
        assert answer.eta is None or 0 <= answer.eta <= answers.MAX_ETA
    else:
        assert isinstance(answer, Unclear)
    listed_page(body)
    answers.uploaded_url(body)
    queue_length(body)


@settings(max_examples=300, deadline=None)
@given(STATUS, BODIES, st.text(max_size=8))
def test_malformed_answers(status: int, body: bytes, header: str) -> None:
    _ends_well(status, body, header)


@pytest.mark.soak
@settings(max_examples=6000, deadline=None, suppress_health_check=list(HealthCheck))
@given(STATUS, BODIES, st.text(max_size=8))
def test_malformed_answers_soak(status: int, body: bytes, header: str) -> None:
    _ends_well(status, body, header)
