"""Turn a prompt in API format into a workflow as the front end saves it, with some nodes inside a subgraph."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

INPUT, OUTPUT = -10, -20
"""The ids that stand for a subgraph's own inputs and outputs."""

SUBGRAPH = "8d1b7f6e-52a4-4c8e-9d53-0a3c6f1f2b77"


def as_workflow(
    prompt: Mapping[str, Any], info: Mapping[str, Any], inside: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (the workflow, the id under which each node of `prompt` is sent). Nodes in `inside` go into one subgraph."""
    return _Writer(prompt, info, frozenset(inside)).workflow()


class _Writer:
    def __init__(self, prompt: Mapping[str, Any], info: Mapping[str, Any], inside: frozenset[str]) -> None:
        self.prompt, self.info, self.inside = prompt, info, inside & set(prompt)
        self.number = {name: at for at, name in enumerate(prompt, 1)}
        self.host = len(prompt) + 1
        self.nodes = {name: self._node(name) for name in prompt}
        self.links: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        self.inputs: dict[tuple[str, int], dict[str, Any]] = {}
        self.outputs: dict[tuple[str, int], dict[str, Any]] = {}
        self.host_inputs: list[dict[str, Any]] = []
        self.count = 0

    def workflow(self) -> tuple[dict[str, Any], dict[str, str]]:
        for name, node in self.prompt.items():
            for key, value in node["inputs"].items():
                if isinstance(value, list):
                    self._connect((value[0], int(value[1])), name, key)
        top = [node for name, node in self.nodes.items() if name not in self.inside]
        rows = [
            [link[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")]
            for link in self.links[False]
        ]
        made: dict[str, Any] = {"nodes": top, "links": rows, "version": 0.4}
        if self.inside:
            top.append(
                {
                    "id": self.host,
                    "type": SUBGRAPH,
                    "mode": 0,
                    "inputs": self.host_inputs,
                    "outputs": list(self.outputs.values()),
                    "properties": {},
                    "widgets_values": [],
                }
            )
            made["definitions"] = {
                "subgraphs": [
                    {
                        "id": SUBGRAPH,
                        "name": "inner",
                        "nodes": [self.nodes[name] for name in sorted(self.inside)],
                        "links": self.links[True],
                        "inputs": list(self.inputs.values()),
                        "outputs": list(self.outputs.values()),
                    }
                ]
            }
        host = f"{self.host}:"
        return made, {n: (host if n in self.inside else "") + str(at) for n, at in self.number.items()}

    def _node(self, name: str) -> dict[str, Any]:
        node = self.prompt[name]
        values = {key: value for key, value in node["inputs"].items() if not isinstance(value, list)}
        return {
            "id": self.number[name],
            "type": node["class_type"],
            "mode": 0,
            "inputs": [],
            "properties": {},
            "outputs": [{"name": kind, "type": kind} for kind in self._types(name)],
            "widgets_values": values,
        }

    def _types(self, name: str) -> list[str]:
        return [str(kind) for kind in self.info[self.prompt[name]["class_type"]]["output"]]

    def _connect(self, origin: tuple[str, int], target: str, key: str) -> None:
        kind = self._types(origin[0])[origin[1]]
        out_of, into = origin[0] in self.inside, target in self.inside
        if out_of == into:
            self._link(into, self.number[origin[0]], origin[1], target, key, kind)
        elif into:
            first = origin not in self.inputs
            slot = self.inputs.setdefault(origin, self._slot(f"{origin[0]} {origin[1]}", kind))
            at = list(self.inputs).index(origin)
            slot["linkIds"].append(self._link(True, INPUT, at, target, key, kind))
            if first:
                link = self._row(False, self.number[origin[0]], origin[1], self.host, at, kind)
                self.host_inputs.append({"name": slot["name"], "type": kind, "link": link})
        else:
            if origin not in self.outputs:
                self.outputs[origin] = self._slot(f"{origin[0]} {origin[1]}", kind)
                at = list(self.outputs).index(origin)
                self.outputs[origin]["linkIds"].append(
                    self._row(True, self.number[origin[0]], origin[1], OUTPUT, at, kind)
                )
            self._link(False, self.host, list(self.outputs).index(origin), target, key, kind)

    def _slot(self, name: str, kind: str) -> dict[str, Any]:
        return {"name": name, "type": kind, "linkIds": []}

    def _link(self, inner: bool, origin: int, slot: int, target: str, key: str, kind: str) -> int:
        inputs = self.nodes[target]["inputs"]
        link = self._row(inner, origin, slot, self.number[target], len(inputs), kind)
        inputs.append({"name": key, "type": kind, "link": link})
        return link

    def _row(self, inner: bool, origin: int, slot: int, target: int, at: int, kind: str) -> int:
        self.count += 1
        self.links[inner].append(
            {
                "id": self.count,
                "origin_id": origin,
                "origin_slot": slot,
                "target_id": target,
                "target_slot": at,
                "type": kind,
            }
        )
        return self.count
