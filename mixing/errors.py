"""Errors of the pack.

Every message is one line for the user: what was wrong, with the value, and what to do about it.
A message never holds a key.
"""

from __future__ import annotations


class MixError(Exception):
    """Base of every error that this pack raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(MixError):
    """The user's input cannot be used: a weight, a mix, a recipe, a file. Another engine would fail as well."""


class WeightsError(InputError):
    """Weights that cannot be parsed, are not finite, or do not match the ingredients."""


class ImageError(InputError):
    """An image that has the wrong layout, or whose file cannot be read."""


class EngineError(MixError):
    """An engine cannot deliver; another engine might.

    `cause` is a short constant such as "out of memory" or "no tower", for reports and tests.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause
