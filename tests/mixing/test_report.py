"""Reports: what a sheet and a later reader find in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing import report
from image_mixer.mixing.errors import InputError, MixError


def made(**changes: object) -> report.Report:
    images = (report.MadeImage(0, 0, 3, (0.5, 0.7)), report.MadeImage(1, 0, None, (1.0, 0.0)))
    return report.Report(**{"engine": "local", "recipe": "ab", "images": images, **changes})  # type: ignore[arg-type]


def test_captions_give_weights_and_seed() -> None:
    assert report.captions(report.to_json(made())) == ["0.5, 0.7 · seed 3", "1, 0 · seed ?"]


def test_a_report_is_json_with_its_form() -> None:
    fields = json.loads(report.to_json(made(warnings=("careful",), seconds={"sample": 1.5})))
    assert fields["format"] == report.FORMAT and fields["warnings"] == ["careful"] and fields["seconds"] == {"sample": 1.5}
    assert fields["images"][0] == {"variant": 0, "sample": 0, "seed": 3, "weights": [0.5, 0.7]}


def test_a_hand_over_keeps_the_images_of_the_other_engine() -> None:
    text = report.handed_over("remote", "no key: set one", report.to_json(made()))
    fields = json.loads(text)
    assert fields["engine"] == "remote" and fields["handed_over"] == "no key: set one"
    assert fields["other"]["engine"] == "local"
    assert report.captions(text) == report.captions(report.to_json(made()))


@pytest.mark.parametrize("other", [None, "", "not json", "[]", "{}", '{"images": 3}', '{"images": [{}]}'])
def test_a_hand_over_to_something_without_a_report(other: str | None) -> None:
    fields = json.loads(report.handed_over("local", "out of memory", other))
    assert fields["images"] == []


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"format": "other"}', '{"format": "image-mixer-report/1"}'])
def test_other_texts_are_no_report(text: str) -> None:
    with pytest.raises(InputError, match="not a report"):
        report.captions(text)


@given(st.text(max_size=60))
def test_any_text_ends_in_the_packs_own_error(text: str) -> None:
    try:
        report.captions(text)
    except MixError as error:
        assert "\n" not in str(error)


def test_images_are_read_back() -> None:
    assert report.images(report.to_json(made())) == list(made().images)
    with pytest.raises(InputError):
        report.images("{}")
