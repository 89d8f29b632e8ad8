"""Queueing a prompt on a server and following it to its end."""

from __future__ import annotations

import json
import time
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import ToolError
from ..workflow.settings import describe
from .client import Client, Refused, ServerGone
from .websocket import TEXT, WebSocket, WebSocketError

Prompt = Mapping[str, Mapping[str, Any]]
WAIT_SECONDS = 1.0
LOOK_SECONDS = 5.0
MISSING_LOOKS = 3


class RunFailed(ToolError):
    """The server refused the prompt, or a node failed while it ran."""


class Progress(Protocol):
    """Who is told how a run gets on."""

    def node(self, node_id: str) -> None:
        """A node begins."""

    def step(self, node_id: str, value: float, most: float) -> None:
        """A node is at `value` of `most`."""


@dataclass(frozen=True)
class Finished:
    """A run that came to its end: what the output nodes gave, by node id, and the time it took in seconds."""

    prompt_id: str
    outputs: Mapping[str, Any]
    seconds: float


def execute(client: Client, prompt: Prompt, progress: Progress, workflow: Mapping[str, Any] | None = None) -> Finished:
    """Queue a prompt and wait until it is done. `workflow` is stored in the images as ComfyUI does it.

    Raises RunFailed and ServerGone. A KeyboardInterrupt takes the prompt out of the queue, or stops it, and goes on.
    """
    client_id = uuid.uuid4().hex
    socket = _open(client, client_id)
    started = time.monotonic()
    try:
        prompt_id = queue(client, prompt, client_id, workflow)
        try:
            entry = _follow(client, socket, prompt_id, progress)
        except KeyboardInterrupt:
            cancel(client, prompt_id)
            raise
    finally:
        if socket is not None:
            socket.close()
    _check(entry, prompt)
    return Finished(prompt_id, entry.get("outputs") or {}, time.monotonic() - started)


def queue(client: Client, prompt: Prompt, client_id: str, workflow: Mapping[str, Any] | None = None) -> str:
    """Send a prompt; gives its id. Raises RunFailed with what the server finds wrong, in one line."""
    extra = {"extra_pnginfo": {"workflow": workflow}} if workflow else {}
    body = {"prompt": prompt, "client_id": client_id, "extra_data": extra}
    try:
        answer = client.post("/prompt", body)
    except Refused as error:
        raise RunFailed(refusal(error.body, prompt) or str(error)) from error
    if answer.get("node_errors"):
        # The server queued the outputs that it found right: all or nothing is clearer.
        cancel(client, answer["prompt_id"])
        raise RunFailed(refusal(answer, prompt) or "the server found faults in the workflow")
    return str(answer["prompt_id"])


def refusal(body: Any, prompt: Prompt) -> str:
    """What /prompt answered, as one line: `node 5 (Image Mix), input pad: ...`."""
    if not isinstance(body, dict):
        return ""
    found = []
    for node_id, entry in (body.get("node_errors") or {}).items():
        where = describe(node_id, prompt[node_id]) if node_id in prompt else f"node {node_id}"
        for error in entry.get("errors") or []:
            name = (error.get("extra_info") or {}).get("input_name")
            text = ": ".join(part for part in (error.get("message"), error.get("details")) if part)
            found.append(f"{where}{f', input {name}' if name else ''}: {text}")
    if found:
        return "; ".join(found)
    error = body.get("error") or {}
    if not isinstance(error, dict):
        return str(error)
    return ": ".join(str(part) for part in (error.get("message"), error.get("details")) if part)


def cancel(client: Client, prompt_id: str) -> None:
    """Take a prompt out of the queue, or stop it where it runs. A server that is gone has stopped as well."""
    for path, body in (("/queue", {"delete": [prompt_id]}), ("/interrupt", {"prompt_id": prompt_id})):
        try:
            client.post(path, body)
        except ToolError:
            return


def _open(client: Client, client_id: str) -> WebSocket | None:
    """The server's news, or None where only asking now and then is left."""
    parts = urllib.parse.urlsplit(client.url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    try:
        return WebSocket(f"{scheme}://{parts.netloc}{parts.path}/ws?clientId={client_id}")
    except WebSocketError:
        client.get("/system_stats")
        return None


def _follow(client: Client, socket: WebSocket | None, prompt_id: str, progress: Progress) -> dict[str, Any]:
    """Wait for the prompt's entry in the server's history, telling of progress meanwhile."""
    looked, missing = time.monotonic(), 0
    while True:
        ended = False
        if socket is None:
            time.sleep(WAIT_SECONDS)
        else:
            try:
                message = socket.receive(WAIT_SECONDS)
            except WebSocketError:
                message, socket = None, None
            if message is not None and message[0] == TEXT:
                ended = _tell(message[1], prompt_id, progress)
        if not ended and socket is not None and time.monotonic() - looked < LOOK_SECONDS:
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


def _tell(message: bytes, prompt_id: str, progress: Progress) -> bool:
    """Pass on one piece of news; True when it says that the prompt has ended."""
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
    """Raises RunFailed when the history says that the run did not succeed."""
    status = entry.get("status") or {}
    messages = {name: data for name, data in status.get("messages") or [] if isinstance(data, dict)}
    if error := messages.get("execution_error"):
        node_id = str(error.get("node_id"))
        where = describe(node_id, prompt[node_id]) if node_id in prompt else f"node {node_id}"
        text = str(error.get("exception_message") or error.get("exception_type") or "unknown error")
        raise RunFailed(f"{where}: {text}")
    if "execution_interrupted" in messages:
        raise RunFailed("the run was interrupted on the server")
    if status.get("status_str", "success") != "success":
        raise RunFailed(f"the run ended with the status {status.get('status_str')}")


__all__ = ["Finished", "Progress", "RunFailed", "ServerGone", "cancel", "execute", "queue", "refusal"]
