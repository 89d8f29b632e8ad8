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


def test_captions_are_short() -> None:
    assert report.MadeImage(0, 0, 3, (2 / 3, 1 / 3, -0.25)).caption == "0.667, 0.333, -0.25 · seed 3"


def test_a_report_is_json_with_its_form() -> None:
    fields = json.loads(report.to_json(made(warnings=("careful",), seconds={"sample": 1.5})))
    assert (
        fields["format"] == report.FORMAT and fields["warnings"] == ["careful"] and fields["seconds"] == {"sample": 1.5}
    )
    assert fields["images"][0] == {
        "variant": 0, "sample": 0, "seed": 3, "weights": [0.5, 0.7], "missing": "", "uncertain": False,
    }  # fmt: skip


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


def test_compared_captions_name_the_engine_and_its_time() -> None:
    text = report.to_json(made(seconds={"encode": 0.2, "sample": 4.0}))
    assert report.captions(text, compared=True) == [
        "local · 0.5, 0.7 · seed 3 · 4.2 s", "local · 1, 0 · seed ? · 4.2 s"
    ]  # fmt: skip
    handed = report.handed_over("remote", "no key", text)
    assert report.captions(handed, compared=True)[0] == "local for remote · 0.5, 0.7 · seed 3 · 4.2 s"
    assert report.captions(report.to_json(made()), compared=True)[0] == "local · 0.5, 0.7 · seed 3"


def test_typed_captions_come_before_those_of_reports() -> None:
    text = report.to_json(made())
    assert report.lines("a\nb", [text]) == ["a", "b"]
    assert report.lines(" ", [text, text]) == 2 * report.captions(text)
    assert report.lines("", []) is None


def sampled(variants: int, samples: int) -> str:
    images = tuple(report.MadeImage(v, s, s, (1.0,)) for v in range(variants) for s in range(samples))
    return report.to_json(made(images=images))


def test_seeds_go_across_and_engines_have_rows_of_their_own() -> None:
    assert report.columns([sampled(3, 4)], 12) == 4
    assert report.columns([sampled(9, 1)], 9) == 0
    assert report.columns([sampled(9, 1), sampled(9, 1)], 9, 9) == 9
    assert report.columns([sampled(3, 4), sampled(3, 4)], 12, 12) == 4
    assert report.columns([sampled(100, 1), sampled(100, 1)], 100, 100) == 0
    assert report.columns([sampled(1, 1)] * 4, 4) == 0
    assert report.columns([], 5) == 0


def test_each_batch_is_saved_with_its_report_or_one_sheet_with_all() -> None:
    one, two = sampled(1, 1), sampled(2, 1)
    assert report.by_batch([], 2) == [None, None]
    assert report.by_batch([one], 3) == [one] * 3
    assert report.by_batch([one, two], 2) == [one, two]
    (both,) = report.by_batch([one, two], 1)
    assert [fields["images"] for fields in json.loads(both or "")] == [json.loads(t)["images"] for t in (one, two)]


def test_images_are_read_back() -> None:
    assert report.images(report.to_json(made())) == list(made().images)
    with pytest.raises(InputError):
        report.images("{}")


def placed(*reasons: str) -> str:
    """A report of an image for each of `reasons`, "" for one that came."""
    images = tuple(report.MadeImage(0, j, 3 + j, (0.5,), missing=reason) for j, reason in enumerate(reasons))
    return report.to_json(made(images=images))


def test_a_missing_image_and_an_uncertain_seed_are_told_in_caption_and_report() -> None:
    images = (
        report.MadeImage(0, 0, 3, (0.5, 0.7)),
        report.MadeImage(0, 1, 4, (0.5, 0.7), missing="failed: out of memory"),
        report.MadeImage(0, 2, None, (0.5, 0.7), uncertain=True),
    )
    text = report.to_json(made(images=images))
    assert report.captions(text) == [
        "0.5, 0.7 · seed 3", "0.5, 0.7 · seed 4 · missing", "0.5, 0.7 · seed uncertain"
    ]  # fmt: skip
    assert report.images(text) == list(images)
    assert report.captions(report.handed_over("local", "no model", text)) == report.captions(text)


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
    assert report.missing(texts, counts) == marked


def test_a_report_of_a_version_without_missing_pictures_has_none() -> None:
    fields = json.loads(sampled(1, 2))
    for image in fields["images"]:
        del image["missing"], image["uncertain"]
    assert report.missing([json.dumps(fields)], [2]) == [[False, False]]
