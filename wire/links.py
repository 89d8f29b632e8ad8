"""Find the image links of an answer, and which image of the job each of them is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

MAX_LINKS = 64
LONGEST_LINK = 4_000_000
"""In characters. A link may be a whole picture as base64 text."""

Links: TypeAlias = tuple[tuple[str, ...], ...]
"""The alternative links of each image, best first; empty for an image that is missing."""

_NUMBERED = re.compile(r"(.*)-(\d{1,3})\.[A-Za-z0-9]{1,5}")


def links_of(fields: Mapping[str, Any]) -> Links:
    """Return the image links of an answer: for each image those in `output`, `proxy_links`, and `future_links`.

    The first of these fields with a link says how many images there are. Links that can never be fetched are kept, so
    that the download says why.
    """
    rows = [_row(fields.get(name)) for name in ("output", "proxy_links", "future_links")]
    count = next((len(row) for row in rows if any(row)), 0)
    images = (tuple(dict.fromkeys(row[i] for row in rows if i < len(row) and row[i])) for i in range(count))
    return tuple(images)[:MAX_LINKS]


def placed(
    links: Links, wanted: int, meta: Mapping[str, Any], seeds: tuple[int | None, ...], first_seed: int | None
) -> tuple[Links, bool]:
    """Return the links of each of the `wanted` images of a job, and whether it is certain which image is which.

    The order comes from the seeds in the answer, else from the numbers in the file names ("prefix-2.png", as in the v5
    documentation). Otherwise links are taken in the given order; if there are fewer than images, that is a guess.
    """
    indices = _by_seed(len(links), wanted, seeds, first_seed) or _by_name(links, wanted, meta)
    if len(links) >= wanted and indices is None:
        return links[:wanted], True
    if indices is None:
        return links + ((),) * (wanted - len(links)), wanted == 1 or not any(links)
    filled: dict[int, tuple[str, ...]] = dict(zip(indices, links, strict=True))
    return tuple(filled.get(index, ()) for index in range(wanted)), True


def _row(value: Any) -> list[str]:
    if isinstance(value, (str, dict)):
        value = [value]
    if not isinstance(value, list):
        return []
    found = []
    for item in value[:MAX_LINKS]:
        if isinstance(item, dict):
            item = item.get("url")
        text = item.strip() if isinstance(item, str) else ""
        found.append(text if len(text) <= LONGEST_LINK else "")
    return found


def _by_name(links: Links, wanted: int, meta: Mapping[str, Any]) -> list[int] | None:
    prefix = meta.get("file_prefix")
    found: list[tuple[str, int]] = []
    for alternatives in links:
        named = _NUMBERED.fullmatch(_file_name(alternatives[0])) if alternatives else None
        if named is None:
            return None
        found.append((named[1], int(named[2])))
    prefixes, indices = {name for name, _ in found}, [index for _, index in found]
    if len(prefixes) != 1 or (isinstance(prefix, str) and prefixes != {prefix}):
        return None
    return indices if len(set(indices)) == len(indices) and max(indices) < wanted else None


def _file_name(link: str) -> str:
    try:
        return urlsplit(link[:4096]).path.rpartition("/")[2]
    except ValueError:
        return ""


def _by_seed(count: int, wanted: int, seeds: tuple[int | None, ...], first_seed: int | None) -> list[int] | None:
    if first_seed is None or len(seeds) != count or not count:
        return None
    indices = [-1 if seed is None else seed - first_seed for seed in seeds]
    good = all(0 <= index < wanted for index in indices) and len(set(indices)) == count
    return indices if good else None
