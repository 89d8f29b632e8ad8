"""The command line's words, and one line with an exit code for every failure."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from .commands import bench, demo, jobs, live, locales, run, serve
from .commands import test as tiers
from .errors import ToolError
from .install import pins

INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="comfy.py", description="Try, run and test Image Mixer in a real ComfyUI.")
    top.add_argument("--traceback", action="store_true", help="show where a failure came from")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    served = commands.add_parser(
        "serve",
        help="start a ComfyUI with this pack linked in",
        epilog="Arguments after -- go to ComfyUI itself: comfy.py serve -- --lowvram",
    )
    _install_options(served)
    served.add_argument("--port", type=_port, default=8188, metavar="N", help="port, 0 for a free one (default: 8188)")
    served.add_argument("--listen", default="127.0.0.1", metavar="ADDR", help="address (default: 127.0.0.1)")
    served.add_argument("--base", type=Path, metavar="DIR", help="keep inputs, outputs and settings here")
    served.add_argument(
        "--with-service",
        action="store_true",
        help="also run a stand-in of the paid service, which costs nothing, and lead the endpoints to it",
    )
    served.set_defaults(action=serve.command)

    queued = commands.add_parser("run", help="run a workflow without a browser and save its images")
    _install_options(queued)
    queued.add_argument("workflow", type=Path, metavar="WORKFLOW.json", help="in UI or API format")
    queued.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        dest="settings",
        help="change an input; NODE is an id, a title or a class; may be repeated",
    )
    queued.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="where images go (default: out)")
    queued.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    queued.add_argument("--dry-run", action="store_true", help="check, count images and paid jobs, queue nothing")
    queued.add_argument("--server", metavar="URL", help="a running ComfyUI (default: one is started)")
    queued.set_defaults(action=run.command)

    shown = commands.add_parser("demo", help="mix two pictures, their weights swept from one to the other")
    _install_options(shown)
    shown.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="a real Image Mixer checkpoint (default: the model in the box)"
    )
    shown.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where images go (default: demo)")
    shown.set_defaults(action=demo.command)

    _add_test(commands)

    measured = commands.add_parser("bench", help="measure: figures with their aims")
    measured.add_argument("name", metavar="NAME", nargs="?", help="a script in benchmarks/; without it, lists them")
    measured.add_argument("--json", action="store_true", help="print one JSON object: name to value, aim and unit")
    measured.add_argument("--quick", action="store_true", help="the smallest sizes, without aims: does it still run?")
    measured.set_defaults(action=bench.command)

    _add_jobs(
        commands.add_parser("jobs", help="what was paid, delivered, is missing or unknown, by a server's journal")
    )

    texts = commands.add_parser("locales", help="write locales/en anew from the nodes and the web part")
    texts.set_defaults(action=locales.command)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    options, rest = parser().parse_known_args(given[:end])
    if rest and options.command != "test":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest + given[end + 1 :]
    if options.rest and options.command not in ("serve", "test"):
        parser().error(f"{options.command} takes no arguments after --")
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(options.action(options))
    except ToolError as error:
        if options.traceback:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _test(options: argparse.Namespace) -> int:
    return live.command(options) if options.live else tiers.command(options)


def _add_test(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tested = commands.add_parser(
        "test",
        help="run the tests, in a real ComfyUI where they need one",
        epilog="Other options go to pytest: comfy.py test --tier pure -k weights -x",
        allow_abbrev=False,
    )
    tested.add_argument(
        "--tier", choices=tiers.TIERS, help="one tier (default: pure, comfyui and a browser smoke test)"
    )
    tested.add_argument(
        "--live", action="store_true", help="instead: a few calls to the real service, with your key; costs money"
    )
    tested.add_argument("--yes", action="store_true", help="with --live: pay for it")
    tested.set_defaults(action=_test)


def _add_jobs(counted: argparse.ArgumentParser) -> None:
    counted.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        help="the ComfyUI whose journal is read (default: COMFYUI_PATH, or else the one that this pack lies in)",
    )
    counted.add_argument("--base", type=Path, metavar="DIR", help="what ComfyUI was given as --base-directory")
    counted.add_argument("--user-directory", type=Path, metavar="DIR", help="what ComfyUI was given under that name")
    counted.add_argument("--by", choices=jobs.BYS, default="month", help="what to sum by (default: month)")
    counted.add_argument("--month", type=jobs.month, metavar="YYYY-MM", help="only this month, in local time")
    counted.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    counted.add_argument("--export", type=Path, metavar="FILE", help="also write every attempt to a .csv or .json file")
    counted.set_defaults(action=jobs.command)


def _install_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        help="your own ComfyUI (default: COMFYUI_PATH, or else a throw-away one in your cache folder)",
    )
    command.add_argument("--python", type=Path, metavar="PATH", help="the Python that your ComfyUI runs with")
    command.add_argument("--version", choices=list(pins.RELEASES), help="version of the throw-away ComfyUI")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
