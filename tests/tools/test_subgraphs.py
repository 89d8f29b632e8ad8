"""Subgraphs are unfolded, with the values of the widgets that their nodes show."""

from __future__ import annotations

from typing import Any

import pytest
from image_mixer.tests.tools.flows import chain, flow, inputs_of, node, sent
from image_mixer.tools.comfy_tool.errors import UsageError


def link(identity: int, origin: int, origin_slot: int, target: int, target_slot: int) -> dict[str, Any]:
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return dict(zip(keys, (identity, origin, origin_slot, target, target_slot, "*"), strict=True))


def subgraph(
    identity: str, nodes: list[Any], links: list[Any], inputs: list[Any], outputs: list[Any]
) -> dict[str, Any]:
    """Return a definition. Inputs and outputs are (name, type, link ids)."""

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
