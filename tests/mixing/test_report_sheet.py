"""Contact sheets by reports: captions, columns, and which entry belongs to which cell."""

from __future__ import annotations

import pytest
import torch
from image_mixer.mixing.errors import InputError
from image_mixer.mixing.report import MadeImage, Report, hand_over_report, to_json
from image_mixer.mixing.report_sheet import Run, captions_of, report_sheet, sheet_captions, sheet_columns
from torch import Tensor


def made(**changes: object) -> Report:
    images = (MadeImage(0, 0, 3, (0.5, 0.7)), MadeImage(1, 0, None, (1.0, 0.0)))
    return Report(**{"engine": "local", "recipe": "ab", "images": images, **changes})  # type: ignore[arg-type]


def sampled(variants: int, samples: int) -> str:
    images = tuple(MadeImage(v, s, s, (1.0,)) for v in range(variants) for s in range(samples))
    return to_json(made(images=images))


def test_captions_give_weights_and_seed() -> None:
    assert captions_of(to_json(made())) == ["0.5, 0.7 · seed 3", "1, 0 · seed ?"]


def test_captions_are_short() -> None:
    assert MadeImage(0, 0, 3, (2 / 3, 1 / 3, -0.25)).caption == "0.667, 0.333, -0.25 · seed 3"


def test_compared_captions_name_the_engine_and_its_time() -> None:
    text = to_json(made(seconds={"encode": 0.2, "sample": 4.0}))
    assert captions_of(text, compared=True) == [
        "local · 0.5, 0.7 · seed 3 · 4.2 s", "local · 1, 0 · seed ? · 4.2 s"
    ]  # fmt: skip
    handed = hand_over_report("remote", "no key", text)
    assert captions_of(handed, compared=True)[0] == "local for remote · 0.5, 0.7 · seed 3 · 4.2 s"
    assert captions_of(to_json(made()), compared=True)[0] == "local · 0.5, 0.7 · seed 3"


def test_typed_captions_come_before_those_of_reports() -> None:
    text = to_json(made())
    assert sheet_captions("a\nb", [text]) == ["a", "b"]
    assert sheet_captions(" ", [text, text]) == 2 * captions_of(text)
    assert sheet_captions("", []) is None


def test_seeds_go_across_and_engines_have_rows_of_their_own() -> None:
    assert sheet_columns([sampled(3, 4)], 12) == 4
    assert sheet_columns([sampled(9, 1)], 9) == 0
    assert sheet_columns([sampled(9, 1), sampled(9, 1)], 9, 9) == 9
    assert sheet_columns([sampled(3, 4), sampled(3, 4)], 12, 12) == 4
    assert sheet_columns([sampled(100, 1), sampled(100, 1)], 100, 100) == 0
    assert sheet_columns([sampled(1, 1)] * 4, 4) == 0
    assert sheet_columns([], 5) == 0


def images(count: int) -> list[Tensor]:
    """`count` pictures of 16 x 8 pixels."""
    return [torch.full((8, 16, 3), k / count) for k in range(count)]


def test_a_sheet_of_a_run_has_an_entry_per_cell() -> None:
    sheet, entries = report_sheet(Run(images(6), [sampled(3, 2)]))
    assert len(sheet.cells) == len(entries) == 6
    assert [(entry.variant, entry.sample) for entry in entries if entry] == [(v, s) for v in range(3) for s in range(2)]
    lefts, tops = ({cell[side] for cell in sheet.cells} for side in (0, 1))
    assert (len(lefts), len(tops)) == (2, 3)


def test_two_runs_share_a_sheet_in_rows_of_their_own() -> None:
    sheet, entries = report_sheet(Run(images(3), [sampled(3, 1)]), Run(images(3), [sampled(3, 1)]))
    assert len({top for _, top, _, _ in sheet.cells}) == 2
    assert [entry.variant for entry in entries if entry] == [0, 1, 2] * 2


def test_entries_are_unknown_if_the_numbers_differ() -> None:
    assert report_sheet(Run(images(2)))[1] == [None, None]
    assert report_sheet(Run(images(2), [sampled(3, 1)]), typed_captions="a\nb")[1] == [None, None]


def test_columns_and_typed_captions_win() -> None:
    sheet, _ = report_sheet(Run(images(4), [sampled(2, 2)]), typed_captions="a\nb\nc\nd", columns=4)
    assert len({top for _, top, _, _ in sheet.cells}) == 1
    with pytest.raises(InputError, match="1 captions for 4 images"):
        report_sheet(Run(images(4), [sampled(2, 2)]), typed_captions="a")
