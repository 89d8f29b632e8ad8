"""A paid job as every wire format takes it: a frozen request, and the limits that a format sets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..mixing.errors import InputError


@dataclass(frozen=True)
class MixRequest:
    """What one paid job asks for. `images` are URLs; `weights` has one number from 0 to 1 per image.

    `width` and `height` in pixels, or both None to use the size of the first image. With `seed` None, the service draws
    one. `webhook` and `track_id` do not change the image.
    """

    images: tuple[str, ...]
    weights: tuple[float, ...]
    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    steps: int = 30
    guidance_scale: float = 3.0
    seed: int | None = None
    samples: int = 1
    webhook: str | None = None
    track_id: str = ""


MOST_DIGITS, LONGEST_TRACK_ID = 18, 255
"""The longest numeric track_id in digits, so that it fits into 64 bits, and the longest text."""


@dataclass(frozen=True)
class Limits:
    """The limits that a format documents, both ends included. `images` and `samples` are per job, `side` in pixels."""

    images: int
    samples: int
    steps: tuple[int, int]
    guidance_scale: tuple[float, float]
    side: tuple[int, int]
    numeric_track_id: bool

    def check(self, request: MixRequest, wire: str) -> None:
        """Raise InputError if the service would refuse `request`. `wire` is how messages name the service."""
        if not request.prompt.strip():
            raise InputError("The remote service needs a prompt: write one in Mix Recipe or add a text ingredient.")
        if not request.images:
            raise InputError("The remote service needs at least one image: give one image ingredient a weight above 0.")
        if len(request.images) > self.images:
            raise InputError(
                f"{wire} mixes at most {self.images} images, and {len(request.images)} have a weight: set some to 0."
            )
        if len(request.weights) != len(request.images):
            raise InputError(
                f"{len(request.weights)} weights for {len(request.images)} images: give one weight per image."
            )
        _within("steps", request.steps, self.steps, wire)
        _within("guidance scale", request.guidance_scale, self.guidance_scale, wire)
        _within("images per job", request.samples, (1, self.samples), wire)
        for name, side in (("width", request.width), ("height", request.height)):
            if side is not None:
                _within(name, side, self.side, wire)
        track_id = request.track_id
        if track_id and self.numeric_track_id and not (track_id.isascii() and track_id.isdigit()):
            raise InputError(f"{wire} accepts only digits as track_id, not {track_id[:40]!r}.")
        longest = MOST_DIGITS if self.numeric_track_id else LONGEST_TRACK_ID
        if len(track_id) > longest:
            raise InputError(f"{wire} accepts at most {longest} characters as track_id, not {len(track_id)}.")


def _within(name: str, value: float, ends: tuple[float, float], wire: str) -> None:
    low, high = ends
    if not (math.isfinite(value) and low <= value <= high):
        raise InputError(f"{wire} accepts {name} from {low:g} to {high:g}, not {value:g}: change it in Mix Recipe.")
