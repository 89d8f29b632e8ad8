"""Reports: what a sheet and a later reader find in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import InputError, MixError
from image_mixer.mixing.report import (
    FORMAT,
    MadeImage,
    Report,
    hand_over_report,
    made_images,
    placeholders,
    reports_by_batch,
    to_json,
)
from image_mixer.mixing.report_sheet import captions_of


def made(**changes: object) -> Report:
    images = (MadeImage(0, 0, 3, (0.5, 0.7)), MadeImage(1, 0, None, (1.0, 0.0)))
    return Report(**{"engine": "local", "recipe": "ab", "images": images, **changes})  # type: ignore[arg-type]


def test_a_report_is_json_with_its_form() -> None:
    fields = json.loads(to_json(made(warnings=("careful",), seconds={"sample": 1.5})))
    assert fields["format"] == FORMAT and fields["warnings"] == ["careful"] and fields["seconds"] == {"sample": 1.5}
    assert fields["images"][0] == {
        "variant": 0, "sample": 0, "seed": 3, "weights": [0.5, 0.7], "missing": "", "uncertain": False,
    }  # fmt: skip


def test_a_hand_over_keeps_the_images_of_the_other_engine() -> None:
    text = hand_over_report("remote", "no key: set one", to_json(made()))
    fields = json.loads(text)
    assert fields["engine"] == "remote" and fields["handed_over"] == "no key: set one"
    assert fields["other"]["engine"] == "local"
    assert captions_of(text) == captions_of(to_json(made()))


@pytest.mark.parametrize("other", [None, "", "not json", "[]", "{}", '{"images": 3}', '{"images": [{}]}'])
def test_a_hand_over_to_something_without_a_report(other: str | None) -> None:
    fields = json.loads(hand_over_report("local", "out of memory", other))
    assert fields["images"] == []


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"format": "other"}', '{"format": "image-mixer-report/1"}'])
def test_other_texts_are_no_report(text: str) -> None:
    with pytest.raises(InputError, match="not a report"):
        captions_of(text)


@given(st.text(max_size=60))
def test_any_text_ends_in_the_packs_own_error(text: str) -> None:
    try:
        captions_of(text)
    except MixError as error:
        assert "\n" not in str(error)


def sampled(variants: int, samples: int) -> str:
    images = tuple(MadeImage(v, s, s, (1.0,)) for v in range(variants) for s in range(samples))
    return to_json(made(images=images))


def test_each_batch_is_saved_with_its_report_or_one_sheet_with_all() -> None:
    one, two = sampled(1, 1), sampled(2, 1)
    assert reports_by_batch([], 2) == [None, None]
    assert reports_by_batch([one], 3) == [one] * 3
    assert reports_by_batch([one, two], 2) == [one, two]
    (both,) = reports_by_batch([one, two], 1)
    assert [fields["images"] for fields in json.loads(both or "")] == [json.loads(t)["images"] for t in (one, two)]


def test_images_are_read_back() -> None:
    assert made_images(to_json(made())) == list(made().images)
    with pytest.raises(InputError):
        made_images("{}")


def placed(*reasons: str) -> str:
    """A report of an image for each of `reasons`, "" for one that came."""
    images = tuple(MadeImage(0, j, 3 + j, (0.5,), missing=reason) for j, reason in enumerate(reasons))
    return to_json(made(images=images))


def test_a_missing_image_and_an_uncertain_seed_are_told_in_caption_and_report() -> None:
    images = (
        MadeImage(0, 0, 3, (0.5, 0.7)),
        MadeImage(0, 1, 4, (0.5, 0.7), missing="failed: out of memory"),
        MadeImage(0, 2, None, (0.5, 0.7), uncertain=True),
    )
    text = to_json(made(images=images))
    assert captions_of(text) == [
        "0.5, 0.7 · seed 3", "0.5, 0.7 · seed 4 · missing", "0.5, 0.7 · seed uncertain"
    ]  # fmt: skip
    assert made_images(text) == list(images)
    assert captions_of(hand_over_report("local", "no model", text)) == captions_of(text)


@pytest.mark.parametrize(
    ("texts", "counts", "marked"),
    [
        ([placed("", "late")], [2], [[False, True]]),
        ([placed("", "late")], [1, 1], [[False], [True]]),
        ([placed("late"), placed("", "")], [1, 2], [[True], [False, False]]),
        ([placed("late"), placed("", "late")], [3], [[True, False, True]]),
        ([placed("late", "late")], [1], [[False]]),
        ([placed("late", "late")], [3], [[False] * 3]),
        ([placed("late"), placed("late", "late", "late")], [3, 1], [[False] * 3, [False]]),
        ([placed("late"), "no report"], [1, 1], [[False], [False]]),
        ([], [2, 1], [[False, False], [False]]),
    ],
)
def test_placeholders_are_known_by_their_place_if_the_numbers_agree(
    texts: list[str], counts: list[int], marked: list[list[bool]]
) -> None:
    assert placeholders(texts, counts) == marked


def test_a_report_of_a_version_without_missing_pictures_has_none() -> None:
    fields = json.loads(sampled(1, 2))
    for image in fields["images"]:
        del image["missing"], image["uncertain"]
    assert placeholders([json.dumps(fields)], [2]) == [[False, False]]
