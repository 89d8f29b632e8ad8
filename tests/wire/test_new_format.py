"""A new wire format is one file and one entry in the list: the format "toy" drives requests, limits, answers, and a run."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import InputError
from image_mixer.network.transport import Call, Reply
from image_mixer.remote.client import Client
from image_mixer.remote.credentials import Key
from image_mixer.remote.endpoints import Endpoint, Settings, parse_settings
from image_mixer.tests.remote import harness
from image_mixer.tests.support.pictures import check, coloured
from image_mixer.wire import causes, formats
from image_mixer.wire.account import ListedPage
from image_mixer.wire.answers import Answer, Done, Pending, Refused, Unclear
from image_mixer.wire.declaration import Wire
from image_mixer.wire.request import Limits, MixRequest
from image_mixer.wire.texts import json_object

# From here on: what its file in wire/ would contain.


def encode(request: MixRequest, send_weights: bool) -> dict[str, object]:
    """Write a form that differs from all other formats: pictures with their weights in one list, the size as one text."""
    weights = request.weights if send_weights else (None,) * len(request.images)
    return {
        "text": request.prompt,
        "pictures": [{"at": url, "weight": w} for url, w in zip(request.images, weights, strict=True)],
        "size": f"{request.width}x{request.height}",
        "first_seed": request.seed,
        "count": request.samples,
    }


def decode(status: int, body: bytes, retry_after: str = "") -> Answer:
    """Read answers that differ from those of all other formats."""
    fields = json_object(body) or {}
    if status == 418:
        return Refused("it has no tea", causes.QUEUE_FULL, 2.0, status=status, not_taken=True)
    if "made" in fields:
        return Done(tuple((url,) for url in fields["made"]), fields["job"])
    return Pending(fields["job"], fields.get("wait")) if "job" in fields else Unclear("no job", status)


def decode_list(body: bytes) -> ListedPage | None:
    return ListedPage(tuple({"id": job} for job in json.loads(body)["mine"]))


def decode_count(body: bytes) -> int | None:
    count = (json_object(body) or {}).get("waiting")
    return count if isinstance(count, int) else None


def decode_upload(body: bytes) -> str | None:
    return (json_object(body) or {}).get("stored")


WIRE = Wire(
    name="toy",
    mix_path="/7/mix",
    fetch_path="/7/job/",
    limits=Limits(images=3, samples=2, steps=(1, 5), guidance_scale=(0.0, 9.0), side=(64, 512), numeric_track_id=False),
    encode=encode,
    decode=decode,
    documents_weights=True,
    list_path="/7/jobs",
    count_path="/7/waiting",
    upload_paths=(("/7/store", "file"),),
    upload_bytes=1_000_000,
    encode_list=lambda page: {"part": page},
    decode_list=decode_list,
    decode_count=decode_count,
    decode_upload=decode_upload,
)

# Up to here.

BASE = "https://seven.example"
REQUEST = MixRequest(
    ("https://a.example/1.png", "https://a.example/2.png"), (0.5, 0.7), "rose man", "", 256, 128, 5, 3.0, 7
)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the entry to the list."""
    monkeypatch.setattr(formats, "WIRES", (*formats.WIRES, WIRE))


def endpoint(**more: Any) -> Endpoint:
    return Endpoint("seven", BASE, wire="toy", **more)


