"""Read a server's node classes as listed at /object_info, and which inputs the front end shows as widgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ObjectInfo = Mapping[str, Mapping[str, Any]]

AUTOGROW = "COMFY_AUTOGROW_V3"
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
MATCH_TYPE = "COMFY_MATCHTYPE_V3"

_DEFAULTS: dict[str, Any] = {
    "INT": 0,
    "FLOAT": 0,
    "STRING": "",
    "MARKDOWN": "",
    "TEXTAREA": "",
    "BOOLEAN": False,
    "COMBO": None,
    "PAINTER": "",
    "COLOR": "#000000",
    "CURVE": {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"},
    "COLORS": [],
    "RANGE": {"min": 0.0, "max": 1.0},
    "BOUNDING_BOX": {"x": 0, "y": 0, "width": 512, "height": 512},
    "BOUNDING_BOXES": [],
    "CHART": {},
    "GALLERIA": [],
    DYNAMIC_COMBO: None,
}
_SEED_NAMES = ("seed", "noise_seed")


@dataclass(frozen=True)
class Input:
    """An input of a node class. `options` are those that the class defines: default, min, max, tooltip and so on."""

    name: str
    type: str
    options: Mapping[str, Any]
    required: bool

    @property
    def widget_type(self) -> str:
        """The kind of widget, by default the input's type."""
        return str(self.options.get("widgetType") or self.type)

    @property
    def is_widget(self) -> bool:
        """Whether the front end shows a widget for it. For a type that a pack defines, it does if there is a default."""
        if self.options.get("forceInput"):
            return False
        known = self.widget_type in _DEFAULTS
        return known or ("default" in self.options and self.type not in (AUTOGROW, MATCH_TYPE))

    @property
    def choices(self) -> list[Any] | None:
        """The entries of a combo, None for other types and for lists that the front end loads later."""
        if self.type == DYNAMIC_COMBO:
            return [option["key"] for option in self.options.get("options") or []]
        if self.type == "COMBO" and not self.options.get("remote"):
            return list(self.options.get("options") or [])
        return None

    @property
    def default(self) -> Any:
        """The value in a new node."""
        if self.type == DYNAMIC_COMBO:
            return (self.choices or [None])[0]
        if self.type == "COMBO" and "default" not in self.options:
            if self.options.get("multi_select"):
                return []
            return (self.choices or [None])[0]
        return self.options.get("default", _DEFAULTS.get(self.widget_type))

    @property
    def extra_values(self) -> int:
        """How many more values the front end saves after this one that are not inputs of the node."""
        control = self.options.get("control_after_generate")
        if self.type == "COMBO":
            return 2 if control else 0
        if self.type == "INT":
            return 1 if control or (control is None and self.name in _SEED_NAMES) else 0
        return 4 if self.widget_type == "BOUNDING_BOX" else 0

    @property
    def is_upload(self) -> bool:
        """Whether its value names a file in the server's input folder, and files can be uploaded there."""
        keys = ("image_upload", "video_upload", "animated_image_upload", "audio_upload")
        return any(self.options.get(key) is True for key in keys)


def inputs_of(info: Mapping[str, Any]) -> list[Input]:
    """Return the inputs of a class in the order in which the front end makes their widgets."""
    sections, order = info.get("input") or {}, info.get("input_order") or {}
    found: list[Input] = []
    for section in ("required", "optional"):
        specs = sections.get(section) or {}
        names = [name for name in order.get(section) or [] if name in specs]
        names += [name for name in specs if name not in names]
        found += [_input(name, specs[name], section == "required") for name in names]
    return found


def nested_inputs(combo: Input, value: object) -> list[Input]:
    """Return the inputs that an entry of a dynamic combo adds, named combo.input."""
    for option in combo.options.get("options") or []:
        if option.get("key") == value:
            inner = inputs_of({"input": option.get("inputs") or {}})
            return [Input(f"{combo.name}.{one.name}", one.type, one.options, one.required) for one in inner]
    return []


def autogrow_input(group: Input, name: str) -> Input | None:
    """Return the input of an autogrow group that is called `name`, such as images.image0, None if there is none."""
    template = group.options.get("template") or {}
    head, _, tail = name.rpartition(".")
    if head != group.name or not tail:
        return None
    inner = inputs_of({"input": template.get("input") or {}})
    if not inner:
        return None
    names: Sequence[str] | None = template.get("names")
    prefix = str(template.get("prefix") or "")
    if names is not None:
        ordinal = list(names).index(tail) if tail in names else None
    else:
        digits = tail[len(prefix) :]
        ordinal = int(digits) if tail.startswith(prefix) and digits.isdecimal() else None
    if ordinal is None or ordinal >= int(template.get("max") or 100):
        return None
    required = inner[0].required and ordinal < int(template.get("min") or 0)
    return Input(name, inner[0].type, inner[0].options, required)


def present_inputs(info: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Input]:
    """Yield all inputs of a node whose values are `given`, with those of its groups and of its chosen combo entries."""
    queue = inputs_of(info)
    while queue:
        one = queue.pop(0)
        if one.type == AUTOGROW:
            least = int((one.options.get("template") or {}).get("min") or 0)
            names = [name for name in given if name.startswith(one.name + ".")]
            names += [name for name in _first_names(one, least) if name not in names]
            queue[:0] = [found for found in (autogrow_input(one, name) for name in names) if found]
            continue
        yield one
        if one.type == DYNAMIC_COMBO:
            queue[:0] = nested_inputs(one, given.get(one.name, one.default))


def _first_names(group: Input, count: int) -> list[str]:
    template = group.options.get("template") or {}
    tails = template.get("names") or [f"{template.get('prefix') or ''}{ordinal}" for ordinal in range(count)]
    return [f"{group.name}.{tail}" for tail in tails[:count]]


def outputs_of(info: Mapping[str, Any]) -> list[str]:
    """Return the types of a class's outputs."""
    return ["COMBO" if isinstance(kind, list) else str(kind) for kind in info.get("output") or []]


def types_fit(one: str, other: str) -> bool:
    """Return whether an output of one type may feed an input of the other: `*` fits all types, `A,B` fits both."""
    if "*" in (one, other) or COMBO_LIKE.get(one, one) == COMBO_LIKE.get(other, other):
        return True
    ones, others = (set(kind.lower().split(",")) for kind in (one, other))
    return "*" in ones | others or bool(ones & others)


COMBO_LIKE = {DYNAMIC_COMBO: "COMBO"}


def out_of_range(value: float, one: Input) -> str:
    """Return what is wrong with a number outside the input's range, "" if it is within."""
    least, most = one.options.get("min"), one.options.get("max")
    if (least is None or value >= least) and (most is None or value <= most):
        return ""
    if least is None or most is None:
        return f"must be at least {least}" if most is None else f"must be at most {most}"
    return f"is not within {least} to {most}"


def _input(name: str, spec: Any, required: bool) -> Input:
    kind = spec[0] if isinstance(spec, (list, tuple)) and spec else "*"
    options = dict(spec[1]) if isinstance(spec, (list, tuple)) and len(spec) > 1 and isinstance(spec[1], dict) else {}
    if isinstance(kind, list):
        return Input(name, "COMBO", {**options, "options": kind}, required)
    return Input(name, str(kind), options, required)
