"""Tests in a real browser on a real server; all tests of a run share both."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from image_mixer.tests.browser.pages import ComfyPage, chromium, comfy_page, pack_server, stand_in
from image_mixer.tests.standin.app import Service
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with stand_in() as started:
        yield started


@pytest.fixture(scope="session")
def server(service: Service) -> Iterator[Server]:
    with pack_server(service) as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def page_of(browser: Browser, server: Server) -> Iterator[Callable[[str], ComfyPage]]:
    """The page in a mode, opened once and kept: page_of("vue")."""
    with contextlib.ExitStack() as stack:
        pages: dict[str, ComfyPage] = {}

        def page_of(mode: str) -> ComfyPage:
            if mode not in pages:
                pages[mode] = stack.enter_context(comfy_page(browser, server, mode))
            return pages[mode]

        yield page_of
