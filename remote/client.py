"""Calls to one endpoint: what is sent, what is read, and who may be asked. It decides nothing about money."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from ..mixing.errors import EngineError, ImageError
from . import errors
from .addresses import Disallowed, Resolve, origin_of, way_to
from .answers import Answer, Refused, Unclear, decode_answer, json_object, listed_jobs, uploaded_url
from .credentials import Key
from .endpoints import Endpoint
from .lookups import in_time
from .pictures import picture_bytes
from .timing import Backoff, Pause
from .transport import Call, NoAnswer, NotSent, Reply, TooLarge, Transport, environment_proxy
from .wires import wire_of

MAX_ANSWER = 4_000_000
MAX_PICTURE = 64_000_000
MAX_REDIRECTS = 5
LISTED = 30
UPLOAD_CALLS = 2
"""An upload is tried for as long as so many calls may last."""

_GONE = (401, 403, 404, 410, 451)


@dataclass(frozen=True)
class Missed:
    """A download that did not come. `gone` where the place says that it has nothing (yet), `barred` where it may not
    be asked, `spoilt` where what came is no picture."""

    reason: str
    gone: bool = False
    barred: bool = False
    spoilt: bool = False


class Client:
    """Calls to `endpoint` with `key`. `resolve` asks DNS for downloads; `check` raises ImageError on no picture."""

    def __init__(self, endpoint: Endpoint, key: Key, transport: Transport, resolve: Resolve,
                 check: Callable[[bytes], None]) -> None:
        self.endpoint = endpoint
        self._key = key
        self._transport = transport
        self._resolve = resolve
        self._check = check
        self._wire = wire_of(endpoint.wire)

    @property
    def has_list(self) -> bool:
        """Whether this service lists the account's jobs."""
        return self._wire.list_path is not None

    def submit(self, fields: dict[str, Any]) -> Answer:
        """Sends a paid job, once, over a connection of its own. Raises NotSent where no byte left; gives Unclear where
        the job may have been taken."""
        limit = self.endpoint.timeouts.submit
        try:
            reply = self._post(self.endpoint.url(self._wire.mix_path), fields, limit, read=limit, fresh=True)
        except NoAnswer as error:
            return Unclear(str(error))
        return self._wire.decode(reply.status, reply.body, reply.headers.get("retry-after", ""))

    def fetch(self, job: str, fetch_url: str | None) -> Answer:
        """Asks how a job stands. `fetch_url` is used only on the endpoint's own origin. Raises nothing."""
        own = fetch_url is not None and origin_of(fetch_url) == self.endpoint.origin
        url = fetch_url if fetch_url is not None and own else self.endpoint.url(self._wire.fetch_path + job)
        try:
            reply = self._post(url, {}, self.endpoint.timeouts.call)
        except (NotSent, NoAnswer) as error:
            return Unclear(str(error), 0)
        return self._wire.decode(reply.status, reply.body, reply.headers.get("retry-after", ""))

    def asked(self) -> str:
        """Asks for the length of the account's queue, which costs nothing and needs a key that is good: one line of what
        the service says. Raises EngineError where it refuses or does not answer."""
        if self._wire.count_path is None:
            return f"{self.endpoint.name} can be asked nothing for free: its first job tries the key."
        try:
            reply = self._post(self.endpoint.url(self._wire.count_path), {}, self.endpoint.timeouts.call)
        except NotSent as error:
            cause = errors.OFFLINE if error.offline else errors.SERVICE_DOWN
            raise self.error("cannot be asked", str(error), cause) from error
        except NoAnswer as error:
            raise self.error("does not answer", str(error), errors.SERVICE_DOWN) from error
        answer = decode_answer(reply.status, reply.body, reply.headers.get("retry-after", ""))
        if isinstance(answer, Refused):
            raise self.error("refuses the key", answer.reason, answer.cause)
        counts = [value for value in (json_object(reply.body) or {}).values() if type(value) is int]
        return f"{self.endpoint.name} takes the key" + (f" and has {counts[0]} jobs in its queue." if counts else ".")

    def listed(self) -> list[dict[str, Any]] | None:
        """The account's newest images, or None where this service has no list or does not answer."""
        if self._wire.list_path is None:
            return None
        try:
            reply = self._post(self.endpoint.url(self._wire.list_path), {"type": "image"}, self.endpoint.timeouts.call)
        except (NotSent, NoAnswer):
            return None
        return listed_jobs(reply.body)[:LISTED] if reply.status == 200 else None

    def upload(self, data_uri: str, pause: Pause, backoff: Backoff) -> str:
        """Gives a picture to the service and returns its URL, trying again freely. Raises EngineError."""
        reason, cause = "it did not answer", errors.SERVICE_DOWN
        for wait in backoff.waits(UPLOAD_CALLS * self.endpoint.timeouts.call):
            retry_after: float | None = None
            for path, name in self._wire.upload_paths:
                try:
                    reply = self._post(self.endpoint.url(path), {name: data_uri}, self.endpoint.timeouts.call)
                except NotSent as error:
                    reason, cause = str(error), errors.OFFLINE if error.offline else errors.SERVICE_DOWN
                    break
                except NoAnswer as error:
                    reason, cause = str(error), errors.SERVICE_DOWN
                    break
                url = uploaded_url(reply.body) if reply.status < 300 else None
                if url is not None:
                    return url
                answer = decode_answer(reply.status, reply.body, reply.headers.get("retry-after", ""))
                if isinstance(answer, Refused):
                    reason, cause, retry_after = answer.reason, answer.cause, answer.retry_after
                    if cause in (errors.REFUSED, errors.JOB_FAILED):
                        raise self.error("refuses a picture", reason, cause)
                else:
                    reason = getattr(answer, "reason", "its answer holds no address")
                if reply.status not in (404, 405):
                    break
            pause(max(wait, retry_after or 0.0))
        raise self.error("took no picture", reason, cause)

    def download(self, url: str) -> bytes | Missed:
        """The picture at `url`, without the key, by way of at most MAX_REDIRECTS places that are each allowed, in
        timeouts.download seconds in all. `url` may be any text: one that holds a picture itself, as a data URI or as
        base64, gives that one."""
        end = time.monotonic() + self.endpoint.timeouts.download
        for _ in range(MAX_REDIRECTS + 1):
            try:
                reply = self._get(url, end)
            except Disallowed as error:
                return self._held_in(url, f"its address is not allowed: {error}")
            except TimeoutError:
                return Missed("the address of the image was not looked up in time")
            except OSError:
                return Missed("the address of the image is not found")
            except (NotSent, NoAnswer) as error:
                return Missed(str(error), barred=isinstance(error, TooLarge))
            if 300 <= reply.status < 400 and "location" in reply.headers:
                try:
                    url = urljoin(url, reply.headers["location"])
                except ValueError:
                    return Missed("it redirects to an address that cannot be read", barred=True)
                continue
            if reply.status != 200:
                return Missed(f"HTTP {reply.status}", gone=reply.status in _GONE)
            try:
                return self._checked(reply.body)
            except ImageError as error:
                return Missed(str(error), spoilt=True)
        return Missed(f"more than {MAX_REDIRECTS} redirects", barred=True)

    def _held_in(self, link: str, otherwise: str) -> bytes | Missed:
        try:
            return self._checked(link.encode("ascii", "replace"))
        except ImageError:
            return Missed(otherwise, barred=True)

    def _checked(self, body: bytes) -> bytes:
        data = picture_bytes(body)
        self._check(data)
        return data

    def error(self, what: str, reason: str, cause: str) -> EngineError:
        """An EngineError that names this endpoint and says what to do about `cause`."""
        return EngineError(f"{self.endpoint.name} {what}: {reason.rstrip('. ')}. {_ADVICE[cause]}", cause)

    def _post(self, url: str, fields: dict[str, Any], total: float, read: float | None = None,
              fresh: bool = False) -> Reply:
        times = self.endpoint.timeouts
        body = json.dumps({"key": self._key.secret, **fields}).encode()
        reply = self._transport(
            Call("POST", url, body, times.connect, read or times.read, total, MAX_ANSWER, fresh=fresh)
        )
        return Reply(reply.status, reply.headers, self._key.hidden_in(reply.body))

    def _get(self, url: str, end: float) -> Reply:
        """What one place answers until `end`, by the monotonic clock; looking its name up counts too."""
        times, own = self.endpoint.timeouts, self.endpoint.origin
        way = in_time(lambda: way_to(url, own, self.endpoint.download_hosts, self._resolve, environment_proxy),
                      end - time.monotonic())
        left = max(0.001, end - time.monotonic())
        return self._transport(
            Call("GET", url, None, times.connect, times.read, left, MAX_PICTURE, way.addresses, way.proxy)
        )


_ADVICE = {
    errors.REFUSED: "Check the key, its credits and its plan at the service; nothing was paid.",
    errors.QUEUE_FULL: "Queue again later, or lower jobs_in_flight for this endpoint.",
    errors.SERVICE_DOWN: "Try again later.",
    errors.OFFLINE: "Check this server's network.",
    errors.JOB_FAILED: "Change the recipe and queue again.",
}


def first_download(client: Client, urls: Iterable[str]) -> bytes | Missed:
    """The first of `urls` that gives a picture; else why the best of them did not."""
    missed: list[Missed] = []
    for url in urls:
        got = client.download(url)
        if isinstance(got, bytes):
            return got
        missed.append(got)
    if not missed:
        return Missed("the answer names no image", barred=True)
    return next((m for m in missed if not m.barred), missed[0])
