"""Fixtures of the live tests. Starting a server takes seconds, so tests that only need model files share one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from image_mixer.tests.support.in_comfyui import as_in_comfyui, micro_models
from image_mixer.tests.support.live import Live, prepared
from image_mixer.tests.support.served_models import write_models
from image_mixer.tools.comfy_tool.server.server import Server

__all__ = ["as_in_comfyui", "micro_models"]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with the model files of every method, for all test files that leave it as they found it."""
    base = prepared(tmp_path_factory.mktemp("shared"))
    write_models(base)
    with Server(base=base) as server:
        yield Live(server)
