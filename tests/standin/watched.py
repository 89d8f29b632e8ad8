"""What a service does, seen from outside: the calls that got no clear answer, and the account's list as it answers it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from image_mixer.network.transport import Call, NoAnswer, NotSent, Reply, Transport
from image_mixer.remote.credentials import Key
from image_mixer.remote.endpoints import Endpoint
from image_mixer.wire.answers import Done, Refused, Unclear, decode_answer, json_object, listed_page
from image_mixer.wire.formats import wire_of

FULL_PAGE = 30
BETWEEN_LOOKS = 2.0
PHASES = {
    "img_mixer": "submit",
    "/fetch/": "fetch",
    "base64_to_url": "upload",
    "assets_generated": "list",
    "request_count": "count",
}


@dataclass
class Watch:
    """A Transport that takes notes.

    `submits` are the ids in the answers to submits, in order; None for a call to `mix_url` without a clear answer.
    `unclear` names every call without one.
    """

    send: Transport
    mix_url: str
    submits: list[str | None] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    def __call__(self, call: Call) -> Reply:
        phase = next((name for part, name in PHASES.items() if part in call.url), "download")
        try:
            reply = self.send(call)
        except NoAnswer as error:
            self._note(call, phase, str(error))
            raise
        if phase == "submit":
            self._note_submit(call, phase, reply)
        elif reply.status >= 500:
            self._note(call, phase, f"HTTP {reply.status}")
        return reply

    def _note_submit(self, call: Call, phase: str, reply: Reply) -> None:
        answer = decode_answer(reply.status, reply.body)
        job = None if isinstance(answer, Unclear) else answer.id
        if job is not None:
            self.submits.append(job)
        elif not isinstance(answer, Done) and not (isinstance(answer, Refused) and answer.not_taken):
            self._note(call, phase, f"HTTP {reply.status}")

    def _note(self, call: Call, phase: str, reason: str) -> None:
        self.unclear.append(f"{phase}: {reason}")
        if call.url == self.mix_url:
            self.submits.append(None)


@dataclass(frozen=True)
class Page:
    """A page of the list: its ids in order, its `pagination`, and whether any of its rows has a `meta`."""

    ids: tuple[str, ...]
    paging: dict[str, Any]
    tells_meta: bool


@dataclass(frozen=True)
class Account:
    """The account's list and queue at `endpoint`. Asking for them is free."""

    endpoint: Endpoint
    key: Key
    send: Transport

    def page(self, **fields: int) -> Page | None:
        """Return the page of the list for these fields; None if the service does not answer."""
        reply = self._asked(wire_of(self.endpoint.wire).list_path, {"type": "image", **fields})
        if reply is None:
            return None
        listed = listed_page(reply.body)
        if listed is None:
            return None
        paging = (json_object(reply.body) or {}).get("pagination")
        return Page(
            tuple(row["id"] for row in listed.items),
            paging if isinstance(paging, dict) else {},
            any(isinstance(row.get("meta"), dict) for row in listed.items),
        )

    def queue(self) -> int | None:
        """Return how many jobs the service says it is working on."""
        reply = self._asked(wire_of(self.endpoint.wire).count_path, {})
        count = None if reply is None else (json_object(reply.body) or {}).get("processing_count")
        return count if type(count) is int else None

    def seconds_until_listed(
        self,
        job: str,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> float | None:
        """Return how many seconds pass until the list shows a job; None if it does not within `patience` seconds."""
        begun = clock()
        while True:
            page = self.page(per_page=FULL_PAGE, page=1)
            passed = clock() - begun
            if page is not None and job in page.ids:
                return passed
            if passed >= patience:
                return None
            sleep(BETWEEN_LOOKS)

    def _asked(self, path: str | None, fields: dict[str, Any]) -> Reply | None:
        body = json.dumps({"key": self.key.secret, **fields}).encode()
        try:
            reply = self.send(Call("POST", self.endpoint.url(path or ""), body))
        except (NotSent, NoAnswer):
            return None
        return reply if reply.status == 200 else None
