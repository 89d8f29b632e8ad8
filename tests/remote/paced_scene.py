"""The stand-in and an engine, whose clocks run PACE times as fast as the world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from image_mixer.remote.endpoints import Timeouts
from image_mixer.remote.engine import Engine, Order
from image_mixer.remote.errors import UnknownOutcome
from image_mixer.tests.remote import harness
from image_mixer.tests.standin.app import Service
from image_mixer.tests.standin.state import Fault

PACE = 80.0
LONG = 2000.0
TIMES = Timeouts(connect=LONG, read=LONG, submit=LONG, call=LONG, job=LONG, download=LONG, queue=LONG)
MINUTE = 60.0


class Scene(harness.Clocks):
    """The stand-in and engines on it, whose clocks run PACE times as fast as the world."""

    def __init__(self, folder: Path, service: Service, **settings: Any) -> None:
        super().__init__(PACE)
        self.folder, self.service, self.settings = folder, service, settings

    def engine(self, **caps: int) -> Engine:
        settings = replace(harness.endpoints(self.service.base, **{"timeouts": TIMES, **self.settings}), **caps)  # type: ignore[arg-type]
        return harness.engine(self.service.base, self.folder, settings, **self.given())

    def run(self, order: Order) -> Any:
        return self.engine().run(order)

    def unknown(self, order: Order) -> str:
        """Return the message of a run that must end as unknown."""
        with pytest.raises(UnknownOutcome) as caught:
            self.run(order)
        return str(caught.value)

    def before(self) -> None:
        """Run an earlier job of ours, which the list shows; count what is paid from here on."""
        self.run(order(50))
        self.service.state.paid.clear()

    @property
    def paid(self) -> int:
        return len(self.service.state.paid)


def order(seed: int, **more: Any) -> Order:
    """Return an order of one picture, or of `samples`, in a run of its own."""
    samples = more.pop("samples", 1)
    return harness.order(harness.recipe(seed=seed, samples=samples), run=str(seed), **more)


def not_taken() -> Fault:
    """Return a fault for the next submit: a server error, and the job is not accepted."""
    return Fault("mix", "answer", 500, "<html>")


SEED = 2**62 + 987_654_321
