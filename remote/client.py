"""Call one endpoint: what is sent, what is read, and which addresses may be asked. It decides nothing about money."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ..mixing.errors import EngineError
from ..mixing.urls import origin_of
from ..network.addresses import Resolve
from ..network.downloads import Downloader, Missed
from ..network.transport import Call, NoAnswer, NotSent, Reply, Transport
from ..wire.account import ListedPage
from ..wire.answers import Answer, Done, Pending, Refused, Unclear
from ..wire.texts import id_of
from . import errors
from .credentials import Key
from .endpoints import Endpoint
from .timing import Backoff, Pause

MAX_ANSWER = 4_000_000
"""The largest answer that is read, in bytes. Pictures are downloaded elsewhere."""

UPLOAD_CALLS = 2
"""An upload is retried for as long as this many calls may take."""


class Client:
    """Calls to `endpoint` with `key`.

    For downloads, `resolve` looks host names up, and `check` raises ImageError on bytes that are not a picture.
    """

    def __init__(
        self, endpoint: Endpoint, key: Key, transport: Transport, resolve: Resolve, check: Callable[[bytes], None]
    ) -> None:
        times = endpoint.timeouts
        self.endpoint = endpoint
        self.wire = endpoint.format
        self._key = key
        self._transport = transport
        self._downloader = Downloader(
            transport,
            resolve,
            check,
            endpoint.origin,
            endpoint.download_hosts,
            times.connect,
            times.read,
            times.download,
        )

    @property
    def has_list(self) -> bool:
        """Whether this service can list the account's jobs."""
        return self.wire.list_path is not None

    def submit(self, fields: dict[str, Any]) -> Answer:
        """Send a paid job, once, over a new connection, and return the answer.

        Raise NotSent if no byte was sent. Return Unclear if the job may have been taken.
        """
        limit = self.endpoint.timeouts.submit
        try:
            reply = self._post(self.endpoint.url(self.wire.mix_path), fields, limit, read=limit, fresh=True)
        except NoAnswer as error:
            return Unclear(str(error))
        return self._decoded(reply)

    def fetch(self, job: str, fetch_url: str | None) -> Answer:
        """Ask for the state of a job, and return the answer. Raise nothing.

        Use `fetch_url` only if it is on the endpoint's own origin. If that gives no clear answer, ask the documented
        address.
        """
        plain = self.endpoint.url(self.wire.fetch_path + job)
        if fetch_url is None or fetch_url == plain or origin_of(fetch_url) != self.endpoint.origin:
            return self._of_job(job, self._asked_at(plain))
        answer = self._of_job(job, self._asked_at(fetch_url))
        if isinstance(answer, (Done, Pending)):
            return answer
        other = self._of_job(job, self._asked_at(plain))
        return other if isinstance(other, (Done, Pending)) else answer

    def own_id(self, fetch_url: str | None) -> str | None:
        """Return the job's id at the end of `fetch_url`, or None if that is not an address of this endpoint."""
        if fetch_url is None or origin_of(fetch_url) != self.endpoint.origin or self.wire.fetch_path not in fetch_url:
            return None
        return id_of(fetch_url.rpartition("/")[2])

    def asked(self) -> str:
        """Ask for the length of the account's queue, which is free, and return one line that says whether the key works.

        Raise EngineError if the service refuses, does not answer, or answers in an unknown form.
        """
        if self.wire.count_path is None:
            return f"{self.endpoint.name} cannot be checked for free: its first job shows whether the key works."
        try:
            reply = self._post(self.endpoint.url(self.wire.count_path), {}, self.endpoint.timeouts.call)
        except NotSent as error:
            raise self.unreachable("cannot be asked", error) from error
        except NoAnswer as error:
            raise self.error("does not answer", str(error), errors.SERVICE_DOWN) from error
        answer = self._decoded(reply)
        if isinstance(answer, Refused) and answer.cause == errors.REFUSED:
            raise self.error("refuses the key", answer.reason, answer.cause)
        count = self.wire.decode_count(reply.body) if reply.status == 200 else None
        if count is None:
            reason = answer.reason if isinstance(answer, (Refused, Unclear)) else "its answer has an unknown form"
            raise self.error("did not answer as the service does", reason, errors.SERVICE_DOWN)
        return f"{self.endpoint.name} accepts the key and has {count} jobs in its queue."

    def listed(self, page: int) -> ListedPage | None:
        """Return a page of the account's list, newest job first, or None if there is no list or no answer."""
        if self.wire.list_path is None:
            return None
        try:
            reply = self._post(
                self.endpoint.url(self.wire.list_path), self.wire.encode_list(page), self.endpoint.timeouts.call
            )
        except (NotSent, NoAnswer):
            return None
        return self.wire.decode_list(reply.body) if reply.status == 200 else None

    def upload(self, data_uri: str, pause: Pause, backoff: Backoff) -> str:
        """Upload a picture, retrying because uploads are free, and return its URL. Raise EngineError if none succeeds."""
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
        """Return the picture at `url`, or why there is none. The key is not sent. See `Downloader.picture`."""
        return self._downloader.picture(url)

    def error(self, what: str, reason: str, cause: str) -> EngineError:
        """Return an EngineError that names this endpoint and advises on `cause`."""
        return EngineError(f"{self.endpoint.name} {what}: {reason.rstrip('. ')}. {ADVICE[cause]}", cause)

    def unreachable(self, what: str, error: NotSent) -> EngineError:
        """Return the error for a call of which no byte was sent."""
        cause = errors.OFFLINE if error.offline else errors.SERVICE_DOWN
        return errors.Unreachable(f"{self.endpoint.name} {what}: {str(error).rstrip('. ')}. {ADVICE[cause]}", cause)

    def _of_job(self, job: str, answer: Answer) -> Answer:
        """Return the answer to a fetch of `job`, or Unclear if it is about another job."""
        if isinstance(answer, (Done, Pending)) and answer.id not in (None, job):
            return Unclear(f"it answered with job {answer.id}")
        return answer

    def _asked_at(self, url: str) -> Answer:
        try:
            reply = self._post(url, {}, self.endpoint.timeouts.call)
        except (NotSent, NoAnswer) as error:
            return Unclear(str(error), 0)
        return self._decoded(reply)

    def _upload_once(self, data_uri: str) -> str | Answer:
        """Return the URL of an upload, or the answer without one. Raise NotSent or NoAnswer."""
        answer: Answer = Unclear("its answer contains no address")
        for path, name in self.wire.upload_paths:
            reply = self._post(self.endpoint.url(path), {name: data_uri}, self.endpoint.timeouts.call)
            url = self.wire.decode_upload(reply.body) if reply.status < 300 else None
            if url is not None:
                return url
            answer = self._decoded(reply)
            if reply.status not in (404, 405):
                break
        return answer

    def _upload_error(self, answer: Answer) -> EngineError:
        reason = answer.reason if isinstance(answer, (Refused, Unclear)) else "its answer contains no address"
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

    def _decoded(self, reply: Reply) -> Answer:
        return self.wire.decode(reply.status, reply.body, reply.headers.get("retry-after", ""))


ADVICE = {
    errors.REFUSED: "Check the key (Settings › Image Mixer), its credits and its plan at the service.",
    errors.QUEUE_FULL: "Queue again later, or lower jobs_in_flight for this endpoint.",
    errors.SERVICE_DOWN: "Try again later.",
    errors.OFFLINE: "Check this server's network.",
    errors.JOB_FAILED: "Change the recipe and queue again.",
}


def first_download(client: Client, urls: Iterable[str]) -> bytes | Missed:
    """Return the first picture that one of `urls` gives, or why the most promising one failed."""
    missed: list[Missed] = []
    for url in urls:
        got = client.download(url)
        if isinstance(got, bytes):
            return got
        missed.append(got)
    if not missed:
        return Missed("the answer contains no image", barred=True)
    return next((m for m in missed if not m.barred), missed[0])
