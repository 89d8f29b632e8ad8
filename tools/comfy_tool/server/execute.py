"""Queue a prompt on a server and follow it to its end."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import ToolError
from ..workflow.prompt import Prompt, describe
from .client import Client, Refused
from .news import Message, News

WAIT_SECONDS = 1.0
LOOK_SECONDS = 5.0
MISSING_LOOKS = 3


class RunFailed(ToolError):
    """The server refused the prompt, or a node failed while it ran."""


class Progress(Protocol):
    """Shows how a run gets on. Its methods are called as the server reports progress."""

    def node(self, node_id: str) -> None:
        """A node begins."""

    def step(self, node_id: str, value: float, most: float) -> None:
        """A node has reached `value` of `most`."""


@dataclass(frozen=True)
class Finished:
    """A run that succeeded: the outputs of its output nodes by node id, and the time that it took in seconds."""

    prompt_id: str
    outputs: Mapping[str, Any]
    seconds: float


def execute(client: Client, prompt: Prompt, progress: Progress, workflow: Mapping[str, Any] | None = None) -> Finished:
    """Queue a prompt and wait until it is done. `workflow` is stored in the images, as the front end does.

    Raises RunFailed and ServerGone. On a KeyboardInterrupt the prompt is taken out of the queue or stopped.
    """
    client_id = uuid.uuid4().hex
    with News(client.url, client_id) as news:
        started = time.monotonic()
        prompt_id = queue(client, prompt, client_id, workflow)
        try:
            entry = _follow(client, news, prompt_id, progress)
        except KeyboardInterrupt:
            cancel(client, prompt_id)
            raise
    _check(entry, prompt)
    return Finished(prompt_id, entry.get("outputs") or {}, time.monotonic() - started)


def queue(client: Client, prompt: Prompt, client_id: str, workflow: Mapping[str, Any] | None = None) -> str:
    """Send a prompt and return its id. Raises RunFailed with all the faults that the server found, in one line."""
    extra = {"extra_pnginfo": {"workflow": workflow}} if workflow else {}
    body = {"prompt": prompt, "client_id": client_id, "extra_data": extra}
    try:
        answer = client.post("/prompt", body)
    except Refused as error:
        raise RunFailed(refusal(error.body, prompt) or str(error)) from error
    if answer.get("node_errors"):
        # The server queued the outputs without faults: running all or nothing is clearer.
        cancel(client, answer["prompt_id"])
        raise RunFailed(refusal(answer, prompt) or "the server found faults in the workflow")
    return str(answer["prompt_id"])


def refusal(body: Any, prompt: Prompt) -> str:
    """Return the faults in an answer of /prompt as one line: `node 5 (Image Mix), input pad: ...`."""
    if not isinstance(body, dict):
        return ""
    found = []
    for node_id, entry in (body.get("node_errors") or {}).items():
        for error in entry.get("errors") or []:
            name = (error.get("extra_info") or {}).get("input_name")
            text = ": ".join(part for part in (error.get("message"), error.get("details")) if part)
            found.append(f"{_named(node_id, prompt)}{f', input {name}' if name else ''}: {text}")
    if found:
        return "; ".join(found)
    error = body.get("error") or {}
    if not isinstance(error, dict):
        return str(error)
    return ": ".join(str(part) for part in (error.get("message"), error.get("details")) if part)


def cancel(client: Client, prompt_id: str) -> None:
    """Take a prompt out of the queue, or stop it if it runs. If the server is gone, the prompt has stopped as well."""
    for path, body in (("/queue", {"delete": [prompt_id]}), ("/interrupt", {"prompt_id": prompt_id})):
        try:
            client.post(path, body)
        except ToolError:
            return


def _follow(client: Client, news: News, prompt_id: str, progress: Progress) -> dict[str, Any]:
    """Report progress until the prompt is in the server's history, and return its entry there.

    The history is read when a message says that the prompt has ended, every few seconds in case that message was lost,
    and every second while there is no connection for messages.
    """
    looked, missing = time.monotonic(), 0
    while True:
        message = news.next(WAIT_SECONDS)
        ended = message is not None and _report(message, prompt_id, progress)
        if not ended and time.monotonic() - looked < (LOOK_SECONDS if news.connected else WAIT_SECONDS):
            continue
        looked = time.monotonic()
        history = client.get(f"/history/{prompt_id}")
        if prompt_id in history:
            return dict(history[prompt_id])
        missing = 0 if ended or _is_queued(client, prompt_id) else missing + 1
        if missing >= MISSING_LOOKS:
            raise RunFailed("the prompt is no longer in the server's queue: it was cleared, or the server restarted")


def _is_queued(client: Client, prompt_id: str) -> bool:
    state = client.get("/queue")
    entries = [*(state.get("queue_running") or []), *(state.get("queue_pending") or [])]
    return any(len(entry) > 1 and entry[1] == prompt_id for entry in entries)


def _report(message: Message, prompt_id: str, progress: Progress) -> bool:
    """Report what a message says about the prompt. Return whether it says that the prompt has ended.

    Binary messages are previews and are left out, as are messages about other prompts.
    """
    if isinstance(message, bytes):
        return False
    try:
        news = json.loads(message)
        kind, data = news["type"], news["data"]
    except (ValueError, KeyError, TypeError):
        return False
    if not isinstance(data, dict) or data.get("prompt_id") not in (prompt_id, None):
        return False
    if kind == "executing" and data.get("prompt_id") == prompt_id:
        if data.get("node") is None:
            return True
        progress.node(str(data.get("display_node") or data["node"]))
    elif kind == "progress" and data.get("node") is not None:
        progress.step(str(data["node"]), float(data.get("value") or 0), float(data.get("max") or 1))
    return False


def _check(entry: Mapping[str, Any], prompt: Prompt) -> None:
    """Raise RunFailed if the history says that the run did not succeed."""
    status = entry.get("status") or {}
    messages = {name: data for name, data in status.get("messages") or [] if isinstance(data, dict)}
    if error := messages.get("execution_error"):
        text = str(error.get("exception_message") or error.get("exception_type") or "unknown error")
        raise RunFailed(f"{_named(str(error.get('node_id')), prompt)}: {text}")
    if "execution_interrupted" in messages:
        raise RunFailed("the run was interrupted on the server")
    if status.get("status_str", "success") != "success":
        raise RunFailed(f"the run ended with the status {status.get('status_str')}")


def _named(node_id: str, prompt: Prompt) -> str:
    return describe(node_id, prompt[node_id]) if node_id in prompt else f"node {node_id}"
