"""Workflows as saved -> prompts, by what the front end itself sends for them."""

from __future__ import annotations

import datetime
import random
from typing import Any

import pytest
from image_mixer.tools.comfy_tool.errors import UsageError
from image_mixer.tools.comfy_tool.workflow.convert import convert
from image_mixer.tools.comfy_tool.workflow.widgets import dynamic_prompt, fill_in

INFO: dict[str, Any] = {
    "Load": {
        "input": {"required": {"image": [["a.png", "b.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
        "display_name": "Load Image",
    },
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL", {}],
                "seed": ["INT", {"default": 0, "control_after_generate": True}],
                "steps": ["INT", {"default": 20}],
                "name": [["euler", "ddim"], {}],
            },
            "optional": {"note": ["STRING", {"default": "none"}], "flag": ["BOOLEAN", {}]},
        },
        "input_order": {"required": ["model", "seed", "steps", "name"], "optional": ["note", "flag"]},
        "output": ["LATENT"],
    },
    "Model": {
        "input": {
            "required": {
                "file": ["COMBO", {"options": ["x", "y"], "control_after_generate": True}],
                "scale": ["FLOAT", {"default": 1.5}],
            }
        },
        "output": ["MODEL"],
    },
    "Scale": {
        "input": {"required": {"image": ["IMAGE"], "factor": ["FLOAT", {"default": 1.0}], "mask": ["MASK"]}},
        "output": ["IMAGE"],
    },
    "Save": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}},
        "output": [],
        "output_node": True,
    },
    "Text": {"input": {"required": {"text": ["STRING", {"dynamicPrompts": True}]}}, "output": ["STRING"]},
    "Forced": {
        "input": {"required": {"socket": ["INT", {"forceInput": True}], "kept": ["INT", {}]}},
        "output": ["INT"],
    },
    "Mix": {
        "input": {
            "required": {
                "images": [
                    "COMFY_AUTOGROW_V3",
                    {
                        "template": {
                            "input": {"required": {"image": ["IMAGE", {}]}},
                            "prefix": "image",
                            "min": 1,
                            "max": 5,
                        }
                    },
                ]
            },
            "optional": {"pad": ["STRING", {"default": "1"}], "weights": ["MIX_WEIGHTS", {}]},
        },
        "output": ["IMAGE_MIX"],
    },
    "Local": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "method": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "auto", "inputs": {"required": {}}},
                            {
                                "key": "mixer",
                                "inputs": {
                                    "required": {
                                        "power": ["FLOAT", {"default": 2.0}],
                                        "seed": ["INT", {}],
                                        "extra": ["IMAGE"],
                                    },
                                    "optional": {"deep": ["STRING", {"default": "d"}]},
                                },
                            },
                        ]
                    },
                ],
                "strength": ["FLOAT", {"default": 1.0}],
            }
        },
        "output": ["IMAGE"],
    },
    "Box": {"input": {"required": {"box": ["BOUNDING_BOX", {}], "after": ["INT", {}]}}, "output": ["INT"]},
    "Own": {
        "input": {"required": {"pad": ["MY_PAD", {"default": "1, 1"}], "link": ["MY_LINK"]}},
        "output": ["MY_LINK"],
    },
}


def node(identity: Any, kind: str, values: Any = (), inputs: Any = (), mode: int = 0, **more: Any) -> dict[str, Any]:
    """A node as saved. Inputs are (name, type, link) or (name, type, link, widget)."""
    slots = []
    for name, slot_type, link, *widget in inputs:
        slots.append(
            {"name": name, "type": slot_type, "link": link, **({"widget": {"name": widget[0]}} if widget else {})}
        )
    values = list(values) if isinstance(values, tuple) else values
    return {
        "id": identity,
        "type": kind,
        "mode": mode,
        "inputs": slots,
        "outputs": [],
        "widgets_values": values,
        **more,
    }


def flow(nodes: list[dict[str, Any]], links: list[Any] = [], **more: Any) -> dict[str, Any]:  # noqa: B006
    return {"nodes": nodes, "links": links, "version": 0.4, **more}


def inputs_of(prompt: dict[str, Any], identity: str) -> dict[str, Any]:
    return dict(prompt[identity]["inputs"])


def sent(workflow: dict[str, Any]) -> dict[str, Any]:
    return dict(convert(workflow, INFO, random.Random(0)))


