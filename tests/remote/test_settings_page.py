"""docs/endpoints.md lists every setting with its true default and range, and its example is a valid file."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from image_mixer.mixing.errors import InputError
from image_mixer.remote.endpoints import Endpoint, Settings, Timeouts, built_in_settings, parse_settings
from image_mixer.wire.formats import WIRES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "endpoints.md").read_text(encoding="utf-8")
PROFILE = '[endpoints."name"]'
SETTINGS = {
    "max_jobs_per_run": ("[spending]", "max_jobs_per_run"),
    "max_jobs_per_day": ("[spending]", "max_jobs_per_day"),
    "results_bytes": ("[results]", "max_megabytes"),
    "keys_beyond_loopback": ("[keys]", "beyond_loopback"),
}
"""The section and name of each field of Settings in the file."""


def tables() -> dict[str, dict[str, tuple[str, str]]]:
    """Return {section: {field: (default, range)}} of the page's tables."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0].strip("`")
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .+ \|$", section, re.MULTILINE)
        if rows:
            found[heading] = {name: (default.strip("`"), limits) for name, default, limits in rows}
    return found


TABLES = tables()


def profile(*lines: str) -> Endpoint:
    return parse_settings("\n".join(['[endpoints.x]\nbase_url = "https://a.example"', *lines])).endpoint("x")


def test_every_wire_format_is_named() -> None:
    assert re.findall(r'"(\w+)"', TABLES[PROFILE]["wire"][1]) == [wire.name for wire in WIRES]


def test_every_field_is_in_its_table() -> None:
    assert set(TABLES) == {PROFILE, "timeouts", "[spending]", "[results]", "[keys]"}
    assert set(TABLES[PROFILE]) == {field.name for field in fields(Endpoint)} - {"name"}
    assert set(TABLES["timeouts"]) == {field.name for field in fields(Timeouts)}
    assert set(SETTINGS) == {field.name for field in fields(Settings)} - {"endpoints"}
    others = {(section, name) for section in ("[spending]", "[results]", "[keys]") for name in TABLES[section]}
    assert others == set(SETTINGS.values())


@pytest.mark.parametrize("name", sorted(set(TABLES[PROFILE]) - {"base_url", "timeouts"}))
def test_a_profiles_defaults(name: str) -> None:
    default = TABLES[PROFILE][name][0]
    assert profile(f"{name} = {default}") == Endpoint("x", "https://a.example")


@pytest.mark.parametrize("name", sorted(TABLES["timeouts"]))
def test_default_timeouts(name: str) -> None:
    assert profile(f"timeouts = {{ {name} = {TABLES['timeouts'][name][0]} }}").timeouts == Timeouts()


@pytest.mark.parametrize(("section", "name"), sorted(SETTINGS.values()))
def test_the_defaults_beside_the_profiles(section: str, name: str) -> None:
    assert parse_settings(f"{section}\n{name} = {TABLES[section][name][0]}\n") == built_in_settings()


def limited() -> list[tuple[str, str]]:
    """Return lines just inside and just outside of every range of numbers on the page."""
    found = []
    for section in (PROFILE, "timeouts"):
        for name, (_, limits) in TABLES[section].items():
            ends = re.fullmatch(r"(above )?(\d+) to (\d+)", limits)
            if ends is None:
                continue
            low, high = int(ends[2]), int(ends[3])
            for number, good in (
                (low + (0.001 if ends[1] else 0), True),
                (high, True),
                (low - (0 if ends[1] else 1), False),
                (high + 1, False),
            ):
                line = f"{name} = {number}" if section == PROFILE else f"timeouts = {{ {name} = {number} }}"
                found.append((line, "good" if good else "bad"))
    return found


@pytest.mark.parametrize(("line", "verdict"), limited())
def test_ranges(line: str, verdict: str) -> None:
    if verdict == "good":
        profile(line)
    else:
        with pytest.raises(InputError):
            profile(line)


def test_ranges_were_found() -> None:
    assert len(limited()) == 4 * (1 + len(fields(Timeouts)))


def test_the_example_is_a_file_that_shows_every_field() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    settings = parse_settings(example)
    assert list(settings.endpoints)[2:] == ["studio plan", "four at a time", "in the studio"]
    assert settings.endpoint("modelslab v6").timeouts == Timeouts(job=1800.0)
    assert settings.uploader_of(settings.endpoint("four at a time")).name == "modelslab v6"
    assert settings.endpoint("in the studio").timeouts.queue == 120.0
    assert settings.results_bytes == 10_000_000_000
    for names in TABLES.values():
        for name in names:
            assert re.search(rf"\b{name} = ", example), name


@pytest.mark.parametrize(
    "text",
    [
        '[endpoints.x]\nbase_url = "https://a.example"\ntimeout = 3',
        "[spending]\nmax_jobs = 3",
        "[other]",
        "[endpoints.x]\nbase_url = 3",
        '[endpoints.x]\nbase_url = "https://a.example"\njobs_in_flight = "many"',
    ],
)
def test_a_line_about_a_wrong_entry_leads_to_the_page(text: str) -> None:
    with pytest.raises(InputError, match=r"; see docs/endpoints\.md\.$"):
        parse_settings(text)
