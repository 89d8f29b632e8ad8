"""`serve`: a ComfyUI with this pack in it, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import time

from .console import printable, say
from .errors import ToolError
from .installs import find_install
from .server import Server


def command(options: argparse.Namespace) -> int:
    """Start, print the address, pass on ComfyUI's output, and end in order."""
    install = find_install(options.comfyui, options.python, options.version)
    server = Server(
        install=install, base=options.base, listen=options.listen, port=options.port, extra_args=options.rest
    )
    say(f"Starting {install.comfyui} ...")
    with server:
        say(f"Image Mixer is ready: {server.url}")
        if options.base is None:
            say(f"Files lie in {server.base} and are removed at the end; --base DIR keeps them. Ctrl-C ends.")
        with contextlib.suppress(KeyboardInterrupt):
            code = _follow(server)
            raise ToolError(f"ComfyUI ended with exit code {code}. The whole log: {server.log}")
        say("Stopping ...")
    return 0


def _follow(server: Server) -> int:
    """Print what ComfyUI prints from now on; gives its exit code when it ends."""
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
