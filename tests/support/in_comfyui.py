"""Fixtures for tests that import ComfyUI's modules in this process, on the CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run, and however slow the machine is.
settings.register_profile("comfyui", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("comfyui")

COMFYUI = os.environ.get("COMFYUI_PATH")
if COMFYUI and COMFYUI not in sys.path:
    sys.path.insert(0, COMFYUI)
sys.path.insert(0, str(Path(__file__).parent / "probe"))

# As ComfyUI's main does. In older versions nodes.py puts the folder comfy, which also has a module utils, first on the path.
import utils.install_util  # noqa: E402, F401  # isort: skip

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import micro  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)  # micro models gain nothing from more, and other processes would stall them


@pytest.fixture(scope="session")
def micro_models() -> micro.MicroModels:
    """A tagged Image Mixer of 32 channels with encoders and a VAE, all with random weights."""
    return micro.build()


@pytest.fixture(autouse=True)
def as_in_comfyui() -> Iterator[None]:
    """ComfyUI runs every node in inference mode."""
    with torch.inference_mode():
        yield
