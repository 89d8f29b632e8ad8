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

LONGEST_ROW = 12
"""Most pictures of one engine that a sheet of two engines sets in one row."""


@dataclass(frozen=True)
class MadeImage:
    """One image of a run: its place in variants x samples, the seed really used (None: unknown) and its weights.

    `missing` is why there is no such image, or "": a plain picture stands in its place. `uncertain`: the service did
    not say which of a job's images this is.
    """

    variant: int
    sample: int
    seed: int | None
    weights: Row
    missing: str = ""
    uncertain: bool = False

    @property
    def caption(self) -> str:
        """What a contact sheet writes below it, to three digits: "0.5, 0.667 · seed 3"."""
        seed = "uncertain" if self.uncertain else "?" if self.seed is None else self.seed
        weights = ", ".join(f"{weight:.3g}" for weight in self.weights)
        return f"{weights} · seed {seed}{' · missing' if self.missing else ''}"


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


def captions(report: str, compared: bool = False) -> list[str]:
    """A caption an image from the JSON text of a report; `compared` with the engine and the seconds that its run took.

    "0.5, 0.7 · seed 3", or "local · 0.5, 0.7 · seed 3 · 4.2 s". Raises InputError on text that is none.
    """
    fields = _read(report)
    lines = [_image(image).caption for image in fields["images"]]
    if not compared:
        return lines
    before, after = f"{_maker(fields)} · ", _duration(fields)
    return [f"{before}{line}{after}" for line in lines]


def samples(report: str) -> int:
    """Images a variant in the JSON text of a report; 1 where it has none. Raises InputError on text that is none."""
    return max((_image(image).sample for image in _read(report)["images"]), default=0) + 1


def lines(typed: str, texts: Sequence[str], compared: bool = False) -> list[str] | None:
    """The captions of a sheet: those `typed`, a line each, else those of the reports `texts`; None where there are none."""
    if typed.strip():
        return typed.strip().splitlines()
    return [line for text in texts for line in captions(text, compared)] or None


def columns(texts: Sequence[str], cells: int, others: int = 0) -> int:
    """Pictures a row of a sheet of `cells` pictures and `others` beside them; 0 where their number alone should say.

    The samples of a variant stand in a row, so that seeds go across and weights down. Two engines get rows of their own.
    """
    if len(texts) == 1 + bool(others) and (across := samples(texts[0])) > 1:
        return across
    return cells if cells == others <= LONGEST_ROW else 0


def by_batch(texts: Sequence[str], batches: int) -> list[str | None]:
    """The report that is saved with each of `batches`: its own, or all of them as a JSON list where their numbers differ."""
    if len(texts) == batches:
        return list(texts)
    if len(texts) <= 1:
        return [*texts, None][:1] * batches
    return [f"[{','.join(texts)}]"] * batches


def missing(texts: Sequence[str], counts: Sequence[int]) -> list[list[bool]]:
    """Which pictures of batches of `counts` pictures are placeholders, by the reports `texts`.

    A report tells by position, either of its own batch or, if their numbers differ, all reports of all batches one after
    another. It tells nothing if it has another number of images than there are pictures, or is no report.
    """
    try:
        made = [[bool(image.missing) for image in images(text)] for text in texts]
    except InputError:
        made = []
    if len(made) != len(counts):
        every = iter([one for told in made for one in told] if sum(map(len, made)) == sum(counts) else ())
        made = [list(islice(every, count)) for count in counts]
    return [told if len(told) == count else [False] * count for told, count in zip(made, counts, strict=True)]


def _maker(fields: dict[str, Any]) -> str:
    """The engine that really made the images; behind a hand-over the one that it stood in for comes after it."""
    last = _last(fields)
    return f"{last.get('engine')}" + ("" if last is fields else f" for {fields.get('engine')}")


def _duration(fields: dict[str, Any]) -> str:
    """ " · 4.2 s" for the run of the engine that made the images, or nothing where no stage was timed."""
    stages = _last(fields).get("seconds")
    times = [time for time in stages.values() if isinstance(time, int | float)] if isinstance(stages, dict) else []
    return f" · {sum(times):.1f} s" if times else ""


def _last(fields: dict[str, Any]) -> dict[str, Any]:
    while isinstance(other := fields.get("other"), dict):
        fields = other
    return fields


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
        str(fields.get("missing") or ""),
        bool(fields.get("uncertain")),
    )
