"""A method's options: each is declared once, with its default, range and tooltip, as a field of the method's settings.

The nodes make widgets of these declarations, and `Settings.parse` checks values against them. Names, order and defaults
are permanent, since saved workflows hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from ...mixing.errors import InputError

_KEY = "option"

SettingsT = TypeVar("SettingsT", bound="Settings")


@dataclass(frozen=True)
class Option:
    """One option. `choices` has the values of a list; `least` and `most` bound a number.

    The type of `default` is the type of the option: str, bool, int or float. `step` is that of the widget.
    `engine_only` options appear in Image Mixer (Local) alone, which encodes pictures and prompts itself.
    """

    default: str | bool | int | float
    tooltip: str
    choices: tuple[str, ...] = ()
    least: float = 0
    most: float = 0
    step: float = 1
    engine_only: bool = False

    def check(self, name: str, value: object) -> None:
        """Raise InputError if `value` is not one that the option `name` can have."""
        label = name.replace("_", " ")
        if isinstance(self.default, str):
            if value not in self.choices:
                raise InputError(f"Unknown value {value!r} for {label}: choose one of {', '.join(self.choices)}.")
        elif isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise InputError(f"{label.capitalize()} must be true or false, not {value!r}.")
        elif not self._is_number(value) or not self.least <= value <= self.most:  # type: ignore[operator]
            kind = "a whole number " if isinstance(self.default, int) else ""
            most = self.most if isinstance(self.default, int) else f"{self.most:g}"
            raise InputError(f"{label.capitalize()} must be {kind}from {self.least:g} to {most}, not {value!r}.")

    def _is_number(self, value: object) -> bool:
        allowed = int if isinstance(self.default, int) else (int, float)
        return isinstance(value, allowed) and not isinstance(value, bool)


# Fields are declared as `combine: str = choice(...)`, so these return Any, as dataclasses.field does for mypy.


def choice(choices: tuple[str, ...], tooltip: str) -> Any:
    """Declare a text from a list; the first one is the default."""
    return _declared(Option(choices[0], tooltip, choices))


def whole(default: int, least: int, most: int, tooltip: str) -> Any:
    """Declare a whole number from `least` to `most`."""
    return _declared(Option(default, tooltip, least=least, most=most))


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`; a widget changes them by `step`."""

    least: float
    most: float
    step: float


def number(default: float, within: Range, tooltip: str, engine_only: bool = False) -> Any:
    """Declare a number in a range."""
    return _declared(
        Option(default, tooltip, least=within.least, most=within.most, step=within.step, engine_only=engine_only)
    )


def switch(default: bool, tooltip: str, engine_only: bool = False) -> Any:
    """Declare an option that is on or off."""
    return _declared(Option(default, tooltip, engine_only=engine_only))


def _declared(option: Option) -> Any:
    return field(default=option.default, metadata={_KEY: option})


@dataclass(frozen=True)
class Settings:
    """The settings of a method without options, and the base of all others. Raises InputError on a value out of range."""

    def __post_init__(self) -> None:
        for name, option in options_of(type(self)).items():
            option.check(name, getattr(self, name))

    @classmethod
    def parse(cls: type[SettingsT], options: Mapping[str, Any]) -> SettingsT:
        """Return the settings for a node's options by name; options that are missing keep their defaults.

        Raise InputError on an unknown name, or a value out of range.
        """
        unknown = [name for name in options if name not in options_of(cls)]
        if unknown:
            known = ", ".join(options_of(cls)) or "none"
            raise InputError(f"Unknown option {unknown[0]!r}: this method's options are: {known}.")
        return cls(**options)


def options_of(settings: type[Settings]) -> dict[str, Option]:
    """Return the options declared in a settings class, by name, in order."""
    return {part.name: part.metadata[_KEY] for part in fields(settings)}
