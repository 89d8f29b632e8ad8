"""Which answers prove that a job was not taken, and which leave it open."""

from __future__ import annotations

import json
from typing import Any

import pytest
from image_mixer.wire.answers import Refused, Unclear, decode_answer

NOT_TAKEN = (301, 307, 308, 400, 401, 402, 403, 404, 405, 411, 413, 414, 415, 422, 429, 431)
OPEN = (302, 303, 304, 408, 409, 410, 418, 425, 451, 500, 501, 502, 503, 504, 520, 524)


def taken_is_open(status: int, body: Any) -> bool:
    answer = decode_answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(answer, (Refused, Unclear))
    return isinstance(answer, Unclear) or not answer.not_taken


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"", {"status": "error", "message": "no image"}, {"message": "x"}],
    ids=["page", "nothing", "error", "no status"],
)
@pytest.mark.parametrize("status", NOT_TAKEN + OPEN)
def test_http_statuses(status: int, body: Any) -> None:
    assert taken_is_open(status, body) == (status in OPEN)


@pytest.mark.parametrize(
    ("code", "is_open"),
    [
        ("validation_error", False),
        ("invalid_api_key", False),
        ("insufficient_balance", False),
        ("no_subscription", False),
        ("forbidden", False),
        ("not_found", False),
        ("rate_limited", False),
        ("upstream_unavailable", True),
        ("provider_error", True),
        ("something_new", True),
        ("", True),
        (7, True),
    ],
)
def test_codes(code: Any, is_open: bool) -> None:
    assert taken_is_open(200, {"status": "error", "message": "x", "code": code}) == is_open


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_upstream_fault_is_open_whatever_the_status(status: int) -> None:
    assert taken_is_open(status, {"status": "error", "message": "x", "code": "provider_error"})


@pytest.mark.parametrize(
    ("message", "is_open"),
    [
        ("Invalid API key", False),
        ("Invalid Api Key", False),
        (" invalid api key. ", False),
        ("Insufficient credits. Please add more credits to continue.", False),
        ("This feature requires a premium subscription", False),
        ("Rate limit exceeded. Maximum 5 queued requests allowed.", False),
        ("Rate limit exceeded", False),
        ("prompt is required", False),
        ("The prompt field is required.", False),
        ({"prompt": ["The prompt field is required."]}, False),
        ({"init_image": "must be a URL", "width": ["odd"]}, False),
        ({"prompt": ["odd"], "server": ["ill"]}, True),
        ({}, True),
        ("Internal server error. Please try again.", True),
        ("Failed, Try Again", True),
        ("try again", True),
        ("The image cannot be read", True),
        ("init_image: URL not reachable", True),
        ("Invalid API key was replaced, your job runs", True),
        ("no credits", True),
        ("queue is full", True),
        ("Your image is being made, no further input is required", True),
    ],
)
def test_sentences(message: Any, is_open: bool) -> None:
    assert taken_is_open(200, {"status": "error", "message": message}) == is_open


def test_failed_says_that_it_was_taken() -> None:
    assert taken_is_open(200, {"status": "failed", "message": "prompt is required"})
