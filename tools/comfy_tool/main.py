"""The command line's parser. Every failure becomes one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from .errors import ToolError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands that are here: a pack from the registry does not include every one."""
    top = argparse.ArgumentParser(prog="comfy.py", description="Try, run and test Image Mixer in a real ComfyUI.")
    top.add_argument("--traceback", action="store_true", help="show where in the code a failure happened")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add in ADDED.items():
        if _is_here(name):
            add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Return its exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    named = next((word for word in given if not word.startswith("-")), "")
    if named in ADDED and not _is_here(named):
        print(
            f"error: `{named}` is not part of the registry's package: clone the repository to use it", file=sys.stderr
        )
        return 2
    end = given.index("--") if "--" in given else len(given)
    options, rest = parser().parse_known_args(given[:end])
    if rest and options.command != "test":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.given = given
    options.rest = rest + given[end + 1 :]
    if options.rest and options.command not in ("serve", "test"):
        parser().error(f"{options.command} takes no arguments after --")
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(options)
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


def _is_here(command: str) -> bool:
    return (Path(__file__).parent / "commands" / f"{command}.py").is_file()


def _run(options: argparse.Namespace) -> int:
    name = "live" if options.command == "test" and options.live else options.command
    return int(importlib.import_module(f".commands.{name}", __package__).command(options))


def _add_serve(commands: Commands) -> None:
    served = commands.add_parser(
        "serve",
        help="start a ComfyUI with this pack in it",
        epilog="Arguments after -- are passed to ComfyUI: comfy.py serve -- --lowvram",
    )
    _add_install_options(served)
    served.add_argument("--port", type=_port, default=8188, metavar="N", help="port, 0 for a free one (default: 8188)")
    served.add_argument("--listen", default="127.0.0.1", metavar="ADDR", help="address (default: 127.0.0.1)")
    served.add_argument("--base", type=Path, metavar="DIR", help="keep inputs, outputs and settings in this folder")
    served.add_argument(
        "--with-service",
        action="store_true",
        help="also run a stand-in of the paid service, which costs nothing, and let the endpoints use it",
    )


def _add_run(commands: Commands) -> None:
    queued = commands.add_parser("run", help="run a workflow without a browser and save its images")
    _add_install_options(queued)
    queued.add_argument("workflow", type=Path, metavar="WORKFLOW.json", help="a workflow in UI or API format")
    queued.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        dest="settings",
        help="change an input; NODE is an id, a title or a class; may be repeated",
    )
    queued.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="folder for images (default: out)")
    queued.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    queued.add_argument(
        "--dry-run", action="store_true", help="check the workflow and count images and paid jobs, but queue nothing"
    )
    queued.add_argument("--server", metavar="URL", help="use a running ComfyUI (default: start one)")


def _add_demo(commands: Commands) -> None:
    shown = commands.add_parser("demo", help="mix two pictures, with weights that sweep from one to the other")
    _add_install_options(shown)
    shown.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="a real Image Mixer checkpoint (default: this pack's demo model)",
    )
    shown.add_argument(
        "--out", type=Path, default=Path("demo"), metavar="DIR", help="folder for images (default: demo)"
    )


def _add_test(commands: Commands) -> None:
    from .commands.test import TIERS

    tested = commands.add_parser(
        "test",
        help="run the tests, in a real ComfyUI if they need one",
        epilog="Other options are passed to pytest: comfy.py test --tier pure -k weights -x",
        allow_abbrev=False,
    )
    tested.add_argument("--tier", choices=TIERS, help="one tier (default: pure, comfyui and a browser smoke test)")
    tested.add_argument(
        "--live", action="store_true", help="instead, make a few calls to the real service with your key; costs money"
    )
    tested.add_argument("--yes", action="store_true", help="with --live: pay for it")


def _add_bench(commands: Commands) -> None:
    measured = commands.add_parser("bench", help="measure a benchmark's figures and compare them with their aims")
    _add_install_options(measured)
    measured.add_argument("name", metavar="NAME", nargs="?", help="a script in benchmarks/ (default: list them)")
    measured.add_argument("--json", action="store_true", help="print one JSON object: name to value, aim and unit")
    measured.add_argument("--quick", action="store_true", help="measure at the smallest sizes, without aims")


def _add_jobs(commands: Commands) -> None:
    from .commands.jobs import BYS, month

    counted = commands.add_parser("jobs", help="sum up a server's journal: paid, delivered, missing and unknown jobs")
    counted.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        help="the ComfyUI whose journal to read (default: COMFYUI_PATH, or else the one that this pack lies in)",
    )
    counted.add_argument("--base", type=Path, metavar="DIR", help="the --base-directory of that ComfyUI, if it has one")
    counted.add_argument("--user-directory", type=Path, metavar="DIR", help="its --user-directory, if it has one")
    counted.add_argument("--by", choices=BYS, default="month", help="what to group by (default: month)")
    counted.add_argument("--month", type=month, metavar="YYYY-MM", help="only this month, in local time")
    counted.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    counted.add_argument("--export", type=Path, metavar="FILE", help="also write every attempt to a .csv or .json file")


def _add_locales(commands: Commands) -> None:
    texts = commands.add_parser("locales", help="write locales/en from the texts of the nodes and the web part")
    _add_install_options(texts)


ADDED: dict[str, Callable[[Commands], None]] = {
    "serve": _add_serve,
    "run": _add_run,
    "demo": _add_demo,
    "test": _add_test,
    "bench": _add_bench,
    "jobs": _add_jobs,
    "locales": _add_locales,
}


def _add_install_options(command: argparse.ArgumentParser) -> None:
    from .install.pins import RELEASES

    command.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        help="your own ComfyUI (default: COMFYUI_PATH, or else the one that this pack lies in, "
        "or else a throw-away one in your cache folder)",
    )
    command.add_argument("--python", type=Path, metavar="PATH", help="the Python that your ComfyUI runs with")
    command.add_argument("--version", choices=list(RELEASES), help="use a throw-away ComfyUI of this version")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
