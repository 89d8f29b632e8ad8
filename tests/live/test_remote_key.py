"""The key in a real ComfyUI: who may set it, and that it is nowhere but in its own file, whatever went wrong."""

from __future__ import annotations

import json
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_mixer.tests.standin.state import Fault
from image_mixer.tests.support.remote_scene import KEY, WRONG, Scene, assert_nowhere, remote_graph, scene
from PIL import Image

STORED = "stored-canary-0f9e8d7c"
GIVEN = {"endpoint": "keyless", "key": STORED}
SET = (200, {"set": True})
OPT_IN = "[keys]\nbeyond_loopback = true\n"

NAMED = json.dumps({"status": "error", "message": f"The key {KEY} is odd", "key": KEY})
ECHOES: dict[str, Fault] = {
    "refused": Fault("mix", status=401, body=NAMED, times=99),
    "failed": Fault("mix", status=400, body=NAMED, times=99),
    "a page": Fault("mix", status=500, body=f"<html>{KEY}</html>"),
    "an id": Fault("mix", body=json.dumps({"status": "processing", "id": KEY, "eta": 1}), taken=True),
    "meta": Fault(
        "mix",
        body='{"status":"success","id":"{id}","output":["{base}/images/{id}-0.png"],"meta":{"prompt":"'
        + KEY
        + '","seed":5}}',
        taken=True,
    ),
    "links": Fault(
        "mix", body=json.dumps({"status": "success", "id": 7, "output": ["{base}/images/" + KEY + ".png"]}), taken=True
    ),
    "fetch_result": Fault(
        "mix", body='{"status":"processing","id":"{id}","fetch_result":"{base}/api/v6/fetch/' + KEY + '"}', taken=True
    ),
    "upload": Fault("upload", status=400, body=NAMED, times=99),
    "fetch": Fault("fetch", body=json.dumps({"status": "failed", "message": f"bad {KEY}"}), times=99),
    "image": Fault("image", status=404, body=KEY, times=99),
    "Retry-After": Fault("mix", status=429, body=NAMED, headers={"Retry-After": KEY}),
    "Location": Fault("image", status=302, headers={"Location": f"/images/{KEY}.png"}, times=99),
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("key")) as made:
        made.good(remote_graph(recipe={"seed": 3}))
        yield made


@pytest.fixture(scope="module")
def open_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server that listens beyond this machine."""
    with scene(tmp_path_factory.mktemp("open"), listen="0.0.0.0") as made:
        yield made


def opt(live: Scene, into: bool) -> None:
    """Write or remove the owner's permission to set keys from other machines."""
    file = live.private / "endpoints.toml"
    text = file.read_text(encoding="utf-8").removeprefix(OPT_IN)
    file.write_text(OPT_IN + text if into else text, encoding="utf-8")


def test_endpoints_are_listed_without_keys(live: Scene) -> None:
    listed = live.get("/image_mixer/endpoints")
    has = {entry["name"]: entry["has_key"] for entry in listed["endpoints"]}
    assert has["modelslab v6"] and has["stable diffusion api v5"] and not has["keyless"]
    assert listed["max_jobs_per_run"] == 4
    tooltip = live.get("/object_info/ImageMixerRemote")["ImageMixerRemote"]["input"]["required"]["endpoint"][1]
    assert "Without a key: keyless" in tooltip["tooltip"]


def test_a_key_is_stored_and_never_given(live: Scene) -> None:
    assert live.post("/image_mixer/key", GIVEN) == SET
    file = live.private / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(live.private.stat().st_mode) == 0o700
    assert json.loads(file.read_text()) == {"IMAGE_MIXER_TEST_UNSET": STORED}
    listed = live.get("/image_mixer/endpoints")
    assert {"name": "keyless", "has_key": True, "images_per_job": 1} in listed["endpoints"]
    for path in (
        "/userdata/..%2F__image_mixer%2Fkeys.json",
        "/api/userdata/__image_mixer/keys.json",
        "/view?filename=keys.json&subfolder=../user/__image_mixer&type=output",
        "/image_mixer/key",
    ):
        assert live.send("GET", path)[0] >= 400
    live.error(remote_graph(recipe={"seed": 1}, remote={"endpoint": "keyless"}))  # the stand-in does not know that key
    assert_nowhere(live, STORED, but=(file,))
    with pytest.raises(AssertionError, match=r"keys\.json"):
        assert_nowhere(live, STORED)
    assert live.send("DELETE", "/image_mixer/key", {"endpoint": "keyless"}) == (200, {"set": False})
    assert_nowhere(live, STORED)


REFUSED: list[tuple[dict[str, str], int]] = [
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ({"Content-Type": ""}, 415),
    ({"Origin": "http://elsewhere.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    *(({name: "192.0.2.1"}, 403) for name in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP")),
    ({"Host": "rebound.example"}, 403),
]