class TestWidgets:
    @pytest.mark.parametrize(
        ("kind", "values", "expected"),
        [
            (
                "Sampler",
                [7, "fixed", 30, "ddim", "hi", True],
                {"seed": 7, "steps": 30, "name": "ddim", "note": "hi", "flag": True},
            ),
            ("Sampler", [7, "fixed"], {"seed": 7, "steps": 20, "name": "euler", "note": "none", "flag": False}),
            ("Sampler", [], {"seed": 0, "steps": 20, "name": "euler", "note": "none", "flag": False}),
            (
                "Sampler",
                {"steps": 3, "note": "n"},
                {"seed": 0, "steps": 3, "name": "euler", "note": "n", "flag": False},
            ),
            ("Model", ["y", "randomize", "", 0.5], {"file": "y", "scale": 0.5}),
            ("Load", ["b.png", "image"], {"image": "b.png"}),
            ("Forced", [5, 6], {"kept": 6}),
            ("Forced", [6], {"kept": 6}),
            ("Local", ["auto", 0.7], {"method": "auto", "strength": 0.7}),
            (
                "Local",
                ["mixer", 3.0, 9, "e", 0.7],
                {"method": "mixer", "method.power": 3.0, "method.seed": 9, "method.deep": "e", "strength": 0.7},
            ),
            (
                "Local",
                ["mixer"],
                {"method": "mixer", "method.power": 2.0, "method.seed": 0, "method.deep": "d", "strength": 1.0},
            ),
            ("Mix", ["0.5, 0.7"], {"pad": "0.5, 0.7"}),
            ("Box", [{"x": 1}, 1, 0, 5, 5, 9], {"box": {"x": 1}, "after": 9}),
            ("Own", ["0.5, 1"], {"pad": "0.5, 1"}),
            ("Text", [["a", "b"]], {"text": {"__value__": ["a", "b"]}}),
        ],
    )
    def test_places(self, kind: str, values: Any, expected: dict[str, Any]) -> None:
        assert inputs_of(sent(flow([node(1, kind, values)])), "1") == expected

    def test_a_linked_widget_keeps_its_place(self) -> None:
        nodes = [
            node(1, "Forced", [4]),
            node(2, "Sampler", [7, "fixed", 30, "ddim", "hi", True], [("steps", "INT", 5, "steps")]),
        ]
        found = inputs_of(sent(flow(nodes, [[5, 1, 0, 2, 1, "INT"]])), "2")
        assert found == {"seed": 7, "steps": ["1", 0], "name": "ddim", "note": "hi", "flag": True}

    def test_autogrow_links_keep_their_dotted_names(self) -> None:
        nodes = [
            node(1, "Load", ["a.png"]),
            node(2, "Load", ["b.png"]),
            node(
                3,
                "Mix",
                ["1, 0.5"],
                [("images.image0", "IMAGE", 1), ("images.image1", "IMAGE", 2), ("images.image2", "IMAGE", None)],
            ),
        ]
        links = [[1, 1, 0, 3, 0, "IMAGE"], [2, 2, 0, 3, 1, "IMAGE"]]
        assert inputs_of(sent(flow(nodes, links)), "3") == {
            "pad": "1, 0.5",
            "images.image0": ["1", 0],
            "images.image1": ["2", 0],
        }

    def test_class_and_title(self) -> None:
        prompt = sent(flow([node(1, "Load", ["a.png"], title="Left"), node(2, "Load", ["a.png"])]))
        assert [prompt[one]["_meta"]["title"] for one in "12"] == ["Left", "Load Image"]
        assert prompt["1"]["class_type"] == "Load"


CHAIN = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]


def chain(middle: dict[str, Any]) -> dict[str, Any]:
    return flow([node(1, "Load", ["a.png"]), middle, node(3, "Save", ["x"], [("images", "IMAGE", 2)])], CHAIN)


