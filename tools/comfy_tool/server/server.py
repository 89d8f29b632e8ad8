"""A ComfyUI server with this pack in it, for as long as a `with` block lasts."""

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
from ..install.sandbox import clean_environment
from ..paths import NAME, ROOT, cache_folder
from .client import Client

START_SECONDS = 300.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.1
LOGS_KEPT = 20
LOG_LINES_SHOWN = 15
QUIET_ARGUMENTS = ("--database-url", "sqlite:///:memory:", "--disable-api-nodes", "--disable-auto-launch")


class Server:
    """ComfyUI on a scratch base directory with this pack linked in. Use as a context manager, or start() and stop().

    `version` asks for the sandbox's ComfyUI of that version, `comfyui` names a folder; with neither, COMFYUI_PATH
    counts, and then the sandbox. `base` is kept afterwards; without it a temporary folder is used and removed.
    `expect` is a node class that must be there once the server answers, None to check nothing. `env` adds to the
    environment. Raises ToolError with one line, preceded by the log's last lines, when the server does not come up.
    """

    def __init__(
        self,
        version: str | None = None,
        *,
        comfyui: Path | str | None = None,
        python: Path | str | None = None,
        base: Path | str | None = None,
        listen: str = "127.0.0.1",
        port: int = 0,
        extra_args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        log: Path | str | None = None,
        pack: Path = ROOT,
        expect: str | None = "ImageMixerMix",
        install: Install | None = None,
    ) -> None:
        self.install = install or find_install(comfyui, python, version)
        self.listen = listen
        self.port = port
        self.base = Path(base).absolute() if base else Path()
        self.log = Path(log).absolute() if log else Path()
        self._temporary = base is None
        self._choose_log = log is None
        self._choose_port = port == 0
        self._extra_args = list(extra_args)
        self._env = dict(env or {})
        self._pack = pack
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
        """The process id of ComfyUI. Raises ToolError when it has not been started."""
        return self._running().pid

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Server:
        """Start and wait until the pack's nodes answer."""
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
                    # Another process took the port between our look and ComfyUI's bind.
                    if attempt == attempts or not self._port_was_taken():
                        raise
            self._check_pack()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End ComfyUI, gently and then not, and remove the scratch folder. May be called again."""
        self.kill(gently=True)
        if self.base == Path():
            return
        unlink_pack(self.base)
        if self._temporary:
            shutil.rmtree(self.base, ignore_errors=True)

    def kill(self, gently: bool = False) -> None:
        """End the process, at once unless `gently`; the base directory stays, and restart() goes on with it."""
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
        """End the process where one runs, and start again on the same base directory and port."""
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
        """Wait until ComfyUI ends by itself; gives its exit code."""
        return self._running().wait()

    def poll(self) -> int | None:
        """ComfyUI's exit code, or None while it runs."""
        return self._running().poll()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ToolError("the server has not been started")
        return self._process

    def _prepare(self) -> None:
        for name in ("custom_nodes", "input", "output", "user", "models"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        link_pack(self.base, self._pack)
        if self._choose_log:
            self.log = _fresh_log()
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def _launch(self) -> None:
        child = Path(__file__).with_name("child.py")
        command = [str(self.install.python), "-u", str(child), str(self.install.comfyui)]
        command += ["--listen", self.listen, "--port", str(self.port), "--base-directory", str(self.base)]
        command += QUIET_ARGUMENTS
        if not self.install.sandboxed and self.install.comfyui.joinpath("models") != self.base / "models":
            config = own_models_config(self.install.comfyui, self.base)
            command += ["--extra-model-paths-config", str(config)]
        if not any(argument in ("--cpu", "--directml") for argument in self._extra_args):
            command += [] if has_accelerator(self.install.python) else ["--cpu"]
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
                    env={**clean_environment(), **self._env},
                    **own_group(),
                )
            except OSError as error:
                message = f"{self.install.python} could not be started ({error}): name another with --python"
                raise ToolError(message) from error

    def _wait_until_ready(self) -> None:
        while True:
            code = self._running().poll()
            if code is not None:
                raise self._failure(f"ComfyUI ended with exit code {code} before it was ready")
            try:
                stats = self.client.get("/system_stats", timeout=5.0)
                # Another server on this port would answer as well: ours was started with our folder.
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
            raise self._failure(f"ComfyUI is up, but this pack's node {self._expect} is not there")

    def _import_error(self) -> list[str]:
        """The log from the traceback before the pack's failed import on."""
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
        """What ComfyUI has printed so far."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def free_port(listen: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on at the moment."""
    host = _reachable(listen)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _reachable(listen: str) -> str:
    """The address to reach a server at that listens on `listen`, which may name several and all of a machine's."""
    first = listen.split(",")[0].strip()
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(first, first)


def own_group() -> dict[str, Any]:
    """A group of its own, so that Ctrl-C reaches this program alone, which then ends ComfyUI in order."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _fresh_log() -> Path:
    folder = cache_folder() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("server-*.log"))[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"server-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10000:04d}.log"
