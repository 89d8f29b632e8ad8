"""Change inputs of a prompt by `--set NODE.INPUT=VALUE`."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .objectinfo import DYNAMIC_COMBO, Input, ObjectInfo, out_of_range, present_inputs
from .prompt import MutablePrompt, Prompt, describe, title_of
from .widgets import wrapped

NAMES_SHOWN = 12


def apply_settings(prompt: MutablePrompt, settings: list[str], info: ObjectInfo, upload: Callable[[Path], str]) -> None:
    """Change `prompt` in place. `upload` copies a local file to the server and returns its name there.

    Raises UsageError if a node or input does not exist, if several nodes have that name, or if a value does not fit.
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
    """Return the node id and input name meant by `node.input`. Both names may contain dots, so every split is tried."""
    dots = [at for at, char in enumerate(key) if char == "."]
    if not dots:
        raise UsageError(f"--set {key!r}: write NODE.INPUT=VALUE")
    unknown = ""
    for at in dots:
        reference, name = key[:at].strip(), key[at + 1 :].strip()
        found = find_nodes(prompt, reference)
        if len(found) > 1:
            listed = "; ".join(describe(one, prompt[one]) for one in found[:NAMES_SHOWN])
            raise UsageError(f"--set: {reference!r} names {len(found)} nodes; use an id: {listed}")
        if not found:
            continue
        node = prompt[found[0]]
        names = [one.name for one in present_inputs(info.get(node["class_type"], {}), node["inputs"])]
        if name in names:
            return found[0], name
        unknown = (
            f"--set: {describe(found[0], node)} has no input {name!r}; its inputs are: {', '.join(names) or 'none'}"
        )
    if unknown:
        raise UsageError(unknown)
    listed = "; ".join(describe(one, node) for one, node in list(prompt.items())[:NAMES_SHOWN])
    raise UsageError(f"--set: no node has the id, title or class {key[: dots[0]]!r}; there are: {listed}")


def find_nodes(prompt: Prompt, reference: str) -> list[str]:
    """Return the ids of the nodes with that id, or else that title, or else that class."""
    if reference in prompt:
        return [reference]
    by_title = [one for one, node in prompt.items() if title_of(node).lower() == reference.lower()]
    return by_title or [one for one, node in prompt.items() if node["class_type"] == reference]


def input_named(node: Mapping[str, Any], name: str, info: ObjectInfo) -> Input:
    """Return an input of a node. Raises UsageError if it accepts only a link."""
    inputs = present_inputs(info.get(node["class_type"], {}), node["inputs"])
    one = next(one for one in inputs if one.name == name)
    if not one.is_widget:
        raise UsageError(f"--set: input {name} accepts only a link of type {one.type}")
    return one


def value_of(text: str, one: Input, where: str, upload: Callable[[Path], str]) -> Any:
    """Return the value that `text` means for an input: JSON or else plain text. Raises UsageError if it does not fit."""
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
        raise UsageError(f"{problem} must be true or false")
    if kind in ("COMBO", DYNAMIC_COMBO):
        return choice(text, value, one, problem)
    return wrapped(value, kind)


def number(value: Any, one: Input, problem: str) -> int | float:
    """Return a number within the input's range. Raises UsageError for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{problem} is not a number")
    if one.widget_type == "INT" and value != int(value):
        raise UsageError(f"{problem} is not a whole number")
    if fault := out_of_range(value, one):
        raise UsageError(f"{problem} {fault}")
    return int(value) if one.widget_type == "INT" else value


def choice(text: str, value: Any, one: Input, problem: str) -> Any:
    """Return one of a combo's entries. Raises UsageError for any other value."""
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
        raise UsageError(f"{problem} is not a file here or in the server's input folder")
    close = difflib.get_close_matches(text, [str(entry) for entry in choices], 3, 0.4) or choices[:NAMES_SHOWN]
    listed = ", ".join(map(str, close)) or "none"
    raise UsageError(f"{problem} is not one of its {len(choices)} entries, such as {listed}")