class TestNodesThatAreNotSent:
    @pytest.mark.parametrize(
        ("middle", "arrives"),
        [
            (node(2, "Scale", [1.0], [("image", "IMAGE", 1), ("mask", "MASK", None)]), ["2", 0]),
            (node(2, "Scale", [1.0], [("image", "IMAGE", 1), ("mask", "MASK", None)], mode=4), ["1", 0]),
            (node(2, "Scale", [1.0], [("mask", "MASK", None), ("image", "IMAGE", 1)], mode=4), ["1", 0]),
            (node(2, "Scale", [1.0], [("image", "IMAGE", 1), ("mask", "MASK", None)], mode=2), None),
            (node(2, "Reroute", [], [("", "*", 1)]), ["1", 0]),
            (node(2, "Reroute", [], [("", "*", 1)], mode=4), ["1", 0]),
            (node(2, "Reroute", [], [("", "*", None)]), None),
            (node(2, "Load", ["b.png"], mode=4), None),
            (node(2, "Gone", [], [("image", "IMAGE", 1)], mode=4), ["1", 0]),
        ],
    )
    def test_between_two_nodes(self, middle: dict[str, Any], arrives: Any) -> None:
        prompt = sent(chain(middle))
        assert inputs_of(prompt, "3").get("images") == arrives
        assert set(prompt) == ({"1", "2", "3"} if arrives == ["2", 0] else {"1", "3"})

    def test_notes(self) -> None:
        nodes = [node(1, "Note", ["hi"]), node(2, "MarkdownNote", ["hi"]), node(3, "Load", ["a.png"])]
        assert set(sent(flow(nodes))) == {"3"}

    def test_a_primitive_gives_its_value_to_the_widget_it_is_linked_to(self) -> None:
        nodes = [
            node(1, "PrimitiveNode", [55, "fixed"]),
            node(2, "Sampler", [7, "fixed", 30], [("seed", "INT", 1, "seed")]),
        ]
        assert inputs_of(sent(flow(nodes, [[1, 1, 0, 2, 0, "INT"]])), "2")["seed"] == 55

    def test_an_unknown_class_is_named(self) -> None:
        with pytest.raises(UsageError, match="node 4: the server has no node class Gone"):
            sent(flow([node(4, "Gone")]))

    def test_a_circle_is_named(self) -> None:
        nodes = [
            node(1, "Reroute", [], [("", "*", 2)]),
            node(2, "Reroute", [], [("", "*", 1)]),
            node(3, "Save", ["x"], [("images", "IMAGE", 3)]),
        ]
        links = [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 1, 0, "*"], [3, 2, 0, 3, 0, "*"]]
        with pytest.raises(UsageError, match="linked in a circle"):
            sent(flow(nodes, links))

    @pytest.mark.parametrize("damaged", [{"nodes": [{}]}, {"nodes": [3]}, flow([node(1, "Load")], [[1, 2]])])
    def test_damage_is_one_line(self, damaged: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match="damaged"):
            sent(damaged)


def link(identity: int, origin: int, origin_slot: int, target: int, target_slot: int) -> dict[str, Any]:
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return dict(zip(keys, (identity, origin, origin_slot, target, target_slot, "*"), strict=True))


def subgraph(
    identity: str, nodes: list[Any], links: list[Any], inputs: list[Any], outputs: list[Any]
) -> dict[str, Any]:
    """A definition; inputs and outputs are (name, type, link ids)."""

    def slots(rows: list[Any]) -> list[dict[str, Any]]:
        return [{"id": name, "name": name, "type": kind, "linkIds": ids} for name, kind, ids in rows]

    return {
        "id": identity,
        "name": identity,
        "nodes": nodes,
        "links": links,
        "inputs": slots(inputs),
        "outputs": slots(outputs),
    }


SCALER = subgraph(
    "scaler",
    [node(7, "Scale", [2.0], [("image", "IMAGE", 1), ("mask", "MASK", None), ("factor", "FLOAT", 2, "factor")])],
    [link(1, -10, 0, 7, 0), link(2, -10, 1, 7, 2), link(3, 7, 0, -20, 0)],
    [("picture", "IMAGE", [1]), ("factor", "FLOAT", [2])],
    [("IMAGE", "IMAGE", [3])],
)
NESTER = subgraph(
    "nester",
    [node(5, "scaler", [9.0], [("picture", "IMAGE", 1), ("factor", "FLOAT", 2, "factor")])],
    [link(1, -10, 0, 5, 0), link(2, -10, 1, 5, 1), link(3, 5, 0, -20, 0)],
    [("outer picture", "IMAGE", [1]), ("outer factor", "FLOAT", [2])],
    [("IMAGE", "IMAGE", [3])],
)


def with_subgraph(middle: dict[str, Any]) -> dict[str, Any]:
    return {**chain(middle), "definitions": {"subgraphs": [SCALER, NESTER]}}


