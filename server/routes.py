"""The HTTP routes: which endpoints there are, and setting, trying or forgetting a key. None ever gives a key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from comfy.cli_args import args

from server import PromptServer

from ..mixing.errors import MixError
from .guard import refusal
from .remote_engine import SERVICE

LONGEST_BODY = 4096


class _Refused(Exception):
    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def register() -> None:
    """Adds the routes to ComfyUI's server."""
    routes = PromptServer.instance.routes
    routes.get("/image_mixer/endpoints")(endpoints)
    routes.post("/image_mixer/key")(set_key)
    routes.delete("/image_mixer/key")(forget_key)
    routes.post("/image_mixer/test")(test_key)


async def endpoints(_request: web.Request) -> web.Response:
    """The profiles by name, each with whether it has a key, and the caps on paid jobs."""
    listed, problem = SERVICE.listing()
    answer: dict[str, Any] = {"endpoints": [{"name": name, "has_key": has} for name, has in listed]}
    if problem:
        return web.json_response(answer | {"error": problem})
    settings = SERVICE.settings()
    for entry in answer["endpoints"]:
        entry["images_per_job"] = settings.endpoint(entry["name"]).images_per_job
    caps = {"max_jobs_per_run": settings.max_jobs_per_run, "max_jobs_per_day": settings.max_jobs_per_day}
    return web.json_response(answer | caps)


async def set_key(request: web.Request) -> web.Response:
    """Keeps `key` for the endpoint `endpoint`; answers only that one is set."""
    try:
        fields = await _fields(request)
        key = fields.get("key")
        if not isinstance(key, str):
            raise _Refused(400, "Give the key as text, in the field key.")
        SERVICE.prepare()
        SERVICE.credentials().set(_credential(fields), key)
    except (_Refused, MixError) as error:
        return _said(error)
    return web.json_response({"set": True})


async def forget_key(request: web.Request) -> web.Response:
    """Forgets the key that was set for the endpoint `endpoint`; one in the environment stays."""
    try:
        name = _credential(await _fields(request))
        SERVICE.credentials().clear(name)
        still = SERVICE.credentials().has(name)
    except (_Refused, MixError) as error:
        return _said(error)
    return web.json_response({"set": still})


async def test_key(request: web.Request) -> web.Response:
    """Asks the endpoint's service with its key, which costs nothing; answers one line."""
    try:
        name = SERVICE.settings().endpoint(str((await _fields(request)).get("endpoint"))).name
        loop = asyncio.get_running_loop()
        line = await loop.run_in_executor(None, lambda: SERVICE.engine().check_key(name))
    except (_Refused, MixError) as error:
        return _said(error)
    return web.json_response({"line": line})


async def _fields(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request that may touch keys. Raises _Refused, and InputError on unusable settings."""
    beyond = SERVICE.settings().keys_beyond_loopback
    status, line = refusal(request.headers, request.remote, request.scheme, args.listen, beyond)
    if status:
        raise _Refused(status, line)
    body = await request.content.read(LONGEST_BODY + 1)
    while len(body) <= LONGEST_BODY and not request.content.at_eof():
        body += await request.content.read(LONGEST_BODY + 1 - len(body))
    if len(body) > LONGEST_BODY:
        raise _Refused(413, f"That is over {LONGEST_BODY} bytes, and no key is so long.")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):  # the second on lists in lists in lists
        fields = None
    if not isinstance(fields, dict):
        raise _Refused(400, "Send a JSON object with the fields endpoint and key.")
    return fields


def _credential(fields: dict[str, Any]) -> str:
    return SERVICE.settings().endpoint(str(fields.get("endpoint"))).credential


def _said(error: Exception) -> web.Response:
    return web.json_response({"error": str(error)}, status=getattr(error, "status", 400))
