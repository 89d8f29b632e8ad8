"""`serve`: run a ComfyUI with this pack in it until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path

from ..console import printable, say
from ..errors import ToolError
from ..install.installs import Install
from ..server import standin
from ..server.server import Server
from .libraries import install_for


def command(options: argparse.Namespace) -> int:
    """Start ComfyUI, print its address and then its output, and end it after Ctrl-C."""
    install = install_for(options)
    with contextlib.ExitStack() as stack:
        base, env = options.base, {}
        if options.with_service:
            if base is None:
                base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="image-mixer-")))
            address = stack.enter_context(standin.stand_in(install.python))
            file = standin.write_profiles(base, {n: f"{address}/api/{wire}" for n, wire in standin.NAMES.items()})
            env = standin.ENVIRONMENT
            say(
                f"A stand-in of the paid service runs at {address}, with the key {standin.DEMO_KEY}. Nothing costs money."
            )
            say(f"The endpoints {' and '.join(standin.NAMES)} use it, as written in {file}")
        return _serve(options, install, base, env)


def _serve(options: argparse.Namespace, install: Install, base: Path | None, env: dict[str, str]) -> int:
    server = Server(
        install=install, base=base, listen=options.listen, port=options.port, extra_args=options.rest, env=env
    )
    say(f"Starting {install.comfyui} ...")
    with server:
        say(f"Image Mixer is ready: {server.url}")
        if options.base is None:
            say(
                f"Files are in {server.base} and are removed at the end; --base DIR keeps them. Ctrl-C stops the server."
            )
        with contextlib.suppress(KeyboardInterrupt):
            code = _follow(server)
            raise ToolError(f"ComfyUI ended with exit code {code}. The whole log: {server.log}")
        say("Stopping ...")
    return 0


def _follow(server: Server) -> int:
    """Print what ComfyUI prints from now on. Return its exit code when it ends."""
    with server.log.open("rb") as source:
        source.seek(0, 2)
        while True:
            ended = server.poll()
            if text := source.read():
                print(printable(text.decode("utf-8", "replace")), end="", flush=True)
            elif ended is not None:
                return ended
            else:
                time.sleep(0.2)
