"""Failures that end a command with one line on screen and an exit code."""

from __future__ import annotations


class ToolError(Exception):
    """A command cannot go on. The message is one line: what was wrong, and what to do. `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


class UsageError(ToolError):
    """The arguments do not fit, such as a file that does not exist or a value out of range. The exit code is 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=2)
