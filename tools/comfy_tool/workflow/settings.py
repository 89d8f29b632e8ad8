"""`--set NODE.INPUT=VALUE`: changing inputs of a prompt by hand."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .objectinfo import DYNAMIC_COMBO, Input, ObjectInfo, out_of_range, present_inputs
from .widgets import wrapped

Prompt = dict[str, dict[str, Any]]
NAMES_SHOWN = 12


def apply_settings(prompt: Prompt, settings: list[str], info: ObjectInfo, upload: Callable[[Path], str]) -> None:
    """Change `prompt` in place. `upload` copies a local file to the server and gives its name there.

    Raises UsageError for a node or input that is not there or not the only one so called, and for a value that does
    not fit.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r}: write NODE.INPUT=VALUE")
        node_id, name = find_input(prompt, key, info)
        node = prompt[node_id]
        one = input_named(node, name, info)
        node["inputs"][name] = value_of(text, one, describe(node_id, node), upload)


def find_input(prompt: Prompt, key: str, info: ObjectInfo) -> tuple[str, str]:
    """The node id and input name meant by `node.input`. Names of both may hold dots: every split is tried."""
    dots = [at for at, char in enumerate(key) if char == "."]
    if not dots:
        raise UsageError(f"--set {key!r}: write NODE.INPUT=VALUE")
    unknown = ""
    for at in dots:
        reference, name = key[:at].strip(), key[at + 1 :].strip()
        found = find_nodes(prompt, reference)
        if len(found) > 1:
            listed = "; ".join(describe(one, prompt[one]) for one in found[:NAMES_SHOWN])
            raise UsageError(f"--set: {reference!r} is not one node but {len(found)}; use an id: {listed}")
        if not found:
            continue
        node = prompt[found[0]]
        names = [one.name for one in present_inputs(info.get(node["class_type"], {}), node["inputs"])]
        if name in names:
            return found[0], name
        unknown = f"--set: {describe(found[0], node)} has no input {name!r}, but {', '.join(names) or 'none at all'}"
    if unknown:
        raise UsageError(unknown)
    listed = "; ".join(describe(one, node) for one, node in list(prompt.items())[:NAMES_SHOWN])
    raise UsageError(f"--set: no node has the id, title or class {key[: dots[0]]!r}; there are: {listed}")


def find_nodes(prompt: Prompt, reference: str) -> list[str]:
    """The ids of the nodes with that id, or else that title, or else that class."""
    if reference in prompt:
        return [reference]
    by_title = [one for one, node in prompt.items() if title_of(node).lower() == reference.lower()]
    return by_title or [one for one, node in prompt.items() if node["class_type"] == reference]


def input_named(node: Mapping[str, Any], name: str, info: ObjectInfo) -> Input:
    """The input of a node. Raises UsageError when it takes links only."""
    inputs = present_inputs(info.get(node["class_type"], {}), node["inputs"])
    one = next(one for one in inputs if one.name == name)
    if not one.is_widget:
        raise UsageError(f"--set: input {name} takes a link of type {one.type}, no value")
    return one


def value_of(text: str, one: Input, where: str, upload: Callable[[Path], str]) -> Any:
    """The value that `text` means for an input, as JSON or else as plain text. Raises UsageError where none fits."""
    problem = f"--set: {where}, input {one.name}: {text!r}"
    if one.is_upload and (local := Path(text).expanduser()).is_file():
        return upload(local)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    kind = one.widget_type
    if kind in ("STRING", "MARKDOWN", "TEXTAREA"):
        return value if isinstance(value, str) else text
    if kind in ("INT", "FLOAT"):
        return number(value, one, problem)
    if kind == "BOOLEAN" and not isinstance(value, bool):
        raise UsageError(f"{problem} is neither true nor false")
    if kind in ("COMBO", DYNAMIC_COMBO):
        return choice(text, value, one, problem)
    return wrapped(value, kind)


def number(value: Any, one: Input, problem: str) -> int | float:
    """A number within the input's range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{problem} is no number")
    if one.widget_type == "INT" and value != int(value):
        raise UsageError(f"{problem} is no whole number")
    if fault := out_of_range(value, one):
        raise UsageError(f"{problem} {fault}")
    return int(value) if one.widget_type == "INT" else value


def choice(text: str, value: Any, one: Input, problem: str) -> Any:
    """One of a combo's entries."""
    choices = one.choices
    if choices is None:
        return value
    if one.options.get("multi_select") and isinstance(value, list):
        wrong = [entry for entry in value if entry not in choices]
        if not wrong:
            return wrapped(value)
    for candidate in (text, value):
        if candidate in choices:
            return candidate
    if one.is_upload:
        raise UsageError(f"{problem} is no file here, and none in the server's input folder")
    close = difflib.get_close_matches(text, [str(entry) for entry in choices], 3, 0.4) or choices[:NAMES_SHOWN]
    listed = ", ".join(map(str, close)) or "none"
    raise UsageError(f"{problem} is not one of its {len(choices)} entries, such as {listed}")


def title_of(node: Mapping[str, Any]) -> str:
    """A node's title, or its class where it has none."""
    return str((node.get("_meta") or {}).get("title") or node["class_type"])


def describe(node_id: str, node: Mapping[str, Any]) -> str:
    """How messages name a node: `node 5 (Image Mix)`."""
    return f"node {node_id} ({title_of(node)})"
