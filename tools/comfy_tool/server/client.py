"""ComfyUI's HTTP interface, as far as the commands need it."""

from __future__ import annotations

import ipaddress
import json
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ToolError, UsageError

TIMEOUT_SECONDS = 60.0


class ServerGone(ToolError):
    """The server cannot be reached, or the connection broke."""


class Refused(ToolError):
    """The server answered with an error. `status` is the HTTP status, `body` the decoded JSON or the text."""

    def __init__(self, message: str, status: int, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


def is_loopback(host: str) -> bool:
    """Return whether a host name means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Client:
    """A ComfyUI server at `url`, such as http://127.0.0.1:8188. Its methods raise ServerGone and Refused."""

    url: str

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--server {self.url!r} is not a server's address: use one like http://127.0.0.1:8188")
        object.__setattr__(self, "url", f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}")

    @property
    def host(self) -> str:
        """The host name of the server."""
        return urllib.parse.urlsplit(self.url).hostname or ""

    def request(self, method: str, path: str, timeout: float = TIMEOUT_SECONDS, **content: Any) -> bytes:
        """Send one request and return the answer's bytes. `content` is what requests takes: json, data, files, params."""
        import requests

        try:
            with requests.Session() as session:
                session.trust_env = not is_loopback(self.host)  # a proxy cannot reach this machine
                answer = session.request(method, self.url + path, timeout=timeout, **content)
        except requests.RequestException as error:
            message = f"the server at {self.url} does not answer ({_reason(error)}): is ComfyUI running there?"
            raise ServerGone(message) from error
        if answer.status_code < 400:
            return answer.content
        message = f"{self.url} refused {method} {path}: {answer.status_code} {answer.reason}"
        text = answer.content.decode("utf-8", "replace")
        try:
            body: Any = json.loads(text)
        except ValueError:
            body = text
        raise Refused(message, answer.status_code, body)

    def get(self, path: str, timeout: float = TIMEOUT_SECONDS) -> Any:
        """Return the JSON at a path."""
        return self._decoded(self.request("GET", path, timeout), path)

    def post(self, path: str, value: object) -> Any:
        """Send JSON and return the JSON of the answer, None if the answer is empty."""
        answer = self.request("POST", path, json=value)
        return self._decoded(answer, path) if answer.strip() else None

    def view(self, image: dict[str, Any]) -> bytes:
        """Return the bytes of an image that a node reported as {"filename", "subfolder", "type"}."""
        return self.request(
            "GET", "/view", params={key: str(image.get(key, "")) for key in ("filename", "subfolder", "type")}
        )

    def upload_image(self, file: Path, subfolder: str = "image-mixer") -> str:
        """Copy a local image into the server's input folder. Return the name by which LoadImage finds it there."""
        name = file.name.replace('"', "_").replace("\r", "_").replace("\n", "_")
        image = (name, file.read_bytes(), "application/octet-stream")
        fields = {"subfolder": subfolder, "type": "input"}
        answer = self.request("POST", "/upload/image", data=fields, files={"image": image})
        kept = self._decoded(answer, "/upload/image")
        folder = kept.get("subfolder", "")
        return f"{folder}/{kept['name']}" if folder else str(kept["name"])

    def _decoded(self, answer: bytes, path: str) -> Any:
        try:
            return json.loads(answer)
        except ValueError as error:
            raise ToolError(f"{self.url}{path} does not answer as a ComfyUI server does: check the address") from error


def _reason(error: BaseException) -> BaseException:
    """Return the first cause of an error, such as "[Errno 111] Connection refused"."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error
