"""Check a prompt against /object_info without queueing it."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from .objectinfo import MATCH_TYPE, Input, ObjectInfo, out_of_range, outputs_of, present_inputs, types_fit
from .prompt import Prompt, describe, link_of, links_of


def check(prompt: Prompt, info: ObjectInfo) -> list[str]:
    """Return the ids of the nodes that would run: the outputs and what they depend on. Raises UsageError with all faults."""
    for node_id, node in prompt.items():
        if node["class_type"] not in info:
            where = describe(node_id, node)
            raise UsageError(f"{where}: the server has no node class {node['class_type']}: install the pack it is from")
    outputs = [node_id for node_id, node in prompt.items() if info[node["class_type"]].get("output_node")]
    if not outputs:
        raise UsageError("the workflow has no output node, such as Save Image: nothing would run")
    needed = reachable(prompt, outputs)
    faults = [fault for node_id in needed for fault in node_faults(prompt, node_id, info)]
    if faults:
        raise UsageError("; ".join(faults))
    return needed


def reachable(prompt: Prompt, outputs: list[str]) -> list[str]:
    """Return the outputs and everything that they depend on, in execution order. Raises UsageError for a circle."""
    order: list[str] = []
    state: dict[str, str] = {}
    for output in outputs:
        stack = [(output, iter(links_of(prompt[output])))]
        state.setdefault(output, "open")
        while stack and state[output] != "done":
            node_id, links = stack[-1]
            origin = next(links, None)
            if origin is None:
                stack.pop()
                state[node_id] = "done"
                order.append(node_id)
            elif state.get(origin) == "open":
                raise UsageError(f"{describe(origin, prompt[origin])} is linked in a circle")
            elif origin in prompt and origin not in state:
                state[origin] = "open"
                stack.append((origin, iter(links_of(prompt[origin]))))
    return order


def node_faults(prompt: Prompt, node_id: str, info: ObjectInfo) -> list[str]:
    """Return what is wrong with a node's inputs, one phrase per fault."""
    node = prompt[node_id]
    faults = []
    for one in present_inputs(info[node["class_type"]], node["inputs"]):
        fault = _fault(prompt, node["inputs"].get(one.name), one.name in node["inputs"], one, info)
        if fault:
            faults.append(f"{describe(node_id, node)}, input {one.name}: {fault}")
    return faults


def _fault(prompt: Prompt, value: Any, given: bool, one: Input, info: ObjectInfo) -> str:
    if not given:
        return "is required but has neither a link nor a value" if one.required else ""
    link = link_of(value)
    if link is not None:
        return _link_fault(prompt, link, one, info)
    if not one.is_widget:
        return "" if isinstance(value, dict) else f"accepts only a link of type {one.type}, not {value!r}"
    if one.choices is not None and not one.is_upload and not one.options.get("multi_select"):
        return "" if value in one.choices or not one.choices else f"{value!r} is not one of its entries"
    if one.widget_type in ("INT", "FLOAT"):
        return _number_fault(value, one)
    return ""


def _link_fault(prompt: Prompt, link: tuple[str, int], one: Input, info: ObjectInfo) -> str:
    origin = prompt.get(link[0])
    if origin is None:
        return f"is linked to node {link[0]}, which does not exist"
    kinds = outputs_of(info[origin["class_type"]])
    if not 0 <= link[1] < len(kinds):
        return f"is linked to output {link[1]} of {describe(link[0], origin)}, which has {len(kinds)}"
    kind = kinds[link[1]]
    if MATCH_TYPE in (kind, one.type) or types_fit(kind, one.type):
        return ""
    return f"accepts {one.type}, but the output of {describe(link[0], origin)} is {kind}"


def _number_fault(value: Any, one: Input) -> str:
    try:
        number = int(value) if one.widget_type == "INT" else float(value)
    except (TypeError, ValueError, OverflowError):
        return f"{value!r} is not a number"
    fault = out_of_range(number, one)
    return f"{value!r} {fault}" if fault else ""
