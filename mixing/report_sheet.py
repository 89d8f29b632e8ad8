"""A contact sheet with captions and columns taken from the reports of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .report import MadeImage, made_images, report_fields
from .sheet import Layout, Sheet, contact_sheet

LONGEST_ROW = 12
"""Most pictures per row if the pictures of two engines are compared, one row per engine."""


@dataclass(frozen=True)
class Run:
    """The images of one engine, [H, W, C] each, and the reports on them. Reports may be missing."""

    images: Sequence[Tensor] = ()
    reports: Sequence[str] = ()


def report_sheet(
    run: Run, beside: Run = Run(), typed_captions: str = "", columns: int = 0, layout: Layout = "rows"
) -> tuple[Sheet, list[MadeImage | None]]:
    """Draw the images of a run, and those of another engine in rows of their own, on one contact sheet.

    Return it with the report's entry for each cell, or None for every cell if the reports do not have one per image.
    `typed_captions` (one per line) replace those of the reports; `columns` 0 chooses, see `sheet_columns`.
    Raises InputError if a text is not a report, and as `contact_sheet` does.
    """
    reports = [*run.reports, *beside.reports]
    captions = sheet_captions(typed_captions, reports, compared=bool(beside.reports))
    across = columns or sheet_columns(reports, len(run.images), len(beside.images))
    sheet = contact_sheet([*run.images, *beside.images], captions, across, layout=layout)
    made = [image for report in reports for image in made_images(report)]
    return sheet, list(made) if len(made) == len(sheet.cells) else [None] * len(sheet.cells)


def sheet_captions(typed: str, reports: Sequence[str], compared: bool = False) -> list[str] | None:
    """Return the typed captions, one per line; if there are none, those of the reports; None if there are none either."""
    if typed.strip():
        return typed.strip().splitlines()
    return [caption for report in reports for caption in captions_of(report, compared)] or None


def sheet_columns(reports: Sequence[str], images: int, beside: int = 0) -> int:
    """Return the pictures per row of a sheet of `images` pictures and `beside` pictures of another engine; 0 to choose.

    The samples of a variant share a row, so that seeds go across and weights down. Two engines get separate rows.
    """
    if len(reports) == 1 + bool(beside) and (across := samples_per_variant(reports[0])) > 1:
        return across
    return images if images == beside <= LONGEST_ROW else 0


def samples_per_variant(report: str) -> int:
    """Return the samples per variant of a report; 1 if none are listed. Raises InputError if the text is not a report."""
    return max((image.sample for image in made_images(report)), default=0) + 1


def captions_of(report: str, compared: bool = False) -> list[str]:
    """Return one caption per image of a report, such as "0.5, 0.7 · seed 3".

    `compared` adds the engine and the seconds of its run: "local · 0.5, 0.7 · seed 3 · 4.2 s".
    Raises InputError if the text is not a report.
    """
    captions = [image.caption for image in made_images(report)]
    if not compared:
        return captions
    fields = report_fields(report)
    before, after = f"{_maker(fields)} · ", _duration(fields)
    return [f"{before}{caption}{after}" for caption in captions]


def _maker(fields: dict[str, Any]) -> str:
    """Name the engine that made the images; after a hand-over also the engine that failed: "local for remote"."""
    last = _last(fields)
    return f"{last.get('engine')}" + ("" if last is fields else f" for {fields.get('engine')}")


def _duration(fields: dict[str, Any]) -> str:
    """Write " · 4.2 s" for the run of the engine that made the images, or nothing if no stage was timed."""
    stages = _last(fields).get("seconds")
    times = [time for time in stages.values() if isinstance(time, int | float)] if isinstance(stages, dict) else []
    return f" · {sum(times):.1f} s" if times else ""


def _last(fields: dict[str, Any]) -> dict[str, Any]:
    """Follow the hand-overs to the report of the engine that made the images."""
    while isinstance(other := fields.get("other"), dict):
        fields = other
    return fields
