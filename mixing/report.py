"""The report: JSON text that says who made the images and why, with which seeds and weights. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from .errors import InputError
from .weights import Row

FORMAT = "image-mixer-report/1"


@dataclass(frozen=True)
class MadeImage:
    """One image of a run: its variant and sample, the seed that was really used (None: unknown), and its weights.

    `missing` says why the image is missing and a placeholder stands in for it; "" if it is there. `uncertain` means
    that the service did not say which of a job's images this is.
    """

    variant: int
    sample: int
    seed: int | None
    weights: Row
    missing: str = ""
    uncertain: bool = False

    @property
    def caption(self) -> str:
        """The caption on a contact sheet, weights to three digits: "0.5, 0.667 · seed 3"."""
        seed = "uncertain" if self.uncertain else "?" if self.seed is None else self.seed
        weights = ", ".join(f"{weight:.3g}" for weight in self.weights)
        return f"{weights} · seed {seed}{' · missing' if self.missing else ''}"


@dataclass(frozen=True)
class Report:
    """An engine's report of a run. `seconds` are per stage; `details` depend on the engine and hold nothing private.

    After a hand-over to the fallback, `engine` is the engine that failed, `handed_over` is the reason, and `other` is
    the report of the engine that made the images.
    """

    engine: str
    recipe: str
    images: tuple[MadeImage, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    handed_over: str | None = None
    other: dict[str, Any] | None = None


def to_json(report: Report) -> str:
    """Write a report as indented JSON text."""
    return json.dumps({"format": FORMAT, **asdict(report)}, ensure_ascii=False, indent=1)


def hand_over_report(engine: str, reason: str, other_report: str | None) -> str:
    """Write the report of an engine that handed over. `other_report` is that of the fallback, if it has one."""
    try:
        other = report_fields(other_report or "")
        images = tuple(_image(fields) for fields in other["images"])
    except InputError:
        other, images = None, ()
    return to_json(Report(engine=engine, recipe="", images=images, handed_over=reason, other=other))


def report_fields(report: str) -> dict[str, Any]:
    """Read the fields of a report. Raises InputError if the text is not a report or its images cannot be read."""
    try:
        fields = json.loads(report)
        if fields["format"] == FORMAT:
            for image in fields["images"]:
                _image(image)
            return dict(fields)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        pass
    raise InputError("This text is not a report of an Image Mixer engine: connect its report output.")


def made_images(report: str) -> list[MadeImage]:
    """Read the images of a report. Raises InputError if the text is not a report."""
    return [_image(fields) for fields in report_fields(report)["images"]]


def reports_by_batch(reports: Sequence[str], batches: int) -> list[str | None]:
    """Return the report to save with each of `batches`: its own, or a JSON list of all reports if the numbers differ."""
    if len(reports) == batches:
        return list(reports)
    if len(reports) <= 1:
        return [*reports, None][:1] * batches
    return [f"[{','.join(reports)}]"] * batches


def placeholders(reports: Sequence[str], counts: Sequence[int]) -> list[list[bool]]:
    """Say which images of batches of `counts` images are placeholders, according to the reports.

    Images are matched by position: report k with batch k or, if the numbers differ, the images of all reports with the
    images of all batches, in order. If the number of images differs, or a text is not a report, nothing is marked.
    """
    try:
        marks = [[bool(image.missing) for image in made_images(report)] for report in reports]
    except InputError:
        marks = []
    if len(marks) != len(counts):
        every = iter([mark for batch in marks for mark in batch] if sum(map(len, marks)) == sum(counts) else ())
        marks = [list(islice(every, count)) for count in counts]
    return [batch if len(batch) == count else [False] * count for batch, count in zip(marks, counts, strict=True)]


def _image(fields: dict[str, Any]) -> MadeImage:
    seed = fields["seed"]
    return MadeImage(
        int(fields["variant"]),
        int(fields["sample"]),
        None if seed is None else int(seed),
        tuple(float(weight) for weight in fields["weights"]),
        str(fields.get("missing") or ""),
        bool(fields.get("uncertain")),
    )
