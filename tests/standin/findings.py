"""What the service was seen to do: each finding is "yes", "no" or "not seen"."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from image_mixer.remote.run.proof import marks
from image_mixer.remote.store.job_rows import JobRow
from image_mixer.tests.standin.watched import FULL_PAGE, Page
from PIL import Image, ImageChops, ImageStat

Finding = Literal["yes", "no", "not seen"]

LARGE = {"2**53 - 1": 2**53 - 1, "2**62 + 1": 2**62 + 1}
"""The largest seed of a recipe, which a double holds exactly, and a seed that no double holds."""

AT_LEAST, TIMES = 1.0, 2.0
"""Weights act if two pictures differ by more than TIMES the difference of two equal requests, plus AT_LEAST (0 to 255)."""


@dataclass(frozen=True)
class Made:
    """A job that was delivered: its row in the journal, and its image."""

    row: JobRow
    image: bytes


def said(value: bool | None) -> Finding:
    """Return a finding; None means "not seen"."""
    return "not seen" if value is None else "yes" if value else "no"


def of_jobs(made: Mapping[str, Made], refused: Sequence[str]) -> dict[str, Finding]:
    """Return what the jobs show, named as in `real.ASKED`. `refused` are those that the service did not accept."""
    first, second, again = (made.get(name) for name in ("first", "second", "again"))
    equal = first is not None and again is not None and first.row.fields == again.row.fields
    found = {
        "v6 heeds weights": said(first and second and _weights_act(first, second, again if equal else None)),
        "v5 takes jobs": said(_taken("older", made, refused)),
        "an equal request gets the same id": said(first.row.remote_id == again.row.remote_id if equal else None),
        "an equal request gets the same picture": said(first.image == again.image if equal else None),
        "meta repeats the prompt": said(first and _same(first, "prompt")),
        "meta repeats init_image": said(first and _same_images(first)),
        "meta repeats the seed": said(first and _same_seed(first, first.row.fields["seed"])),
    }
    for name, seed in LARGE.items():
        found[f"meta repeats the seed {name}"] = said(_same_seed(made[name], seed) if name in made else None)
    marked = made.get("marked")
    found["a fragment on an address is taken"] = said(first and _taken("marked", made, refused))
    found["a fragment on an address is repeated"] = said(marked and _repeats_mark(marked))
    return found


def of_list(default: Page | None, two: Page | None, next_two: Page | None, whole: Page | None) -> dict[str, Finding]:
    """Return what the list shows: without a page, its first and second page of two rows, and a full page."""
    heeds_size = heeds_page = newest_first = tells_meta = tells_pages = None
    if whole is not None and len(whole.ids) > 2 and two is not None:
        heeds_size = len(two.ids) == 2
        if next_two is not None:
            heeds_page = bool(next_two.ids) and not set(next_two.ids) & set(two.ids)
    if whole is not None and len(whole.ids) > 1 and all(job.isdigit() for job in whole.ids):
        newest_first = list(whole.ids) == sorted(whole.ids, key=int, reverse=True)
    if whole is not None and whole.ids:
        tells_meta, tells_pages = whole.tells_meta, "last_page" in whole.paging
    ten_by_default = None
    if default is not None and whole is not None and len(whole.ids) > 10:
        ten_by_default = len(default.ids) == 10
    return {
        "the list heeds per_page": said(heeds_size),
        "the list heeds page": said(heeds_page),
        "the list has 10 rows unless asked": said(ten_by_default),
        "the list tells its pages": said(tells_pages),
        "the list is newest first": said(newest_first),
        "the list tells meta": said(tells_meta),
    }


def paid_without_answer(submits: Sequence[str | None], before: Page | None, after: Page | None) -> Finding:
    """Return whether a submit without a clear answer was paid for: then the list has a job that no answer named.

    `submits` are the ids in the answers, in order; None for no clear answer. The submit was not paid for if the list has
    a job that was sent later, and no unexplained one.
    """
    if None not in submits or before is None or after is None:
        return "not seen"
    newest = max((int(job) for job in before.ids if job.isdigit()), default=-1)
    new = {job for job in after.ids[:FULL_PAGE] if job not in before.ids and not (job.isdigit() and int(job) <= newest)}
    if new - set(submits):
        return "yes"
    last = len(submits) - 1 - list(reversed(submits)).index(None)
    return "no" if set(submits[last + 1 :]) & set(after.ids) else "not seen"


def _taken(name: str, made: Mapping[str, Made], refused: Sequence[str]) -> bool | None:
    return True if name in made else False if name in refused else None


def _weights_act(first: Made, second: Made, again: Made | None) -> bool:
    noise = 0.0 if again is None else _apart(first.image, again.image)
    return _apart(first.image, second.image) > TIMES * noise + AT_LEAST


def _apart(one: bytes, other: bytes) -> float:
    """Return the mean difference of two pictures' channels, 0 to 255; 255 if their sizes differ."""
    with Image.open(io.BytesIO(one)) as a, Image.open(io.BytesIO(other)) as b:
        if a.size != b.size:
            return 255.0
        means = ImageStat.Stat(ImageChops.difference(a.convert("RGB"), b.convert("RGB"))).mean
    return float(sum(means) / len(means))


def _same(made: Made, name: str) -> bool | None:
    echoed = made.row.meta.get(name)
    return None if echoed is None else bool(echoed == made.row.fields.get(name))


def _same_seed(made: Made, sent: int) -> bool | None:
    """Return whether the seed came back as exactly the number that was sent, or as its digits."""
    echoed = made.row.meta.get("seed")
    return None if echoed is None else bool(echoed == sent or str(echoed) == str(sent))


def _same_images(made: Made) -> bool | None:
    echoed: Any = made.row.meta.get("init_image")
    if echoed is None:
        return None
    listed = echoed.split(",") if isinstance(echoed, str) else echoed
    return bool(listed == made.row.fields.get("init_image"))


def _repeats_mark(made: Made) -> bool | None:
    return None if made.row.meta.get("init_image") is None else made.row.identity[:16] in marks(made.row.meta)
