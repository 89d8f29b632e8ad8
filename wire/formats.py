"""The one list of wire formats. A new format is a file that declares a `WIRE`, and an entry here."""

from __future__ import annotations

from ..mixing.errors import InputError
from . import v5, v6
from .declaration import Wire

WIRES: tuple[Wire, ...] = (v6.WIRE, v5.WIRE)
"""All formats. Messages list them in this order."""

DEFAULT = v6.WIRE
"""The format of a profile that does not name one. It must not change: all jobs of those profiles would become new jobs and
be paid for again."""


def wire_of(name: str) -> Wire:
    """Return the format called `name`. Raise InputError, which names the known formats, if there is none."""
    for wire in WIRES:
        if wire.name == name:
            return wire
    raise InputError(f"Unknown wire format {str(name)[:40]!r}: choose one of {', '.join(wire.name for wire in WIRES)}.")