@pytest.mark.parametrize(("headers", "status"), REFUSED, ids=[str(headers) for headers, _ in REFUSED])
def test_others_set_no_key(live: Scene, headers: dict[str, str], status: int) -> None:
    for method in ("POST", "DELETE"):
        found, answer = live.send(method, "/image_mixer/key", GIVEN, headers)
        assert found == status and (answer is None or "\n" not in answer["error"])
    assert not (live.private / "keys.json").exists() or STORED not in (live.private / "keys.json").read_text()


def test_no_route_sets_a_key_that_is_none(live: Scene) -> None:
    for body in (
        {"endpoint": "keyless"},
        {"endpoint": "nowhere", "key": "12345678"},
        [],
        {"key": "x" * 5000},
        {"endpoint": ["keyless"], "key": "12345678"},
        {"endpoint": "keyless", "key": {"a": 1}},
    ):
        status, answer = live.post("/image_mixer/key", body)
        assert status in (400, 413) and set(answer) == {"error"}


@pytest.mark.parametrize(
    "body", [b"[" * 2000 + b"]" * 2000, b'{"key":' * 500 + b"1" + b"}" * 500, b"[" * 4000, b"\xff", b""]
)
def test_what_is_not_an_object_of_fields_gets_a_line(live: Scene, body: bytes) -> None:
    for method in ("POST", "DELETE"):
        request = urllib.request.Request(
            f"{live.server.url}/image_mixer/key", body, {"Content-Type": "application/json"}, method=method
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 400 and "\n" not in json.load(refused.value)["error"]
    assert "RecursionError" not in live.server.log_text()


def test_a_server_that_listens_beyond_this_machine_takes_no_key(open_live: Scene) -> None:
    for method in ("POST", "DELETE"):
        status, answer = open_live.send(method, "/image_mixer/key", GIVEN)
        assert status == 403 and "listens beyond this machine (0.0.0.0)" in answer["error"]
        assert "environment variable" in answer["error"] and "beyond_loopback" in answer["error"]
    assert not (open_live.private / "keys.json").exists()
    open_live.good(remote_graph(recipe={"seed": 2}))  # with the key of the environment it works
    assert_nowhere(open_live, KEY, STORED)


def test_an_owner_may_opt_in_and_others_still_set_no_key(open_live: Scene) -> None:
    opt(open_live, True)
    try:
        for headers in ({}, {"X-Forwarded-For": "192.0.2.1"}, {"Host": "mix.example", "Origin": "http://mix.example"}):
            assert open_live.send("POST", "/image_mixer/key", GIVEN, headers) == SET
        for headers, status in REFUSED:
            if "Sec-Fetch-Site" in headers or "Origin" in headers or "Content-Type" in headers:
                assert open_live.send("POST", "/image_mixer/key", GIVEN, headers)[0] == status
        assert open_live.send("DELETE", "/image_mixer/key", {"endpoint": "keyless"}) == (200, {"set": False})
    finally:
        opt(open_live, False)
    assert open_live.post("/image_mixer/key", GIVEN)[0] == 403


def test_another_machine_sets_no_key_even_then(open_live: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    opt(open_live, True)
    try:
        request = urllib.request.Request(
            f"http://{address}:{open_live.server.port}/image_mixer/key",
            json.dumps(GIVEN).encode(),
            {"Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
        assert refused.value.code == 403 and "can only be set from this machine" in json.load(refused.value)["error"]
    finally:
        opt(open_live, False)


@pytest.mark.parametrize("echo", ECHOES)
def test_a_service_that_names_the_key_tells_it_to_nobody(live: Scene, echo: str) -> None:
    live.service.state.faults.append(ECHOES[echo])
    prompt = remote_graph(recipe={"seed": 40 + list(ECHOES).index(echo)}, remote={"endpoint": "hasty"})
    if echo == "upload":  # a picture that was not uploaded before
        Image.new("RGB", (80, 48), (1, 2, 3)).save(live.server.base / "input" / "fresh.png")
        prompt["a"]["inputs"]["image"] = "fresh.png"
    for _ in range(2):
        live.run(prompt)
        live.service.state.faults.clear()
    assert_nowhere(live, KEY)


def test_afterwards_it_is_nowhere(live: Scene) -> None:
    live.error(remote_graph(recipe={"seed": 90}, remote={"endpoint": "wrong"}))
    assert_nowhere(live, KEY, WRONG, STORED)
    live.server.kill()
    for path in sorted(Path(live.server.base).rglob("*")):
        assert not path.is_file() or not any(key.encode() in path.read_bytes() for key in (KEY, WRONG, STORED))
