"""Calls to one endpoint: what is sent, what is read, and who may be asked. It decides nothing about money."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from ..mixing.errors import EngineError, ImageError
from ..network.addresses import Disallowed, Resolve, origin_of, way_to
from ..network.lookups import in_time
from ..network.pictures import picture_bytes
from ..network.transport import Call, NoAnswer, NotSent, Reply, TooLarge, Transport, environment_proxy
from ..wire.answers import (
    Answer,
    Done,
    ListedPage,
    Pending,
    Refused,
    Unclear,
    decode_answer,
    json_object,
    listed_page,
    uploaded_url,
)
from ..wire.formats import wire_of
from ..wire.texts import id_of
from . import errors
from .credentials import Key
from .endpoints import Endpoint
from .timing import Backoff, Pause

MAX_ANSWER = 4_000_000
MAX_PICTURE = 64_000_000
MAX_REDIRECTS = 5
ROWS_PER_PAGE = 30
"""The list's largest page."""

COUNT_FIELD = "processing_count"
"""Where the service's page of the queue's length has the number."""

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

    def __init__(
        self, endpoint: Endpoint, key: Key, transport: Transport, resolve: Resolve, check: Callable[[bytes], None]
    ) -> None:
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
        """Ask how a job stands. Raises nothing.

        `fetch_url` is used only on the endpoint's own origin; if it does not tell, the documented address is asked.
        """
        plain = self.endpoint.url(self._wire.fetch_path + job)
        if fetch_url is None or fetch_url == plain or origin_of(fetch_url) != self.endpoint.origin:
            return self._of_job(job, self._asked_at(plain))
        answer = self._of_job(job, self._asked_at(fetch_url))
        if isinstance(answer, (Done, Pending)):
            return answer
        other = self._of_job(job, self._asked_at(plain))
        return other if isinstance(other, (Done, Pending)) else answer

    def own_id(self, fetch_url: str | None) -> str | None:
        """The id at the end of an address to fetch a job from, if it is one of the endpoint's own."""
        if fetch_url is None or origin_of(fetch_url) != self.endpoint.origin or self._wire.fetch_path not in fetch_url:
            return None
        return id_of(fetch_url.rpartition("/")[2])

    def asked(self) -> str:
        """One line of what the service says to the key: it is asked for the length of the account's queue, for free.

        Raises EngineError if the service refuses, does not answer, or answers in a form that is not its own.
        """
        if self._wire.count_path is None:
            return f"{self.endpoint.name} can be asked nothing for free: its first job tries the key."
        try:
            reply = self._post(self.endpoint.url(self._wire.count_path), {}, self.endpoint.timeouts.call)
        except NotSent as error:
            raise self.unreachable("cannot be asked", error) from error
        except NoAnswer as error:
            raise self.error("does not answer", str(error), errors.SERVICE_DOWN) from error
        answer = decode_answer(reply.status, reply.body, reply.headers.get("retry-after", ""))
        if isinstance(answer, Refused) and answer.cause == errors.REFUSED:
            raise self.error("refuses the key", answer.reason, answer.cause)
        fields = json_object(reply.body) or {}
        count = fields.get(COUNT_FIELD)
        if reply.status != 200 or str(fields.get("status", "")).lower() != "success" or type(count) is not int:
            reason = answer.reason if isinstance(answer, (Refused, Unclear)) else "its answer is in no form known here"
            raise self.error("did not answer as the service does", reason, errors.SERVICE_DOWN)
        return f"{self.endpoint.name} takes the key and has {count} jobs in its queue."

    def listed(self, page: int) -> ListedPage | None:
        """A page of the account's list, newest first; None if this service has no list or does not answer."""
        if self._wire.list_path is None:
            return None
        fields = {"type": "image", "per_page": ROWS_PER_PAGE, "page": page}
        try:
            reply = self._post(self.endpoint.url(self._wire.list_path), fields, self.endpoint.timeouts.call)
        except (NotSent, NoAnswer):
            return None
        said = str((json_object(reply.body) or {}).get("status", "success")).lower()
        return listed_page(reply.body) if reply.status == 200 and said == "success" else None

    def upload(self, data_uri: str, pause: Pause, backoff: Backoff) -> str:
        """Give a picture to the service and return its URL, trying again freely. Raises EngineError."""
        problem = self.error("did not take the upload of a picture", "it did not answer", errors.SERVICE_DOWN)
        for wait in backoff.waits(UPLOAD_CALLS * self.endpoint.timeouts.call):
            retry_after = 0.0
            try:
                got = self._upload_once(data_uri)
                if isinstance(got, str):
                    return got
                problem = self._upload_error(got)
                if isinstance(got, Refused):
                    retry_after = got.retry_after or 0.0
                    if got.cause in (errors.REFUSED, errors.JOB_FAILED):
                        raise problem
            except NotSent as error:
                problem = self.unreachable("cannot be reached for the upload of a picture", error)
            except NoAnswer as error:
                problem = self.error("did not take the upload of a picture", str(error), errors.SERVICE_DOWN)
            pause(max(wait, retry_after))
        raise problem

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
        return EngineError(f"{self.endpoint.name} {what}: {reason.rstrip('. ')}. {ADVICE[cause]}", cause)

    def unreachable(self, what: str, error: NotSent) -> EngineError:
        """The error for a call of which no byte could be sent."""
        cause = errors.OFFLINE if error.offline else errors.SERVICE_DOWN
        return errors.Unreachable(f"{self.endpoint.name} {what}: {str(error).rstrip('. ')}. {ADVICE[cause]}", cause)

    def _of_job(self, job: str, answer: Answer) -> Answer:
        """The answer to a fetch of `job`; Unclear if it tells of another job."""
        if isinstance(answer, (Done, Pending)) and answer.id not in (None, job):
            return Unclear(f"it answers for job {answer.id}")
        return answer

    def _asked_at(self, url: str) -> Answer:
        try:
            reply = self._post(url, {}, self.endpoint.timeouts.call)
        except (NotSent, NoAnswer) as error:
            return Unclear(str(error), 0)
        return self._wire.decode(reply.status, reply.body, reply.headers.get("retry-after", ""))

    def _upload_once(self, data_uri: str) -> str | Answer:
        """The URL of an upload, or what was answered instead. Raises NotSent and NoAnswer."""
        answer: Answer = Unclear("its answer holds no address")
        for path, name in self._wire.upload_paths:
            reply = self._post(self.endpoint.url(path), {name: data_uri}, self.endpoint.timeouts.call)
            url = uploaded_url(reply.body) if reply.status < 300 else None
            if url is not None:
                return url
            answer = decode_answer(reply.status, reply.body, reply.headers.get("retry-after", ""))
            if reply.status not in (404, 405):
                break
        return answer

    def _upload_error(self, answer: Answer) -> EngineError:
        reason = answer.reason if isinstance(answer, (Refused, Unclear)) else "its answer holds no address"
        if not isinstance(answer, Refused):
            return self.error("did not take the upload of a picture", reason, errors.SERVICE_DOWN)
        verb = {errors.REFUSED: "refuses the upload", errors.JOB_FAILED: "refuses a picture"}
        return self.error(verb.get(answer.cause, "did not take the upload of a picture"), reason, answer.cause)

    def _post(
        self, url: str, fields: dict[str, Any], total: float, read: float | None = None, fresh: bool = False
    ) -> Reply:
        times = self.endpoint.timeouts
        body = json.dumps({"key": self._key.secret, **fields}).encode()
        reply = self._transport(
            Call("POST", url, body, times.connect, read or times.read, total, MAX_ANSWER, fresh=fresh)
        )
        return Reply(reply.status, reply.headers, self._key.hidden_in(reply.body))

    def _get(self, url: str, end: float) -> Reply:
        """What one place answers until `end`, by the monotonic clock; looking its name up counts too."""
        times, own = self.endpoint.timeouts, self.endpoint.origin
        way = in_time(
            lambda: way_to(url, own, self.endpoint.download_hosts, self._resolve, environment_proxy),
            end - time.monotonic(),
        )
        left = max(0.001, end - time.monotonic())
        return self._transport(
            Call("GET", url, None, times.connect, times.read, left, MAX_PICTURE, way.addresses, way.proxy)
        )


ADVICE = {
    errors.REFUSED: "Check the key (Settings › Image Mixer), its credits and its plan at the service.",
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
