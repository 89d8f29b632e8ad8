"""Profiles, keys, and the addresses that may be contacted."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from image_mixer.mixing.errors import InputError
from image_mixer.remote.addresses import Disallowed, Origin, download_address, origin_of
from image_mixer.remote.credentials import Credentials, Key
from image_mixer.remote.endpoints import Endpoint, Timeouts, built_in_settings, load_settings, parse_settings

CANARY = "canary-0123456789-key"
toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")


def test_built_in_profiles(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "endpoints.toml")
    assert settings == built_in_settings()
    assert list(settings.endpoints) == ["modelslab v6", "stable diffusion api v5"]
    v5 = settings.endpoint("stable diffusion api v5")
    assert settings.uploader_of(v5).name == "modelslab v6"
    assert (settings.max_jobs_per_run, settings.max_jobs_per_day) == (16, 200)


@toml
def test_a_file_adds_and_changes_profiles() -> None:
    settings = parse_settings(
        '[endpoints."my proxy"]\nbase_url = "https://proxy.example/api"\nwire = "v5"\nimages_per_job = 4\n'
        'jobs_in_flight = 2\ncredential = "MY_KEY"\nuploader = "modelslab v6"\nweights = "repeat"\n'
        'webhook = "https://me.example/h"\ndownload_hosts = ["CDN.example"]\ntimeouts = {read = 5, job = 30.5}\n'
        '[endpoints."modelslab v6"]\njobs_in_flight = 15\n[spending]\nmax_jobs_per_run = 3\nmax_jobs_per_day = 4\n'
        "[results]\nmax_megabytes = 7\n"
    )
    assert settings.endpoint("my proxy") == Endpoint(
        "my proxy", "https://proxy.example/api", "v5", 4, 2, "MY_KEY", "modelslab v6", "repeat",
        "https://me.example/h", False, ("cdn.example",), Timeouts(read=5.0, job=30.5),
    )
    assert settings.endpoint("modelslab v6").jobs_in_flight == 15
    assert settings.endpoint("modelslab v6").base_url == "https://modelslab.com/api/v6"
    assert (settings.max_jobs_per_run, settings.max_jobs_per_day, settings.results_bytes) == (3, 4, 7_000_000)


@toml
@pytest.mark.parametrize("text", [
    "[endpoints", "[other]", '[endpoints.x]\nwire = "v6"', '[endpoints.x]\nbase_url = "http://a.example"',
    '[endpoints.x]\nbase_url = "https://a.example"\nwire = "v7"', '[endpoints.x]\nbase_url = "ftp://a.example"',
    '[endpoints.x]\nbase_url = "https://a.example"\nimages_per_job = 2', '[endpoints.x]\nbase_url = 3',
    '[endpoints.x]\nbase_url = "https://u:p@a.example"', '[endpoints.x]\nbase_url = "https://a.example"\nkey = "k"',
    '[endpoints.x]\nbase_url = "https://a.example"\nuploader = "none"', "[spending]\nmax_jobs_per_run = -1",
    '[endpoints.x]\nbase_url = "https://a.example"\ntimeouts = {job = 0}', "[spending]\nmax = 1",
    '[endpoints.x]\nbase_url = "https://a.example"\ntimeouts = {job = nan}', "endpoints = 3",
    '[endpoints.x]\nbase_url = "https://a.example"\nuploader = "stable diffusion api v5"',
    '[endpoints.x]\nbase_url = "http://192.168.1.5"',
    '[endpoints.x]\nbase_url = "https://a.example"\njobs_in_flight = 0',
    '[endpoints.x]\nbase_url = "http://8.8.8.8"\ninsecure_lan = true', '[results]\nmax_megabytes = true',
    '[endpoints.x]\nbase_url = "http://nas.example"\ninsecure_lan = true',
])
def test_a_file_that_cannot_be_used(text: str) -> None:
    with pytest.raises(InputError):
        parse_settings(text)


@pytest.mark.parametrize("base", ["http://127.0.0.1:81/api/v6", "http://localhost:9", "http://[::1]:9/x"])
def test_http_is_for_loopback(base: str) -> None:
    assert Endpoint("x", base).origin.scheme == "http"


def test_insecure_lan_is_for_private_addresses() -> None:
    assert Endpoint("x", "http://192.168.1.5:8000/api", insecure_lan=True).origin.host == "192.168.1.5"


def test_unknown_endpoint_names_the_known() -> None:
    with pytest.raises(InputError, match="modelslab v6"):
        built_in_settings().endpoint("https://evil.example")


def test_keys_live_in_one_private_file(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "new" / "keys.json", {})
    assert keys.key("A_KEY") is None
    keys.set("A_KEY", f" {CANARY}\n")
    assert keys.has("A_KEY") and keys.source("A_KEY") == "file"
    assert keys.key("A_KEY") == Key(CANARY)
    if os.name == "posix":
        assert (tmp_path / "new" / "keys.json").stat().st_mode & 0o777 == 0o600
    keys.clear("A_KEY")
    assert not keys.has("A_KEY")
    assert CANARY not in (tmp_path / "new" / "keys.json").read_text()


def test_the_environment_comes_first(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "keys.json", {"A_KEY": CANARY})
    keys.set("A_KEY", "another-key-000")
    assert keys.source("A_KEY") == "environment"
    assert keys.key("A_KEY") == Key(CANARY)


def test_a_key_shows_itself_nowhere(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "k", {"A": CANARY})
    key = keys.key("A")
    assert key is not None
    assert CANARY not in repr(key) + str(key) + repr(keys) + f"{key!r}{key}"
    assert key.hidden_in(b'{"message":"bad key ' + CANARY.encode() + b'"}') == b'{"message":"bad key ***"}'


@pytest.mark.parametrize("secret", ["", "short", "has space in it", "x" * 600, "tab\there-and-more", "caf\u00e9" * 3])
def test_what_is_no_key(tmp_path: Path, secret: str) -> None:
    with pytest.raises(InputError) as caught:
        Credentials(tmp_path / "k", {}).set("A", secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_file_open_to_others_is_refused(tmp_path: Path) -> None:
    keys = Credentials(tmp_path / "k", {})
    keys.set("A", CANARY)
    (tmp_path / "k").chmod(0o644)
    assert not keys.has("A")
    with pytest.raises(InputError, match="chmod 600"):
        keys.key("A")


@pytest.mark.parametrize("text", ["not json", "[]", "\x00"])
def test_a_broken_file_of_keys(tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_text(text)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(InputError):
        Credentials(tmp_path / "k", {}).key("A")


OWN = Origin("http", "127.0.0.1", 8000)
NAMES: dict[str, list[str]] = {
    "public.example": ["93.184.216.34"], "inside.example": ["10.0.0.8"], "both.example": ["93.184.216.34", "127.0.0.1"],
    "six.example": ["2606:2800:220:1:248:1893:25c8:1946"], "meta.example": ["169.254.169.254"],
}


@pytest.mark.parametrize(("url", "address"), [
    ("http://127.0.0.1:8000/a.png", None), ("https://cdn.lan/a.png", None),
    ("https://public.example/a.png", "93.184.216.34"),
    ("https://six.example:8443/a.png", "2606:2800:220:1:248:1893:25c8:1946"),
    ("https://93.184.216.34/x", "93.184.216.34"),
])
def test_where_downloads_may_go(url: str, address: str | None) -> None:
    assert download_address(url, OWN, ("cdn.lan",), lambda host, port: NAMES[host]) == address


@pytest.mark.parametrize("url", [
    "http://public.example/a.png", "http://127.0.0.1:8001/a.png", "https://127.0.0.1:8000/", "https://inside.example/",
    "https://both.example/", "https://meta.example/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://10.1.2.3/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://0.0.0.0/", "https://224.0.0.1/", "https://192.0.2.1/",
    "file:///etc/passwd", "https://user@public.example/", "https://public.example\\@inside.example/", "ftp://public.example/",
    "http://cdn.lan/a.png", "https://100.64.0.1/", "https://[fe80::1%25eth0]/", "https:///a", "https://public.example:99999/",
])
def test_where_downloads_may_not_go(url: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return NAMES.get(host, ["127.0.0.1"])

    with pytest.raises(Disallowed):
        download_address(url, OWN, ("cdn.lan",), resolve)


@pytest.mark.parametrize("url", [
    "https://a.example/x y", "https://a.example/\n", "https://a.exa\u0301mple/", "//a.example", "", "https://",
    "x" * 9000,
])
def test_no_plain_url(url: Any) -> None:
    assert origin_of(url) is None
