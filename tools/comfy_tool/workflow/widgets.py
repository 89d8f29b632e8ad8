"""Read the values of a saved node's widgets by name, and prepare them for sending as the front end does."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .graph import Node
from .objectinfo import AUTOGROW, DYNAMIC_COMBO, Input, inputs_of, nested_inputs

_SAVES_FILES = {
    "SaveImage",
    "SaveImageAdvanced",
    "SaveSVGNode",
    "SaveVideo",
    "SaveAnimatedWEBP",
    "SaveWEBM",
    "SaveAudio",
    "SaveAudioMP3",
    "SaveAudioOpus",
    "SaveAudioAdvanced",
    "SaveGLB",
    "Save3DAdvanced",
    "SaveGaussianSplat",
    "SavePointCloud",
    "SaveAnimatedPNG",
    "CLIPSave",
    "VAESave",
    "ModelSave",
    "LoraSave",
    "SaveLatent",
}


def read_values(node: Node, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every widget, the default if it is not saved.

    Saved lists also contain values that are not inputs, such as control_after_generate. They are skipped.
    """
    saved_widgets = {slot.widget for slot in node.inputs if slot.widget}
    queue = [one for one in inputs_of(info) if one.is_widget or (one.name in saved_widgets and one.type != AUTOGROW)]
    if isinstance(node.values, dict):
        return _from_names(queue, node.values)
    if node.type == "CustomCombo" and node.values:
        return _custom_combo(node.values)
    saved = _without_forced(list(inputs_of(info)), queue, node.values)
    values: dict[str, Any] = {}
    at = 0
    while queue:
        one = queue.pop(0)
        values[one.name] = saved[at] if at < len(saved) else one.default
        at += 1 + one.extra_values
        if one.type == DYNAMIC_COMBO:
            queue[:0] = [inner for inner in nested_inputs(one, values[one.name]) if inner.is_widget]
    return values


def _custom_combo(saved: list[Any]) -> dict[str, Any]:
    """Read core's combo with typed entries. It saves the choice, a value for its index, and the entries."""
    entries = saved[2:]
    index = entries.index(saved[0]) if saved[0] in entries else -1
    return {"choice": saved[0], "index": index, **{f"option{n}": entry for n, entry in enumerate(entries, 1)}}


def _from_names(queue: list[Input], saved: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    while queue:
        one = queue.pop(0)
        values[one.name] = saved.get(one.name, one.default)
        if one.type == DYNAMIC_COMBO:
            queue[:0] = [inner for inner in nested_inputs(one, values[one.name]) if inner.is_widget]
    return values


def _without_forced(all_inputs: Sequence[Input], widgets: Sequence[Input], saved: list[Any]) -> list[Any]:
    """Leave out the values that old front ends saved for inputs with forceInput, which are sockets."""
    names = {one.name for one in widgets}
    forced: list[bool] = []
    for one in all_inputs:
        if one.name in names or one.options.get("forceInput"):
            forced.append(bool(one.options.get("forceInput")))
            forced += [False] if one.options.get("control_after_generate") else []
    if len(forced) != len(saved):
        return saved
    return [value for value, is_forced in zip(saved, forced, strict=True) if not is_forced]


def as_sent(value: Any, one: Input, class_name: str, lookup: Callable[[str, str], Any], chance: random.Random) -> Any:
    """Return a widget's value as the front end sends it, after random choices in texts and with file names filled in."""
    if isinstance(value, str):
        if one.options.get("dynamicPrompts") is True and one.type == "STRING":
            return dynamic_prompt(value, chance)
        if one.name == "filename_prefix" and class_name in _SAVES_FILES:
            return fill_in(value, lookup, datetime.datetime.now())
    return wrapped(value, one.widget_type)


def wrapped(value: Any, kind: str = "") -> Any:
    """Wrap a list, since a plain list of two items would be read as a link. Return other values unchanged."""
    if not isinstance(value, list):
        return value
    return {"__type__": "CURVE", "__value__": value} if kind == "CURVE" else {"__value__": value}


def dynamic_prompt(text: str, chance: random.Random) -> str:
    """Remove comments from a text and choose one of each {a|b|c}, as the front end does. A backslash escapes a brace."""
    text = re.sub(r"/\*[\s\S]*?\*/|//.*", "", text)
    out, at = "", 0
    while at < len(text):
        if text[at] == "\\":
            out, at = out + text[at : at + 2], at + 2
        elif text[at] == "{":
            options, at = _choices(text, at + 1)
            out += dynamic_prompt(chance.choice(options), chance)
        else:
            out, at = out + text[at], at + 1
    return re.sub(r"\\([{}|])", r"\1", out)


def _choices(text: str, at: int) -> tuple[list[str], int]:
    options, choice, depth = [], "", 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\":
            choice, at = choice + text[at - 1 : at + 1], at + 1
            continue
        if char == "}" and depth == 0:
            break
        if char == "|" and depth == 0:
            options.append(choice)
            choice = ""
            continue
        depth += (char == "{") - (char == "}")
        choice += char
    return [*options, choice], at


def fill_in(text: str, lookup: Callable[[str, str], Any], now: datetime.datetime) -> str:
    """Fill in %date:yyyy-MM-dd% and %node.widget% in a file name. Those that cannot be found stay as they are."""

    def fill(match: re.Match[str]) -> str:
        parts = match[1].split(".")
        if len(parts) != 2:
            return _date(match[1][5:], now) if match[1].startswith("date:") else match[0]
        found = lookup(parts[0], parts[1])
        return match[0] if found is None else re.sub(r'[/?<>\\:*|"\x00-\x1f\x7f]', "_", _as_text(found))

    return re.sub(r"%([^%]+)%", fill, text)


def _date(pattern: str, now: datetime.datetime) -> str:
    numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match[str]) -> str:
        if match[0] in ("yy", "yyyy"):
            return str(now.year)[4 - len(match[0]) :]
        return str(numbers[match[0][0]]).zfill(len(match[0])) if match[0][0] in numbers else match[0]

    return re.sub(r"dd?|MM?|hh?|mm?|ss?|yyy?y?", part, pattern)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