class TestSubgraphs:
    @pytest.mark.parametrize(
        ("host", "factor"),
        [
            (node(2, "scaler", [], [("picture", "IMAGE", 1)]), 2.0),
            (node(2, "scaler", [4.0], [("picture", "IMAGE", 1)]), 4.0),
            (node(2, "scaler", [None], [("picture", "IMAGE", 1)]), 2.0),
            (node(2, "scaler", [4.0], [("picture", "IMAGE", 1)], properties={"proxyWidgets": [["7", "factor"]]}), 4.0),
            (node(2, "scaler", [4.0], [("picture", "IMAGE", 1)], properties={"proxyWidgets": [["-1", "factor"]]}), 4.0),
        ],
    )
    def test_a_shown_widget(self, host: dict[str, Any], factor: float) -> None:
        prompt = sent(with_subgraph(host))
        assert set(prompt) == {"1", "2:7", "3"}
        assert inputs_of(prompt, "2:7") == {"image": ["1", 0], "factor": factor}
        assert inputs_of(prompt, "3")["images"] == ["2:7", 0]

    def test_a_linked_input_wins_over_the_shown_widget(self) -> None:
        host = node(2, "scaler", [4.0], [("picture", "IMAGE", 1), ("factor", "FLOAT", 9, "factor")])
        workflow = with_subgraph(host)
        workflow["nodes"].append(node(4, "Forced", [1]))
        workflow["links"].append([9, 4, 0, 2, 1, "FLOAT"])
        assert inputs_of(sent(workflow), "2:7")["factor"] == ["4", 0]

    def test_a_widget_shown_without_an_input_of_its_own(self) -> None:
        bare = subgraph(
            "bare",
            [node(7, "Scale", [2.0], [("image", "IMAGE", 1)])],
            [link(1, -10, 0, 7, 0), link(3, 7, 0, -20, 0)],
            [("picture", "IMAGE", [1])],
            [("IMAGE", "IMAGE", [3])],
        )
        host = node(2, "bare", [6.0], [("picture", "IMAGE", 1)], properties={"proxyWidgets": [["7", "factor"]]})
        workflow = {**chain(host), "definitions": {"subgraphs": [bare]}}
        assert inputs_of(sent(workflow), "2:7")["factor"] == 6.0

    @pytest.mark.parametrize(("values", "factor"), [([], 2.0), ([3.0], 3.0)])
    def test_nested(self, values: list[float], factor: float) -> None:
        host = node(2, "nester", values, [("outer picture", "IMAGE", 1)])
        prompt = sent(with_subgraph(host))
        assert inputs_of(prompt, "2:5:7") == {"image": ["1", 0], "factor": factor}
        assert inputs_of(prompt, "3")["images"] == ["2:5:7", 0]

    @pytest.mark.parametrize(("mode", "arrives"), [(2, None), (4, ["1", 0])])
    def test_switched_off(self, mode: int, arrives: Any) -> None:
        prompt = sent(with_subgraph(node(2, "scaler", [], [("picture", "IMAGE", 1)], mode=mode)))
        assert set(prompt) == {"1", "3"}
        assert inputs_of(prompt, "3").get("images") == arrives

    def test_two_uses_are_two_sets_of_nodes(self) -> None:
        workflow = with_subgraph(node(2, "scaler", [4.0], [("picture", "IMAGE", 1)]))
        workflow["nodes"].append(node(8, "scaler", [5.0], [("picture", "IMAGE", None)]))
        prompt = sent(workflow)
        assert (inputs_of(prompt, "2:7")["factor"], inputs_of(prompt, "8:7")["factor"]) == (4.0, 5.0)

    def test_one_that_contains_itself(self) -> None:
        endless = subgraph("endless", [node(1, "endless")], [], [], [])
        with pytest.raises(UsageError, match="contains itself"):
            sent({**flow([node(1, "endless")]), "definitions": {"subgraphs": [endless]}})


class TestTexts:
    @pytest.mark.parametrize(
        ("text", "possible"),
        [
            ("plain", {"plain"}),
            ("a {b|c} d", {"a b d", "a c d"}),
            ("{a|{b|c}}", {"a", "b", "c"}),
            (r"\{a|b\}", {"{a|b}"}),
            ("a // gone\nb /* gone */c", {"a \nb c"}),
            ("{open", {"open"}),
        ],
    )
    def test_random_choices(self, text: str, possible: set[str]) -> None:
        found = {dynamic_prompt(text, random.Random(seed)) for seed in range(40)}
        assert found == possible

    def test_only_where_the_class_asks_for_it(self) -> None:
        assert inputs_of(sent(flow([node(1, "Text", ["{a|a}"])])), "1") == {"text": "a"}
        assert inputs_of(sent(flow([node(1, "Sampler", {"note": "{a|a}"})])), "1")["note"] == "{a|a}"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a", "a"),
            ("%date:yyyy-MM-dd hhmmss%", "2031-02-03 040506"),
            ("%date:d.M.yy%", "3.2.31"),
            ("%date:d.M%", "%date:d.M%"),
            ("%Sampler.steps%/%Sampler.note%", "30/a_b"),
            ("%Nobody.steps% %width%", "%Nobody.steps% %width%"),
        ],
    )
    def test_file_names(self, text: str, expected: str) -> None:
        values = {("Sampler", "steps"): 30.0, ("Sampler", "note"): "a/b"}
        now = datetime.datetime(2031, 2, 3, 4, 5, 6)
        assert fill_in(text, lambda one, widget: values.get((one, widget)), now) == expected

    def test_a_saved_name_takes_a_widget_by_title(self) -> None:
        info = {**INFO, "SaveImage": INFO["Save"]}
        nodes = [node(1, "Sampler", [7], title="S"), node(2, "SaveImage", ["%S.seed%"])]
        assert convert(flow(nodes), info)["2"]["inputs"]["filename_prefix"] == "7"
