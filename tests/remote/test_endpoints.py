"""The built-in profiles, and what the owner's file can change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from image_mixer.mixing.errors import InputError
from image_mixer.remote.endpoints import Endpoint, Timeouts, built_in_settings, load_settings, parse_settings

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
        "my proxy",
        "https://proxy.example/api",
        "v5",
        4,
        2,
        "MY_KEY",
        "modelslab v6",
        "repeat",
        "https://me.example/h",
        False,
        ("cdn.example",),
        Timeouts(read=5.0, job=30.5),
    )
    assert settings.endpoint("modelslab v6").jobs_in_flight == 15
    assert settings.endpoint("modelslab v6").base_url == "https://modelslab.com/api/v6"
    assert (settings.max_jobs_per_run, settings.max_jobs_per_day, settings.results_bytes) == (3, 4, 7_000_000)


@toml
@pytest.mark.parametrize(
    "text",
    [
        "[endpoints",
        "[other]",
        '[endpoints.x]\nwire = "v6"',
        '[endpoints.x]\nbase_url = "http://a.example"',
        '[endpoints.x]\nbase_url = "https://a.example"\nwire = "toy"',
        '[endpoints.x]\nbase_url = "ftp://a.example"',
        '[endpoints.x]\nbase_url = "https://a.example"\nimages_per_job = 2',
        "[endpoints.x]\nbase_url = 3",
        '[endpoints.x]\nbase_url = "https://u:p@a.example"',
        '[endpoints.x]\nbase_url = "https://a.example"\nkey = "k"',
        '[endpoints.x]\nbase_url = "https://a.example"\nuploader = "none"',
        "[spending]\nmax_jobs_per_run = -1",
        '[endpoints.x]\nbase_url = "https://a.example"\ntimeouts = {job = 0}',
        "[spending]\nmax = 1",
        '[endpoints.x]\nbase_url = "https://a.example"\ntimeouts = {job = nan}',
        "endpoints = 3",
        '[endpoints.x]\nbase_url = "https://a.example"\nuploader = "stable diffusion api v5"',
        '[endpoints.x]\nbase_url = "http://192.168.1.5"',
        '[endpoints.x]\nbase_url = "https://a.example"\njobs_in_flight = 0',
        '[endpoints.x]\nbase_url = "http://8.8.8.8"\ninsecure_lan = true',
        "[results]\nmax_megabytes = true",
        '[endpoints.x]\nbase_url = "http://nas.example"\ninsecure_lan = true',
    ],
)
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
