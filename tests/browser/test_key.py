"""The key's setting: it goes to the server and is found nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from image_mixer.tests.browser.pages import MODES, ComfyPage
from image_mixer.tests.standin.app import DEMO_KEY
from image_mixer.tools.comfy_tool.install.programs import ensure_axe
from image_mixer.tools.comfy_tool.server.server import Server

CANARY = "canary-key-5d1f"


def open_setting(shown: ComfyPage) -> Any:
    shown.page.evaluate("() => app.extensionManager.command.execute('Comfy.ShowSettingsDialog')")
    shown.page.get_by_text("Image Mixer", exact=True).last.click()
    form = shown.page.locator(".imx-key", has_text="keyless")
    form.wait_for()
    return form


@pytest.mark.parametrize("mode", MODES)
def test_a_key_is_set_tested_and_forgotten(page_of: Callable[[str], ComfyPage], server: Server, mode: str) -> None:
    shown = page_of(mode)
    shown.faults.clear()
    sent: list[str] = []
    shown.page.on("request", lambda request: sent.append(request.url))
    form = open_setting(shown)
    state, said = form.locator(".imx-state"), form.locator(".imx-said")
    assert state.inner_text() == "not set"
    assert form.get_by_role("button", name="Test").is_disabled()

    for key, answer in ((CANARY, "refuses the key"), (DEMO_KEY, "accepts the key")):
        form.locator("input").fill(key)
        form.get_by_role("button", name="Set, keyless").click()
        shown.page.wait_for_function("one => one.textContent === 'The key is set.'", arg=said.element_handle())
        assert state.inner_text() == "set"
        assert form.locator("input").input_value() == ""
        form.get_by_role("button", name="Test").click()
        shown.page.wait_for_function(
            "([one, text]) => one.textContent.includes(text)", arg=[said.element_handle(), answer]
        )

    shown.page.evaluate(ensure_axe().read_text(encoding="utf-8"))
    found = shown.page.evaluate("() => axe.run('.imx-keys')")
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []

    private = server.base / "user" / "__image_mixer" / "keys.json"
    assert DEMO_KEY in private.read_text(encoding="utf-8")
    kept = shown.page.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, location.href, app.graph.serialize(), document.cookie])"
    )
    kept += json.dumps(server.client.get("/api/settings")) + "".join(sent) + server.log_text() + shown.page.content()
    for file in server.base.rglob("*"):
        # The demo key is in the server's environment and, sent to the service, in its journal's place alone.
        if file.is_file() and file != private and file.suffix in (".json", ".log", ".png", ".toml"):
            kept += file.read_text(encoding="utf-8", errors="ignore")
    assert CANARY not in kept and DEMO_KEY not in kept

    form.get_by_role("button", name="Forget").click()
    shown.page.wait_for_function("one => one.textContent === 'not set'", arg=state.element_handle())
    assert DEMO_KEY not in private.read_text(encoding="utf-8")
    shown.page.keyboard.press("Escape")
    assert shown.faults == [] and shown.foreign == []
