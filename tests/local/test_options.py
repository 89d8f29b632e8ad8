"""The options of methods: one declaration gives the widget, the default and the check of a value."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.local.methods import METHODS, Method, Settings, options_of
from image_mixer.local.methods.options import Range, choice, number, switch, whole
from image_mixer.mixing.errors import InputError
from image_mixer.nodes import methods as widgets

each_method = pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])


@dataclass(frozen=True)
class ToySettings(Settings):
    """One option of every kind."""

    colour: str = choice(("red", "green"), "Which colour.")
    count: int = whole(3, 1, 5, "How many.")
    size: float = number(0.5, Range(0.0, 1.0, step=0.25), "How large.")
    fast: bool = switch(True, "Whether fast.", engine_only=True)


def test_missing_options_have_their_defaults() -> None:
    assert ToySettings.parse({"count": 5}) == ToySettings("red", 5, 0.5, True)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"colour": "blue"}, "Unknown value 'blue' for colour: choose one of red, green."),
    ({"colour": 1}, "Unknown value 1 for colour: choose one of red, green."),
    ({"count": 6}, "Count must be a whole number from 1 to 5, not 6."),
    ({"count": 2.0}, "Count must be a whole number from 1 to 5, not 2.0."),
    ({"count": True}, "Count must be a whole number from 1 to 5, not True."),
    ({"size": 1.5}, "Size must be from 0 to 1, not 1.5."),
    ({"size": float("nan")}, "Size must be from 0 to 1, not nan."),
    ({"size": "large"}, "Size must be from 0 to 1, not 'large'."),
    ({"fast": 1}, "Fast must be true or false, not 1."),
    ({"speed": 1}, "Unknown option 'speed': this method's options are: colour, count, size, fast."),
]


@pytest.mark.parametrize(("options", "line"), BAD, ids=[str(case[0]) for case in BAD])
def test_a_bad_value_gets_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as caught:
        ToySettings.parse(options)
    assert str(caught.value) == line


@each_method
def test_the_widgets_of_a_method_are_its_options(method: Method[Any]) -> None:
    for engine in (False, True):
        entry = next(o for o in widgets.method_input(engine).as_dict()["options"] if o["key"] == method.name)
        made = [name for group in entry["inputs"].values() for name in group]
        options = options_of(method.settings)
        assert made == [name for name, option in options.items() if engine or not option.engine_only]


@each_method
@given(data=st.data())
def test_fuzzed_options_are_parsed_or_refused(method: Method[Any], data: st.DataObject) -> None:
    options = options_of(method.settings)
    anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers())
    given_options = data.draw(st.dictionaries(st.sampled_from([*options, "other"]), anything))
    try:
        method.settings.parse(given_options)
    except InputError as error:
        assert "\n" not in str(error)


def test_a_method_in_the_list_gets_its_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widgets, "METHODS", (*METHODS, SimpleNamespace(name="toy", settings=ToySettings)))
    *_, entry = widgets.method_input(engine=True).as_dict()["options"]
    required = entry["inputs"]["required"]
    assert entry["key"] == "toy" and [*required] == ["colour", "count", "size", "fast"]
    assert required["count"][1]["default"] == 3 and required["count"][1]["max"] == 5
    assert required["size"][1]["step"] == 0.25 and required["fast"][0] == "BOOLEAN"