@dataclass
class Service:
    """A Transport for the toy format. `calls` has the path and fields of each call; `asked` counts the fetches of jobs."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: int = 0

    def __call__(self, call: Call) -> Reply:
        assert call.url.startswith(f"{BASE}/")
        path = call.url.removeprefix(BASE)
        if path.startswith("/made/"):
            assert call.body is None, "a download must not contain the key"
            return Reply(200, {}, coloured((int(path[6:]), 0, 0)).pixels)
        fields = json.loads(call.body or b"")
        assert fields.pop("key") == harness.KEY
        self.calls.append((path, fields))
        status, value = self._answer(path, fields)
        return Reply(status, {}, json.dumps(value).encode())

    def _answer(self, path: str, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "/7/mix":
            return (418, {}) if fields["text"] == "tea" else (200, {"job": f"j{fields['first_seed']}", "wait": 0.1})
        if path.startswith("/7/job/j"):
            self.asked += 1
            seed = int(path.removeprefix("/7/job/j"))
            made = {"made": [f"{BASE}/made/{seed}", f"{BASE}/made/{seed + 1}"]} if self.asked > 1 else {"wait": 0.1}
            return 200, {"job": f"j{seed}", **made}
        others: dict[str, dict[str, Any]] = {
            "/7/jobs": {"mine": ["j1", "j2"]},
            "/7/waiting": {"waiting": 3},
            "/7/store": {"stored": f"{BASE}/stored/{len(self.calls)}"},
        }
        return 200, others[path]


def client(service: Service) -> Client:
    return Client(endpoint(), Key(harness.KEY), service, lambda host, port: [], check)


@pytest.mark.usefixtures("listed")
def test_a_profile_may_name_it_and_has_its_limits() -> None:
    assert endpoint(images_per_job=2).format is WIRE
    with pytest.raises(InputError, match="images_per_job must be from 1 to 2 with toy, not 3"):
        endpoint(images_per_job=3)


def test_without_its_entry_no_profile_may_name_it() -> None:
    with pytest.raises(InputError, match=r"^Endpoint 'seven': Unknown wire format 'toy': choose one of v6, v5"):
        endpoint()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
@pytest.mark.usefixtures("listed")
def test_the_owners_file_may_name_it_as_format_and_as_uploader() -> None:
    settings = parse_settings(
        f'[endpoints.seven]\nbase_url = "{BASE}"\nwire = "toy"\n[endpoints.old]\nbase_url = "{BASE}"\nwire = "v5"\n'
        'uploader = "seven"\n'
    )
    assert settings.uploader_of(settings.endpoint("old")).format is WIRE
    with pytest.raises(InputError, match=r"set a v6.* or toy profile as the uploader"):
        parse_settings(f'[endpoints.old]\nbase_url = "{BASE}"\nwire = "v5"\nuploader = "old"\n')


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"steps": 6}, False),
        ({"guidance_scale": 9.5}, False),
        ({"width": 576}, False),
        ({"samples": 3}, False),
        ({"images": REQUEST.images * 2, "weights": (1.0,) * 4}, False),
        ({"track_id": "words"}, True),
    ],
)
def test_its_limits(change: dict[str, Any], good: bool) -> None:
    if good:
        WIRE.limits.check(replace(REQUEST, **change), WIRE.name)
    else:
        with pytest.raises(InputError, match="toy"):
            WIRE.limits.check(replace(REQUEST, **change), WIRE.name)


@pytest.mark.usefixtures("listed")
def test_the_client_writes_and_reads_every_call_by_it() -> None:
    service = Service()
    seven = client(service)
    fields = seven.wire.encode(REQUEST, True)
    assert seven.submit(fields) == Pending("j7", 0.1)
    assert seven.submit({**fields, "text": "tea"}) == Refused(
        "it has no tea", causes.QUEUE_FULL, 2.0, None, 418, not_taken=True
    )
    assert isinstance(seven.fetch("j7", None), Pending)
    assert seven.fetch("j7", None) == Done(((f"{BASE}/made/7",), (f"{BASE}/made/8",)), "j7")
    assert seven.own_id(f"{BASE}/7/job/j7") == "j7" and seven.own_id(f"{BASE}/fetch/j7") is None
    assert seven.listed(2) == ListedPage(({"id": "j1"}, {"id": "j2"}))
    assert seven.asked() == "seven accepts the key and has 3 jobs in its queue."
    assert [path for path, _ in service.calls] == ["/7/mix"] * 2 + ["/7/job/j7"] * 2 + ["/7/jobs", "/7/waiting"]
    assert service.calls[0][1] == {
        "text": "rose man",
        "pictures": [
            {"at": "https://a.example/1.png", "weight": 0.5},
            {"at": "https://a.example/2.png", "weight": 0.7},
        ],
        "size": "256x128",
        "first_seed": 7,
        "count": 1,
    }
    assert service.calls[4][1] == {"part": 2}


@pytest.mark.usefixtures("listed")
def test_a_recipe_becomes_pictures_through_it(tmp_path: Path) -> None:
    """A run plans, uploads, polls, downloads, and reports in the toy format. A second run pays nothing."""
    seven = endpoint(images_per_job=2, timeouts=harness.QUICK)
    service = Service()
    engine = harness.engine(BASE, tmp_path, Settings({"seven": seven}), transport=service)
    order = harness.order(harness.recipe(seed=40, samples=2, steps=5), "seven")
    outcome = engine.run(order)
    assert list(outcome.images) == [coloured((red, 0, 0)).pixels for red in (40, 41)]
    (mixed,) = [fields for path, fields in service.calls if path == "/7/mix"]
    assert (mixed["first_seed"], mixed["count"], mixed["size"]) == (40, 2, "256x256")
    assert sorted(picture["at"] for picture in mixed["pictures"]) == [f"{BASE}/stored/1", f"{BASE}/stored/2"]
    assert (outcome.report.details["wire"], outcome.report.details["weights"]) == ("toy", "sent")
    before = len(service.calls)
    assert engine.run(order).images == outcome.images and len(service.calls) == before
    with pytest.raises(InputError, match=r"seven \(toy\) accepts steps from 1 to 5, not 6"):
        engine.run(harness.order(harness.recipe(steps=6), "seven"))
    engine.close()
