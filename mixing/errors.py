"""Errors of the pack.

Every message is one line for the person at the screen: what was wrong, with the value, and what to do about it.
It never holds a key.
"""

from __future__ import annotations


class MixError(Exception):
    """Base of every error that this pack raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(MixError):
    """What the person gave cannot be used: a weight, a mix, a recipe, a file. No engine can help with it."""


class WeightsError(InputError):
    """Weights that do not parse, are not finite, or do not match what they weigh."""


class ImageError(InputError):
    """A picture, or the bytes of one, that cannot be read or has the wrong layout."""


class EngineError(MixError):
    """An engine cannot deliver; another engine might.

    `cause` is a short constant such as "out of memory" or "no tower": reports show it and tests compare it.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause
