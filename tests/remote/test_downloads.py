"""Downloads: links of every kind, the hosts that they may lead to, and the time that they may take."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from urllib.parse import quote

import pytest
from image_mixer.network.downloads import Missed
from image_mixer.network.transport import Call, NoAnswer, NotSent, Reply, RequestsTransport, TooLarge, system_resolve
from image_mixer.remote.client import Client
from image_mixer.remote.credentials import Key
from image_mixer.remote.endpoints import Endpoint
from image_mixer.tests.support.pictures import check, coloured

PNG = coloured().pixels
TEXT = base64.b64encode(PNG).decode()
OWN = Endpoint("x", "https://own.example/api")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def client(
    transport: Callable[[Call], Reply], answers: list[list[str]] | None = None, endpoint: Endpoint = OWN
) -> Client:
    """Return a client whose name look-ups return `answers`, one after the other."""
    given = [] if answers is None else answers
    return Client(endpoint, Key("demo-key-0000"), transport, lambda host, port: given.pop(0), check)


def nobody(call: Call) -> Reply:
    raise AssertionError(f"{call.url} was asked")


def missed(got: bytes | Missed) -> Missed:
    assert isinstance(got, Missed)
    return got


def test_a_name_is_asked_once_and_the_checked_addresses_are_used() -> None:
    calls: list[Call] = []

    def transport(call: Call) -> Reply:
        calls.append(call)
        return Reply(200, {}, PNG)

    answers = [["2606:2800:220::1", "93.184.216.34"], ["127.0.0.1"]]
    assert client(transport, answers).download("https://rebinding.example/i.png") == PNG
    assert [c.addresses for c in calls] == [("2606:2800:220::1", "93.184.216.34")] and answers == [["127.0.0.1"]]
    assert all(c.body is None and not c.proxy for c in calls)


@pytest.mark.parametrize(
    "location",
    [
        "https://inside.example/i.png",
        "//inside.example/i.png",
        "http://public.example/i.png",
        "https://127.0.0.1/",
        "file:///etc/passwd",
        "https://user@public.example/",
        "data:image/png;base64,AAAA",
        "https://[::1",
        "\\\\host\\i.png",
        "https://caf\xe9.example/",
        "https://" + "x" * 5000,
        "javascript:1",
        "https://[::1]]/",
    ],
)
def test_each_redirect_is_judged_anew(location: str) -> None:
    calls: list[str] = []

    def transport(call: Call) -> Reply:
        calls.append(call.url)
        return Reply(302, {"location": location}, b"")

    got = missed(client(transport, [["93.184.216.34"], ["10.0.0.1"]]).download("https://public.example/i.png"))
    assert got.barred and calls == ["https://public.example/i.png"]


@pytest.mark.parametrize(
    "link",
    [
        f"data:image/png;base64,{TEXT}",
        f"DATA:;BASE64,{TEXT}",
        f"data:text/html;base64,{TEXT}",
        TEXT,
        f"data:image/png;base64,{quote(TEXT, safe='')}",
        f"  data:image/png;base64,{TEXT}\n",
    ],
)
def test_a_link_that_holds_its_picture_gives_it(link: str) -> None:
    assert client(nobody).download(link) == PNG


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("data:image/png;base64,AAAA", "data URI without a whole picture"),
        ("data:,", "data URI"),
        ("data:", "data URI"),
        (f"data:image/png;base64,{base64.b64encode(PNG[:40]).decode()}", "data URI without a whole picture"),
        (f"data:image/png,{quote(PNG)}", "data URI without a whole picture"),
        ("file:///tmp/a.png", "file on the service's machine"),
        ("D:\\out\\a.png", "file on the service's machine"),
        ("https://user:word@cdn.example/a.png", "contains a user name"),
        ("http://cdn.example/a.png", "is not https"),
        ("ftp://cdn.example/a.png", "is not https"),
        ("/images/1.png", "no scheme"),
        ("//cdn.example/1.png", "no scheme"),
        ("", "no scheme"),
        (" ", "no scheme"),
        ("None", "no scheme"),
        ("https://", "no host"),
        ("https://[", "host or port"),
        ("https://cdn.example/a b.png", "characters"),
        ("https://cdn.example/\ud800", "characters"),
        ("\x00\ud800", "no scheme"),
        ("https://cdn.example/" + "a" * 5000, "longer than"),
        ("https://10.0.0.1/a.png", "not on the public internet"),
        ("https://localhost/a.png", "not on the public internet"),
    ],
)
def test_a_link_that_can_never_work_ends_at_once_and_says_why(link: str, reason: str) -> None:
    got = missed(client(nobody, [["127.0.0.1"]]).download(link))
    assert got.barred and reason in got.reason and "\n" not in got.reason and "word" not in got.reason


@pytest.mark.parametrize(
    "link", ["https://" + "x" * 70 + ".example/", "https://a..example/", "https://nowhere.invalid/"]
)
def test_a_name_that_does_not_exist_is_not_found(link: str) -> None:
    asked = Client(OWN, Key("demo-key-0000"), nobody, real_names, check)
    got = missed(asked.download(link))
    assert "not found" in got.reason and not got.barred


def real_names(host: str, port: int) -> list[str]:
    if host == "nowhere.invalid":
        raise OSError
    return system_resolve(host, port)


@pytest.mark.parametrize(
    ("error", "barred"),
    [
        (TooLarge(64_000_000), True),
        (NoAnswer("the answer is larger than life"), False),
        (NotSent("refused"), False),
    ],
)
def test_an_answer_that_is_too_large_is_not_asked_for_again(error: Exception, barred: bool) -> None:
    def transport(call: Call) -> Reply:
        raise error

    got = missed(client(transport).download("https://own.example/i.png"))
    assert got == Missed(str(error), barred=barred)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"", Missed("HTTP 404", gone=True)),
        (500, b"", Missed("HTTP 500")),
        (304, b"", Missed("HTTP 304")),
        (200, b"<html>", Missed("The download is not a PNG, JPEG, WebP or GIF.", spoilt=True)),
        (200, TEXT.encode(), PNG),
        (200, PNG, PNG),
    ],
)
def test_what_a_place_answers(status: int, body: bytes, expected: bytes | Missed) -> None:
    assert client(lambda call: Reply(status, {}, body)).download("https://own.example/i.png") == expected


def test_all_places_of_one_download_share_its_time() -> None:
    totals: list[float] = []

    def transport(call: Call) -> Reply:
        totals.append(call.total)
        time.sleep(0.1)
        return Reply(302, {"location": "/again"}, b"")

    endpoint = replace(OWN, timeouts=replace(OWN.timeouts, download=30.0))
    assert missed(client(transport, endpoint=endpoint).download("https://own.example/i.png")).barred
    assert len(totals) == 6 and totals[0] <= 30.0
    assert all(later <= sooner - 0.1 for sooner, later in pairwise(totals))


def test_a_resolver_that_hangs_holds_no_download_longer_than_its_time() -> None:
    over = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        over.wait(30)
        return ["93.184.216.34"]

    endpoint = replace(OWN, timeouts=replace(OWN.timeouts, download=0.3))
    began = time.monotonic()
    got = missed(Client(endpoint, Key("demo-key-0000"), nobody, hang, check).download("https://cdn.example/i.png"))
    assert "looked up in time" in got.reason and not got.barred and time.monotonic() - began < 10
    over.set()


def test_the_resolver_may_hang_on_the_endpoints_own_name_too() -> None:
    over = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        over.wait(30)
        return ["127.0.0.1"]

    endpoint = replace(OWN, timeouts=replace(OWN.timeouts, download=0.3))
    began = time.monotonic()
    got = missed(client(RequestsTransport(hang), endpoint=endpoint).download("https://own.example/i.png"))
    assert "looked up in time" in got.reason and not got.barred and time.monotonic() - began < 10
    over.set()


def test_a_key_that_an_answer_repeats_is_hidden() -> None:
    said = b'{"status":"error","message":"bad \\u0064emo-key%2D0000"}'
    answer = client(lambda call: Reply(401, {}, said)).submit({})
    assert "emo-key" not in repr(answer) and "bad ***" in repr(answer)
    assert "demo-key-0000" not in repr(Call("POST", "https://a.example", b"demo-key-0000", proxy="http://u:w@p:1"))
    assert "http://u:w" not in repr(Call("POST", "https://a.example", proxy="http://u:w@p:1"))
