"""Requests match the documentation, and limits are checked before anything is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import InputError
from image_mixer.wire.declaration import Wire
from image_mixer.wire.formats import WIRES, wire_of
from image_mixer.wire.request import MixRequest
from image_mixer.wire.shares import largest_remainder, shared

PLAIN = MixRequest(
    ("https://a.example/1.png", "https://a.example/2.png"),
    (0.5, 0.7),
    "rose man",
    "A polluted city",
    800,
    600,
    41,
    10.0,
    12345,
)


V5, V6 = wire_of("v5"), wire_of("v6")


def test_every_format_has_a_name_of_its_own_and_is_found_by_it() -> None:
    assert len({wire.name for wire in WIRES}) == len(WIRES)
    assert all(wire_of(wire.name) is wire for wire in WIRES)


@pytest.mark.parametrize("name", ["toy", "", "V6", "v6 ", "x" * 999])
def test_an_unknown_name_is_an_error_that_names_the_known_ones(name: str) -> None:
    known = ", ".join(wire.name for wire in WIRES)
    with pytest.raises(InputError, match=rf"^Unknown wire format .*: choose one of {known}\.$") as caught:
        wire_of(name)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_paths_can_follow_a_base_url(wire: Wire) -> None:
    optional = [path for path in (wire.list_path, wire.count_path) if path is not None]
    paths = [wire.mix_path, wire.fetch_path, *optional, *(path for path, _ in wire.upload_paths)]
    assert all(path.startswith("/") for path in paths) and wire.fetch_path.endswith("/")


def test_v6_sends_what_its_page_shows() -> None:
    assert V6.encode(PLAIN, False) == {
        "seed": 12345,
        "init_image": ["https://a.example/1.png", "https://a.example/2.png"],
        "prompt": "rose man",
        "negative_prompt": "A polluted city",
        "width": 800,
        "height": 600,
        "guidance_scale": 10,
        "steps": 41,
        "samples": 1,
    }


def test_v5_sends_what_its_page_shows() -> None:
    assert V5.encode(replace(PLAIN, steps=100), True) == {
        "seed": 12345,
        "init_image": "https://a.example/1.png,https://a.example/2.png",
        "prompt": "rose man",
        "negative_prompt": "A polluted city",
        "init_image_weights": "0.5,0.7",
        "width": 800,
        "height": 600,
        "guidance_scale": 10,
        "steps": 100,
        "samples": 1,
        "webhook": None,
        "track_id": None,
    }


@pytest.mark.parametrize(("given", "sent"), [(10.0, "10"), (7.5, "7.5"), (1, "1"), (3.0000001, "3.0000001")])
def test_whole_numbers_are_sent_as_the_documents_send_them(given: float, sent: str) -> None:
    for wire in WIRES:
        fields = wire.encode(replace(PLAIN, guidance_scale=given), True)
        assert f'"guidance_scale": {sent},' in json.dumps(fields)


@pytest.mark.parametrize(
    ("change", "v6", "v5"),
    [
        ({"seed": None}, {"seed": ...}, {"seed": None}),
        ({"width": None, "height": None}, {"width": ..., "height": ...}, {"width": ..., "height": ...}),
        ({"track_id": "0042"}, {"track_id": 42}, {"track_id": "0042"}),
        ({"webhook": "https://b.example/h"}, {"webhook": "https://b.example/h"}, {"webhook": "https://b.example/h"}),
        (
            {"images": ("https://a.example/1,2.png",), "weights": (1.0,)},
            {"init_image": ["https://a.example/1,2.png"]},
            {"init_image": "https://a.example/1%2C2.png"},
        ),
        ({"negative_prompt": ""}, {"negative_prompt": ...}, {"negative_prompt": ""}),
        ({"weights": (1.0, 1e-9)}, {"init_image_weights": "1,0.000001"}, {"init_image_weights": "1,0.000001"}),
    ],
)
def test_fields(change: dict[str, Any], v6: dict[str, Any], v5: dict[str, Any]) -> None:
    for wire, wanted in ((V6, v6), (V5, v5)):
        fields = wire.encode(replace(PLAIN, **change), True)
        for name, value in wanted.items():
            assert (name not in fields) if value is ... else fields[name] == value


@pytest.mark.parametrize(
    ("change", "v6", "v5"),
    [
        ({"steps": 50}, True, True),
        ({"steps": 51}, False, True),
        ({"steps": 100}, False, True),
        ({"steps": 101}, False, False),
        ({"guidance_scale": 0.9}, False, False),
        ({"guidance_scale": 20.0}, True, True),
        ({"guidance_scale": 20.1}, False, False),
        ({"width": 1032}, False, False),
        ({"width": 1024}, True, True),
        ({"width": 128}, False, True),
        ({"samples": 4}, False, True),
        ({"samples": 5}, False, False),
        ({"images": ("https://a.example/",) * 4, "weights": (1.0,) * 4}, True, True),
        ({"images": ("https://a.example/",) * 5, "weights": (1.0,) * 5}, False, True),
        ({"images": (), "weights": ()}, False, False),
        ({"prompt": "  "}, False, False),
        ({"track_id": "1" * 18}, True, True),
        ({"track_id": "1" * 19}, False, True),
        ({"track_id": "9" * 5000}, False, False),
        ({"track_id": "abc"}, False, True),
        ({"track_id": "\u0663"}, False, True),
        ({"weights": (1.0,)}, False, False),
    ],
)
def test_ranges(change: dict[str, Any], v6: bool, v5: bool) -> None:
    for wire, good in ((V6, v6), (V5, v5)):
        if good:
            wire.limits.check(replace(PLAIN, **change), wire.name)
        else:
            with pytest.raises(InputError) as caught:
                wire.limits.check(replace(PLAIN, **change), wire.name)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "mode", "order", "said", "effective", "warned"),
    [
        ((0.5, 0.7), "send", (0, 1), (0.5, 0.7), (0.5, 0.7), False),
        ((1.0, 2.0), "send", (0, 1), (0.5, 1.0), (0.5, 1.0), False),
        ((0.05, 1.0), "send", (0, 1), (0.05, 1.0), (0.05, 1.0), True),
        ((1.0, 3.0), "repeat", (0, 1, 1, 1), (1.0,) * 4, (0.25, 0.75), False),
        ((0.5, 0.7), "repeat", (0, 0, 1, 1), (1.0,) * 4, (0.5, 0.5), True),
        ((0.01, 1.0), "repeat", (1, 1, 1, 1), (1.0,) * 4, (0.0, 1.0), True),
        ((1.0, 1.0, 1.0), "repeat", (0, 0, 1, 2), (1.0,) * 4, (0.5, 0.25, 0.25), True),
        ((0.3, 0.3), "ignore", (0, 1), (1.0, 1.0), (1.0, 1.0), False),
    ],
)
def test_shares(weights: Any, mode: Any, order: Any, said: Any, effective: Any, warned: bool) -> None:
    shares = shared(weights, mode, 4)
    assert (shares.order, shares.weights, shares.effective) == (order, said, effective)
    assert bool(shares.warnings) == warned


@pytest.mark.parametrize(
    ("weights", "mode"),
    [
        ((0.5, 0.7), "ignore"),
        ((-0.1, 1.0), "send"),
        ((), "send"),
        ((float("nan"),), "send"),
        ((float("inf"),), "repeat"),
        ((1.0,) * 5, "repeat"),
        ((0.0,), "send"),
    ],
)
def test_shares_refuse(weights: Any, mode: Any) -> None:
    with pytest.raises(InputError):
        shared(weights, mode, 4)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=6), st.integers(1, 12))
def test_largest_remainder_keeps_its_quota(weights: list[float], seats: int) -> None:
    counts = largest_remainder(tuple(weights), seats)
    assert sum(counts) == seats
    for weight, count in zip(weights, counts, strict=True):
        assert abs(count - weight / sum(weights) * seats) < 1 + 1e-6
