"""Beside stand-ins of two well-known packs (stubs/) in one server, loaded before this one and after it: no clash."""

from __future__ import annotations

import collections
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_mixer.tests.support.live import Live, graph, local_graph, prepared, report_of
from image_mixer.tools.comfy_tool.paths import ROOT
from image_mixer.tools.comfy_tool.server.server import Server
from PIL import Image

STUBS = Path(__file__).parents[1] / "support" / "stubs"
OWN, OWN_MODULE = "ImageMixer", "custom_nodes.image-mixer"
ORDERS = ("before", "after")
"""Whether the others are loaded before this pack, or after it."""

PATHS = """
others:
  base_path: {base}
  is_default: {first}
  custom_nodes: .
"""
_pixels: dict[str, bytes] = {}


@pytest.fixture(scope="module", params=ORDERS)
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def live(order: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    base = prepared(tmp_path_factory.mktemp(order))
    (base / "models" / "ipadapter").mkdir(parents=True)
    (base / "models" / "ipadapter" / "adapter.safetensors").write_bytes(b"")
    file = base / "others.yaml"
    file.write_text(PATHS.format(base=STUBS, first=str(order == "before").lower()), encoding="utf-8")
    with Server(base=base, extra_args=["--extra-model-paths-config", str(file)]) as server:
        yield Live(server)


def loaded(live: Live) -> list[str]:
    """The packs in the order in which they were loaded: their nodes are listed so."""
    modules = [node["python_module"] for node in live.get("/object_info").values()]
    return [module for module in dict.fromkeys(modules) if module.startswith("custom_nodes.")]


def test_the_order_is_the_one_asked_for(live: Live, order: str) -> None:
    packs = loaded(live)
    own = packs.index(OWN_MODULE)
    for other in ("custom_nodes.ip_adapter_pack", "custom_nodes.utility_pack"):
        assert (packs.index(other) < own) == (order == "before")
    assert "IMPORT FAILED" not in live.server.log_text()


def test_no_pack_takes_a_node_from_another(live: Live) -> None:
    info = live.get("/object_info")
    ours = {name for name, node in info.items() if node["python_module"] == OWN_MODULE}
    assert ours == {name for name in info if name.startswith(OWN)} and len(ours) >= 21
    per_pack = collections.Counter(node["python_module"] for node in info.values())
    assert per_pack["custom_nodes.ip_adapter_pack"] == 12 and per_pack["custom_nodes.utility_pack"] == 6
    titles = {name: node["display_name"] for name, node in info.items()}
    others = {title for name, title in titles.items() if name not in ours}
    assert {titles[name] for name in ours} & others == set()


def test_types_of_links_are_this_packs_own(live: Live) -> None:
    info = live.get("/object_info")

    def made(ours: bool) -> set[str]:
        nodes = [node for node in info.values() if (node["python_module"] == OWN_MODULE) == ours]
        return {str(kind) for node in nodes for kind in node["output"]}

    own = {kind for kind in made(True) if "MIX" in kind}
    assert {"IMAGE_MIX", "MIX_RECIPE", "MIX_WEIGHTS", "MIX_EMBEDS"} <= own
    assert own & made(False) == set()


def test_no_route_is_there_twice(live: Live) -> None:
    routes = [tuple(route) for route in live.get("/stub/routes")]
    ours = [route for route in routes if "image_mixer" in route[1]]
    assert ("GET", "/image_mixer/endpoints") in ours and ("POST", "/image_mixer/key") in ours
    assert all(path.removeprefix("/api").startswith("/image_mixer/") for _, path in ours)
    assert len(ours) == len(set(ours))
    assert live.get("/rgthree/api/config") == {"nodes": {}}
    assert live.get("/image_mixer/endpoints")["endpoints"]


def test_scripts_and_settings_have_names_of_their_own(live: Live) -> None:
    paths = live.get("/extensions")
    found = {path: _text(live, path) for path in paths if not path.startswith("/extensions/core/")}
    ours = "".join(text for path, text in found.items() if path.startswith("/extensions/image-mixer/"))
    theirs = "".join(text for path, text in found.items() if not path.startswith("/extensions/image-mixer/"))
    scripts = {path.relative_to(ROOT / "web").as_posix() for path in (ROOT / "web").rglob("*.js")}
    assert {path.removeprefix("/extensions/image-mixer/") for path in paths if "/image-mixer/" in path} == scripts
    names = re.findall(r"registerExtension\(\s*\{\s*name:\s*['\"]([^'\"]+)", ours)
    assert len(names) == len(set(names)) == len(re.findall(r"registerExtension\(", ours))
    assert all(name.lower().startswith("imagemixer.") for name in names)
    settings = re.findall(r"\bid:\s*['\"](\w+\.[^'\"]+)", ours)
    assert len(settings) == len(set(settings))
    others = set(re.findall(r"\b(?:name|id):\s*['\"]([^'\"]+)", theirs))
    assert {"Comfy.RgthreeComfy", "rgthree.pads"} <= others
    assert others & {*names, *settings} == set()


def _text(live: Live, path: str) -> str:
    return live.server.client.request("GET", path).decode("utf-8")


def test_the_folder_of_adapters_is_shared(live: Live) -> None:
    info = live.get("/object_info")
    assert info["IPAdapterModelLoader"]["input"]["required"]["ipadapter_file"][0] == ["adapter.safetensors"]
    if "ImageMixerLoadAdapter" in info:
        assert "adapter.safetensors" in str(info["ImageMixerLoadAdapter"]["input"]["required"])


def test_graphs_of_all_run_together(live: Live, order: str) -> None:
    alone = live.good(local_graph(recipe={"seed": 7}))
    mixed = local_graph(recipe={"seed": ["seed", 0], "mix": ["switch", 0]}, mix={"images.image0": ["square", 0]})
    mixed |= graph(
        seed=("Seed (rgthree)", {"seed": 7}),
        square=("PrepImageForClipVision", {"image": ["a", 0], "sharpening": 0.0}),
        switch=("Any Switch (rgthree)", {"any_02": ["mix", 0]}),
        adapter=("IPAdapterModelLoader", {"ipadapter_file": "adapter.safetensors"}),
        encode=("IPAdapterEncoder", {"ipadapter": ["adapter", 0], "image": ["local", 0], "weight": 1.0}),
        display=("Display Any (rgthree)", {"source": ["encode", 0]}),
        told=("Display Any (rgthree)", {"source": ["local", 2]}),
    )
    outputs = live.good(mixed)
    assert report_of(outputs)["images"][0]["seed"] == 7
    assert "image-mixer-report" in outputs["told"]["text"][0] and outputs["display"]["text"]
    # A centre crop of a 96 x 64 picture of one colour is the square that the other pack cut of it.
    saved = [_image(live, one["save"]["images"][0]) for one in (alone, outputs)]
    assert saved[0] == saved[1]
    _pixels[order] = saved[0]
    assert len(set(_pixels.values())) == 1, "the order in which packs are loaded changes the pixels"


def _image(live: Live, saved: dict[str, Any]) -> bytes:
    with Image.open(io.BytesIO(live.image(saved))) as image:
        return image.convert("RGB").tobytes()
