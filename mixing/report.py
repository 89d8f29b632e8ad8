"""The report: JSON text that says who made the images and why, with which seeds and weights. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import InputError
from .weights import Row, formatted

FORMAT = "image-mixer-report/1"


@dataclass(frozen=True)
class MadeImage:
    """One image of a run: its place in variants x samples, the seed really used (None: unknown) and its weights."""

    variant: int
    sample: int
    seed: int | None
    weights: Row

    @property
    def caption(self) -> str:
        """What a contact sheet writes below it: "0.5, 0.7 · seed 3"."""
        return f"{formatted(self.weights)} · seed {'?' if self.seed is None else self.seed}"


@dataclass(frozen=True)
class Report:
    """What an engine tells of a run. `seconds` are by stage; `details` are the engine's own and hold nothing private.

    `handed_over` is the reason why another engine made the images, which is then `engine`; `other` is its own report.
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
    """The report as indented JSON text."""
    return json.dumps({"format": FORMAT, **asdict(report)}, ensure_ascii=False, indent=1)


def handed_over(engine: str, reason: str, other_report: str | None) -> str:
    """The report of an engine that handed over: JSON text. `other_report` is that of the engine that delivered, if any."""
    try:
        other = _read(other_report or "")
        images = tuple(_image(fields) for fields in other["images"])
    except InputError:
        other, images = None, ()
    return to_json(Report(engine=engine, recipe="", images=images, handed_over=reason, other=other))


def images(report: str) -> list[MadeImage]:
    """The images that the JSON text of a report tells of. Raises InputError on text that is none."""
    return [_image(fields) for fields in _read(report)["images"]]


def captions(report: str) -> list[str]:
    """A caption an image from the JSON text of a report. Raises InputError on text that is none."""
    return [image.caption for image in images(report)]


def _read(report: str) -> dict[str, Any]:
    """The fields of a report whose images can be read. Raises InputError on any other text."""
    try:
        fields = json.loads(report)
        if fields["format"] == FORMAT:
            for image in fields["images"]:
                _image(image)
            return dict(fields)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        pass
    raise InputError("This text is not a report of an Image Mixer engine: connect its report output.")


def _image(fields: dict[str, Any]) -> MadeImage:
    seed = fields["seed"]
    return MadeImage(
        int(fields["variant"]),
        int(fields["sample"]),
        None if seed is None else int(seed),
        tuple(float(weight) for weight in fields["weights"]),
    )
