"""The account's list of jobs and the length of its queue: what is asked, and how the answers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .texts import id_of, json_object, json_value, number_of

ROWS_PER_PAGE = 30
"""The largest page of the list."""

COUNT_FIELD = "processing_count"
"""The field that holds the length of the queue."""

_LIST_NAMES = ("data", "output", "assets", "images", "items", "results", "messages")


@dataclass(frozen=True)
class ListedPage:
    """A page of the account's list: the items that have an id, as plain fields, and the totals that the page states.

    `total` counts jobs and `last` pages, None if they are not stated. `unread` counts rows of an unknown form.
    """

    items: tuple[dict[str, Any], ...]
    total: int | None = None
    last: int | None = None
    unread: int = 0


def list_request(page: int) -> dict[str, object]:
    """Return the JSON fields that ask for a page of the list, without the key. Pages begin at 1, newest jobs first."""
    return {"type": "image", "per_page": ROWS_PER_PAGE, "page": page}


def listed_page(body: bytes) -> ListedPage | None:
    """Return the page of the account's list in `body`, or None if it contains no list or reports an error."""
    value = json_value(body)
    rows = _rows(value, 0)
    fields = value if isinstance(value, dict) else {}
    if rows is None or str(fields.get("status", "success")).lower() != "success":
        return None
    paging = fields.get("pagination")
    total, last = (number_of(paging.get(name)) if isinstance(paging, dict) else None for name in ("total", "last_page"))
    items = tuple({**row, "id": id_of(row["id"])} for row in rows if isinstance(row, dict) and id_of(row.get("id")))
    return ListedPage(
        items, None if total is None else int(total), None if last is None else int(last), len(rows) - len(items)
    )


def queue_length(body: bytes) -> int | None:
    """Return how many of the account's jobs are in the queue by the answer in `body`, or None if it does not say so."""
    fields = json_object(body) or {}
    count = fields.get(COUNT_FIELD)
    return count if str(fields.get("status", "")).lower() == "success" and type(count) is int else None


def _rows(value: Any, depth: int) -> list[Any] | None:
    """Return the rows of the first list in an answer, however deep it is wrapped."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and depth < 4:
        return next((rows for name in _LIST_NAMES if (rows := _rows(value.get(name), depth + 1)) is not None), None)
    return None
