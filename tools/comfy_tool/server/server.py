"""Run a ComfyUI server with this pack in it, for as long as a `with` block lasts."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..console import tail
from ..errors import ToolError
from ..install.installs import Install, find_install, has_accelerator
from ..install.linking import link_pack, own_models_config, unlink_pack
from ..paths import NAME, cache_folder
from .client import Client

START_SECONDS = 300.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.1
LOGS_KEPT = 20
LOG_LINES_SHOWN = 15
QUIET_ARGUMENTS = ("--database-url", "sqlite:///:memory:", "--disable-api-nodes", "--disable-auto-launch")


class Server:
    """ComfyUI on a base directory of its own, with this pack linked in. Use it as a context manager, or start() and stop().

    `install` is the ComfyUI to start; by default find_install() chooses it. `base` is kept afterwards; by default a
    temporary folder is used and removed. `port` 0 means a free one. `env` adds to the environment. `expect` is a node
    class that the server must have, None to check nothing. If the server does not start, ToolError is raised and the
    log's last lines are printed.
    """

    def __init__(
        self,
        install: Install | None = None,
        *,
        base: Path | str | None = None,
        listen: str = "127.0.0.1",
        port: int = 0,
        extra_args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        expect: str | None = "ImageMixerMix",
    ) -> None:
        self.install = install or find_install()
        self.listen = listen
        self.port = port
        self.base = Path(base).absolute() if base else Path()
        self.log = Path()
        self._temporary = base is None
        self._choose_port = port == 0
        self._extra_args = list(extra_args)
        self._env = dict(env or {})
        self._expect = expect
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for programs on this machine."""
        host = _reachable(self.listen)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def client(self) -> Client:
        """A client for this server."""
        return Client(self.url)

    @property
    def pid(self) -> int:
        """The process id of ComfyUI. Raises ToolError if it has not been started."""
        return self._running().pid

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Server:
        """Start ComfyUI and wait until the pack's nodes are there."""
        if self._temporary:
            self.base = Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
        try:
            self._prepare()
            attempts = 3 if self._choose_port else 1
            for attempt in range(1, attempts + 1):
                if self._choose_port:
                    self.port = free_port(self.listen)
                self._launch()
                try:
                    self._wait_until_ready()
                    break
                except ToolError:
                    # Another process took the port after free_port() had found it free.
                    if attempt == attempts or not self._port_was_taken():
                        raise
            self._check_pack()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End ComfyUI, by force if it does not end by itself, and remove the temporary folder. May be called again."""
        self.kill(gently=True)
        if self.base == Path():
            return
        unlink_pack(self.base)
        if self._temporary:
            shutil.rmtree(self.base, ignore_errors=True)

    def kill(self, gently: bool = False) -> None:
        """End the process, at once unless `gently`. The base directory stays, so that restart() can use it."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if gently and process.poll() is None:
                process.terminate()
                process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def restart(self) -> Server:
        """End the process if it runs, and start again on the same base directory and port."""
        self.kill(gently=True)
        try:
            self._launch()
            self._wait_until_ready()
            self._check_pack()
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self) -> int:
        """Wait until ComfyUI ends by itself, and return its exit code."""
        return self._running().wait()

    def poll(self) -> int | None:
        """Return ComfyUI's exit code, None while it runs."""
        return self._running().poll()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ToolError("the server has not been started")
        return self._process

    def _prepare(self) -> None:
        for name in ("custom_nodes", "input", "output", "user", "models"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        link_pack(self.base)
        self.log = _new_log()

    def _launch(self) -> None:
        child = Path(__file__).with_name("child.py")
        command = [str(self.install.python), "-u", str(child), str(self.install.comfyui)]
        command += ["--listen", self.listen, "--port", str(self.port), "--base-directory", str(self.base)]
        command += QUIET_ARGUMENTS
        if not self.install.sandboxed and self.install.comfyui.joinpath("models") != self.base / "models":
            config = own_models_config(self.install.comfyui, self.base)
            command += ["--extra-model-paths-config", str(config)]
        if not any(argument in ("--cpu", "--directml") for argument in self._extra_args):
            command += [] if has_accelerator(self.install) else ["--cpu"]
        command += self._extra_args
        self._started = time.monotonic()
        with self.log.open("wb") as sink:
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=self.install.comfyui,
                    stdin=subprocess.PIPE,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    env={**self.install.environment(), **self._env},
                    **own_group(),
                )
            except OSError as error:
                message = f"{self.install.python} could not be started ({error}): name another Python with --python"
                raise ToolError(message) from error

    def _wait_until_ready(self) -> None:
        while True:
            code = self._running().poll()
            if code is not None:
                raise self._failure(f"ComfyUI ended with exit code {code} before it was ready")
            try:
                stats = self.client.get("/system_stats", timeout=5.0)
                # Another server on this port would answer as well. Ours was started with our folder.
                if str(self.base) in stats.get("system", {}).get("argv", []):
                    return
            except ToolError:
                pass
            if time.monotonic() - self._started > START_SECONDS:
                raise self._failure(f"ComfyUI did not answer within {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def _check_pack(self) -> None:
        if self._expect is None:
            return
        if re.search(rf"IMPORT FAILED.*[/\\]custom_nodes[/\\]{NAME}\s*$", self.log_text(), re.MULTILINE):
            raise self._failure("ComfyUI could not import this pack", self._import_error())
        if self._expect not in self.client.get(f"/object_info/{self._expect}"):
            raise self._failure(f"ComfyUI runs, but does not have this pack's node {self._expect}")

    def _import_error(self) -> list[str]:
        """Return the log's lines from the traceback to the message that the pack could not be imported."""
        lines = self.log_text().splitlines()
        pattern = re.compile(rf"Cannot import .*[/\\]custom_nodes[/\\]{NAME} module")
        last = next((i for i, line in enumerate(lines) if pattern.search(line)), len(lines) - 1)
        first = max((i for i, line in enumerate(lines[:last]) if "Traceback" in line), default=max(0, last - 20))
        return lines[first : last + 1]

    def _failure(self, what: str, shown: list[str] | None = None) -> ToolError:
        lines = tail(self.log, LOG_LINES_SHOWN) if shown is None else shown
        for line in lines:
            print(f"  {line}", file=sys.stderr)
        return ToolError(f"{what}. The whole log: {self.log}")

    def _port_was_taken(self) -> bool:
        return "address already in use" in self.log_text().lower() or "10048" in self.log_text()

    def log_text(self) -> str:
        """Return what ComfyUI has printed so far."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def free_port(listen: str = "127.0.0.1") -> int:
    """Return a TCP port that nothing listens on at the moment."""
    host = _reachable(listen)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _reachable(listen: str) -> str:
    """Return an address of a server that listens on `listen`, which may be several addresses or all of a machine's."""
    first = listen.split(",")[0].strip()
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(first, first)


def own_group() -> dict[str, Any]:
    """Return the Popen arguments for a new process group: Ctrl-C then reaches only this program, which ends the other."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _new_log() -> Path:
    folder = cache_folder() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("server-*.log"))[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"server-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10000:04d}.log"
