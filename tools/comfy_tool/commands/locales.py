"""`locales`: write locales/en from the English texts in the nodes' schemas and in the web part."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..console import say
from ..paths import ROOT
from ..server.server import Server
from .libraries import install_for

FOLDER = ROOT / "locales"
WEB = ROOT / "web"
PREFIX = "ImageMixer"
MENU = "image mixer"
LIVING = {("ImageMixerRemote", "description"), ("ImageMixerRemote", "endpoint")}
"""Texts that depend on the server's state. A translation would hide them."""

_SAID = re.compile(r"""\bt\(\s*(?:\w+ === 1 \? )?'((?:[^'\\]|\\.)*)'(?: : '((?:[^'\\]|\\.)*)')?""")
_SETTING = re.compile(
    r"id: '(?P<id>[^']+)',\s+name: '(?P<name>[^']+)',\s+category: \[(?P<category>[^\]]+)\],\s+"
    r"tooltip: '(?P<tooltip>[^']+)'"
)
_NAMED = ("max to 1", "sum to 1", "as given")
"""Texts that `t` gets as values, so they are not found in the source."""


def command(options: argparse.Namespace) -> int:
    """Start a server, read its nodes and write the files."""
    with Server(install=install_for(options)) as server:
        for name, texts in english(server.client.get("/object_info")).items():
            write(FOLDER / "en" / f"{name}.json", texts)
            say(f"wrote locales/en/{name}.json")
    return 0


def english(info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the English files by name, from the nodes in `info` (/object_info) and the web part's sources."""
    ours = {name: node for name, node in sorted(info.items()) if name.startswith(PREFIX)}
    settings, categories = _settings()
    return {
        "nodeDefs": {name: _node(name, node) for name, node in ours.items()},
        "main": {
            "nodeCategories": {MENU: MENU},
            "settingsCategories": {name: name for name in categories},
            "imageMixer": {text: text for text in said()},
        },
        "settings": settings,
    }


def said() -> list[str]:
    """Return every text that the web part translates by `t`."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(WEB.rglob("*js")) if path.is_file()]
    found = {text for source in sources for match in _SAID.finditer(source) for text in match.groups() if text}
    return sorted({text.replace("\\'", "'") for text in found} | set(_NAMED))


def write(file: Path, texts: Mapping[str, Any]) -> None:
    """Write texts as indented JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(texts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")


def _node(name: str, node: Mapping[str, Any]) -> dict[str, Any]:
    texts: dict[str, Any] = {"display_name": node["display_name"]}
    if (name, "description") not in LIVING:
        texts["description"] = node["description"]
    specs = {key: spec for group in ("required", "optional") for key, spec in node["input"].get(group, {}).items()}
    texts["inputs"] = {
        key.replace(".", "_"): {"name": _options(spec).get("display_name") or key}
        | ({} if (name, key) in LIVING else {"tooltip": _options(spec).get("tooltip", "")})
        for key, spec in specs.items()
    }
    tooltips = node.get("output_tooltips") or [""] * len(node["output_name"])
    texts["outputs"] = {
        str(i): {"name": output, "tooltip": tooltip}
        for i, (output, tooltip) in enumerate(zip(node["output_name"], tooltips, strict=True))
    }
    return texts


def _options(spec: list[Any]) -> dict[str, Any]:
    return spec[1] if len(spec) > 1 else {}


def _settings() -> tuple[dict[str, Any], list[str]]:
    """Return the settings' texts by id, and the names of their categories."""
    texts, categories = {}, set()
    for path in sorted(WEB.glob("*.js")):
        for match in _SETTING.finditer(path.read_text(encoding="utf-8")):
            texts[match["id"].replace(".", "_")] = {"name": match["name"], "tooltip": match["tooltip"]}
            categories.update(re.findall(r"'([^']+)'", match["category"]))
    return texts, sorted(categories)
