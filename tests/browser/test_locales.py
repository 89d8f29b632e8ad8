"""Texts in English and Chinese: every node, input, tooltip and setting has its entry in both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from image_mixer.tests.browser.graphs import image_mix
from image_mixer.tests.browser.pages import MODES, comfy_page
from image_mixer.tools.comfy_tool.commands.locales import FOLDER, english
from image_mixer.tools.comfy_tool.server.server import Server
from playwright.sync_api import Browser

FILES = ("nodeDefs", "main", "settings")


def read(language: str, name: str) -> Any:
    return json.loads((FOLDER / language / f"{name}.json").read_text(encoding="utf-8"))


def leaves(texts: Any, place: str = "") -> dict[str, str]:
    """Return every text by its path in the file."""
    if not isinstance(texts, dict):
        return {place: texts}
    return {key: text for name, part in texts.items() for key, text in leaves(part, f"{place}/{name}").items()}


@pytest.mark.smoke
def test_english_is_what_the_nodes_and_the_page_say(server: Server) -> None:
    expected = english(server.client.get("/object_info"))
    assert sorted(expected) == sorted(FILES)
    for name, texts in expected.items():
        assert read("en", name) == texts, f"run tools/comfy.py locales to write locales/en/{name}.json anew"


@pytest.mark.smoke
@pytest.mark.parametrize("name", FILES)
def test_chinese_has_every_text(name: str) -> None:
    ours, theirs = leaves(read("en", name)), leaves(read("zh", name))
    assert sorted(ours.keys() ^ theirs.keys()) == []
    assert all(text.strip() for text in theirs.values())
    # Names such as VAE stay; a sentence does not.
    assert [key for key, text in theirs.items() if text == ours[key] and len(text) > 12] == []


@pytest.mark.parametrize("mode", MODES)
def test_the_page_speaks_chinese(browser: Browser, server: Server, mode: str) -> None:
    with comfy_page(browser, server, mode, locale="zh") as shown:
        image_mix(shown, 3)
        titles = shown.page.evaluate(
            "() => ['ImageMixerMix', 'ImageMixerRecipe'].map(type => LiteGraph.registered_node_types[type].title)"
        )
        names = read("zh", "nodeDefs")
        assert titles == [names[kind]["display_name"] for kind in ("ImageMixerMix", "ImageMixerRecipe")]
        shown.page.get_by_role("button", name=read("zh", "main")["imageMixer"]["equal shares"]).wait_for()
        assert shown.faults == [] and shown.foreign == []
