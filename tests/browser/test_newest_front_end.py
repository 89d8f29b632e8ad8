"""A few of the tests in the newest front end that is known; the soak tier runs them all in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from image_mixer.tests.browser.graphs import image_mix, weights_in_prompt, weights_on_screen
from image_mixer.tests.browser.pages import MODES, PHOTOGRAPHS, comfy_page
from image_mixer.tools.comfy_tool.install.programs import ensure_front_end
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def newest() -> Iterator[Server]:
    with Server(extra_args=["--front-end-root", str(ensure_front_end())]) as server:
        for photograph in PHOTOGRAPHS:
            server.client.upload_image(photograph, subfolder="")
        yield server


@pytest.mark.parametrize("mode", MODES)
def test_the_pad_works_in_it(browser: Browser, newest: Server, mode: str) -> None:
    with comfy_page(browser, newest, mode) as shown:
        image_mix(shown, 3)
        corner = shown.page.locator(".imx-corner").nth(1).bounding_box()
        puck = shown.page.locator(".imx-puck").bounding_box()
        assert corner is not None and puck is not None
        shown.page.mouse.move(puck["x"] + puck["width"] / 2, puck["y"] + puck["height"] / 2)
        shown.page.mouse.down()
        shown.page.mouse.move(corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2, steps=5)
        shown.page.mouse.up()
        shown.page.wait_for_timeout(300)
        assert weights_on_screen(shown) == weights_in_prompt(shown) == [0, 1, 0]
        assert shown.faults == [] and shown.foreign == []
