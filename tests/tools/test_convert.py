"""Saved workflows are converted to the same prompts that the front end sends."""

from __future__ import annotations

import datetime
import random
from typing import Any

import pytest
from image_mixer.tests.tools.flows import INFO, chain, flow, inputs_of, node, sent
from image_mixer.tools.comfy_tool.errors import UsageError
from image_mixer.tools.comfy_tool.workflow.convert import convert
from image_mixer.tools.comfy_tool.workflow.widgets import dynamic_prompt, fill_in


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
