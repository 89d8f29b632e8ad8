"""What a wire format declares: its name, paths, limits, and pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .account import ListedPage, list_request, listed_page, queue_length
from .answers import Answer, uploaded_url
from .request import Limits, MixRequest


@dataclass(frozen=True)
class Wire:
    """A wire format. Paths are relative to the base URL and begin with a slash.

    `encode(request, send_weights)` returns the JSON fields of a job without the key; `decode(status, body, retry_after)`
    returns the answer for an HTTP status, a body, and that header, and raises nothing. A fetch goes to `fetch_path` and
    the job's id. `documents_weights`: the format's documentation has a field for weights.

    Optional abilities: `list_path`, the account's list of jobs; `count_path`, the length of its queue; `upload_paths`,
    where a data URI of at most `upload_bytes` bytes is uploaded, each with the name of its field, the preferred one
    first. The functions after them write and read these calls.
    """

    name: str
    mix_path: str
    fetch_path: str
    limits: Limits
    encode: Callable[[MixRequest, bool], dict[str, object]]
    decode: Callable[[int, bytes, str], Answer]
    documents_weights: bool
    list_path: str | None = None
    count_path: str | None = None
    upload_paths: tuple[tuple[str, str], ...] = ()
    upload_bytes: int = 5_000_000
    encode_list: Callable[[int], dict[str, object]] = list_request
    decode_list: Callable[[bytes], ListedPage | None] = listed_page
    decode_count: Callable[[bytes], int | None] = queue_length
    decode_upload: Callable[[bytes], str | None] = uploaded_url
