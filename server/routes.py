"""The HTTP routes: list the endpoints; set, test or forget a key; count a prompt's paid jobs. None ever returns a key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from comfy.cli_args import args

import nodes as core
from server import PromptServer

from ..mixing.errors import MixError
from .definitions import definitions
from .estimate import estimate
from .guard import is_json, refusal
from .remote_engine import SERVER_ENGINE

LONGEST_BODY = 4096
"""Bytes of a request about a key."""

LONGEST_PROMPT = 4 * 2**20
"""Bytes of a prompt to count: workflows of a thousand nodes have a tenth of it."""

_JSON_ONLY = "Send JSON, with the content type application/json."


class _Refused(Exception):
    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def register(server: PromptServer) -> None:
    """Add the routes to ComfyUI's `server`."""
    routes = server.routes
    routes.get("/image_mixer/endpoints")(endpoints)
    routes.post("/image_mixer/estimate")(estimate_prompt)
    routes.post("/image_mixer/key")(set_key)
    routes.delete("/image_mixer/key")(forget_key)
    routes.post("/image_mixer/test")(test_key)


async def endpoints(_request: web.Request) -> web.Response:
    """Answer the profiles by name, each with whether it has a key, and the caps on paid jobs."""
    listed, problem = SERVER_ENGINE.listing()
    answer: dict[str, Any] = {"endpoints": [{"name": name, "has_key": has} for name, has in listed]}
    if problem:
        return web.json_response(answer | {"error": problem})
    settings = SERVER_ENGINE.settings()
    for entry in answer["endpoints"]:
        entry["images_per_job"] = settings.endpoint(entry["name"]).images_per_job
    caps = {"max_jobs_per_run": settings.max_jobs_per_run, "max_jobs_per_day": settings.max_jobs_per_day}
    return web.json_response(answer | caps)


async def estimate_prompt(request: web.Request) -> web.Response:
    """Answer how many images and paid jobs `prompt` (API format) makes at most; null if a number is not known beforehand.

    Anyone who may queue may ask: it reads no key, keeps nothing and changes nothing. Only JSON is taken, which a page
    of another site cannot send unless the server's owner has allowed that site.
    """

    def counted(body: bytes) -> dict[str, Any]:
        return estimate(_object(body, "prompt").get("prompt"), definitions(core.NODE_CLASS_MAPPINGS)).as_json()

    try:
        if not is_json(request.headers):
            raise _Refused(415, _JSON_ONLY)
        body = await _body(request, LONGEST_PROMPT)
        # In a thread: a large prompt takes a while, and the server must go on answering.
        answer = await asyncio.get_running_loop().run_in_executor(None, counted, body)
    except _Refused as error:
        return _error(error)
    return web.json_response(answer)


async def set_key(request: web.Request) -> web.Response:
    """Keep `key` for the endpoint `endpoint`; answer only that one is set."""
    try:
        fields = await _fields(request)
        key = fields.get("key")
        if not isinstance(key, str):
            raise _Refused(400, "Give the key as text, in the field key.")
        SERVER_ENGINE.prepare()
        SERVER_ENGINE.credentials().set(_credential(fields), key)
    except (_Refused, MixError) as error:
        return _error(error)
    return web.json_response({"set": True})


async def forget_key(request: web.Request) -> web.Response:
    """Forget the key that was set for the endpoint `endpoint`; one in the environment stays."""
    try:
        name = _credential(await _fields(request))
        SERVER_ENGINE.credentials().clear(name)
        still = SERVER_ENGINE.credentials().has(name)
    except (_Refused, MixError) as error:
        return _error(error)
    return web.json_response({"set": still})


async def test_key(request: web.Request) -> web.Response:
    """Ask the endpoint's service whether it takes the key, which costs nothing; answer one line."""
    try:
        name = SERVER_ENGINE.settings().endpoint(str((await _fields(request)).get("endpoint"))).name
        loop = asyncio.get_running_loop()
        line = await loop.run_in_executor(None, lambda: SERVER_ENGINE.engine().check_key(name))
    except (_Refused, MixError) as error:
        return _error(error)
    return web.json_response({"line": line})


async def _fields(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request that may touch keys.

    Raise _Refused if it may not, and InputError if the settings cannot be used.
    """
    beyond = SERVER_ENGINE.settings().keys_beyond_loopback
    status, line = refusal(request.headers, request.remote, request.scheme, args.listen, beyond)
    if status:
        raise _Refused(status, line)
    return _object(await _body(request, LONGEST_BODY), "endpoint and key")


async def _body(request: web.Request, most: int) -> bytes:
    """Read a request's body. Raise _Refused if it has more than `most` bytes."""
    body = bytearray(await request.content.read(most + 1))
    while len(body) <= most and not request.content.at_eof():
        body += await request.content.read(most + 1 - len(body))
    if len(body) > most:
        raise _Refused(413, f"The request is too large: send at most {most} bytes.")
    return bytes(body)


def _object(body: bytes, fields: str) -> dict[str, Any]:
    """Decode a JSON object. Raise _Refused, naming the `fields` it should have, if it is anything else."""
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):  # RecursionError: lists nested too deep
        decoded = None
    if not isinstance(decoded, dict):
        raise _Refused(400, f"Send a JSON object with the field{'s' if ' and ' in fields else ''} {fields}.")
    return decoded


def _credential(fields: dict[str, Any]) -> str:
    return SERVER_ENGINE.settings().endpoint(str(fields.get("endpoint"))).credential


def _error(error: Exception) -> web.Response:
    return web.json_response({"error": str(error)}, status=getattr(error, "status", 400))
