"""ComfyUI's HTTP interface, as far as the commands need it."""

from __future__ import annotations

import http.client
import ipaddress
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ToolError, UsageError

TIMEOUT_SECONDS = 60.0


class ServerGone(ToolError):
    """The server cannot be reached, or broke off."""


class Refused(ToolError):
    """The server answered with an error. `status` is the HTTP status, `body` the decoded JSON or the text."""

    def __init__(self, message: str, status: int, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine. Proxies are never asked for it."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Client:
    """A ComfyUI server at `url`, such as http://127.0.0.1:8188. Raises ServerGone and Refused."""

    url: str

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--server {self.url!r} is no address of a server: give one like http://127.0.0.1:8188")
        object.__setattr__(self, "url", f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}")

    @property
    def host(self) -> str:
        """The host name of the server."""
        return urllib.parse.urlsplit(self.url).hostname or ""

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = TIMEOUT_SECONDS,
    ) -> bytes:
        """One exchange; gives the answer's bytes."""
        headers = {"Content-Type": content_type} if body is not None else {}
        asked = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        handlers = [urllib.request.ProxyHandler({})] if is_loopback(self.host) else []
        try:
            with urllib.request.build_opener(*handlers).open(asked, timeout=timeout) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            try:
                content: Any = json.loads(text)
            except ValueError:
                content = text
            message = f"{self.url} refused {method} {path}: {error.code} {error.reason}"
            raise Refused(message, error.code, content) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            message = f"the server at {self.url} does not answer ({reason}): is ComfyUI running there?"
            raise ServerGone(message) from error

    def get(self, path: str, timeout: float = TIMEOUT_SECONDS) -> Any:
        """The JSON at a path."""
        return self._decoded(self.request("GET", path, timeout=timeout), path)

    def post(self, path: str, value: object) -> Any:
        """Send JSON; gives the JSON answered, or None for an empty answer."""
        answer = self.request("POST", path, json.dumps(value).encode())
        return self._decoded(answer, path) if answer.strip() else None

    def view(self, image: dict[str, Any]) -> bytes:
        """The bytes of an image that a node reported, {"filename", "subfolder", "type"}."""
        asked = {key: str(image.get(key, "")) for key in ("filename", "subfolder", "type")}
        return self.request("GET", "/view?" + urllib.parse.urlencode(asked))

    def upload_image(self, file: Path, subfolder: str = "image-mixer") -> str:
        """Copy a local image into the server's input folder; gives the name by which LoadImage finds it there."""
        boundary = f"----{secrets.token_hex(16)}"
        name = file.name.replace('"', "_").replace("\r", "_").replace("\n", "_")
        parts = [_form_field(boundary, "subfolder", subfolder), _form_field(boundary, "type", "input")]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        body = "".join([*parts, head]).encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        content_type = f"multipart/form-data; boundary={boundary}"
        kept = self._decoded(self.request("POST", "/upload/image", body, content_type), "/upload/image")
        folder = kept.get("subfolder", "")
        return f"{folder}/{kept['name']}" if folder else str(kept["name"])

    def _decoded(self, answer: bytes, path: str) -> Any:
        try:
            return json.loads(answer)
        except ValueError as error:
            raise ToolError(f"{self.url}{path} does not answer as a ComfyUI server does: check the address") from error


def _form_field(boundary: str, name: str, value: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
