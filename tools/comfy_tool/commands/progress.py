"""Show on standard error how a run gets on."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from ..console import say
from ..workflow.prompt import Prompt, title_of


class Bar:
    """A bar per node on a terminal, if tqdm is installed, and otherwise a line per node."""

    def __init__(self, prompt: Prompt) -> None:
        self._titles = {node_id: title_of(node) for node_id, node in prompt.items()}
        self._bars = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
        self._bar: Any = None
        self._current = ""

    def node(self, node_id: str) -> None:
        """A node begins."""
        if node_id == self._current:
            return
        self.finish()
        self._current = node_id
        if self._bars:
            from tqdm import tqdm

            self._bar = tqdm(total=1, desc=f"  {self._name()}", bar_format="{desc}", file=sys.stderr)
        else:
            say(f"  {self._name()}")

    def step(self, node_id: str, value: float, most: float) -> None:
        """A node has reached `value` of `most`."""
        self.node(node_id)
        if self._bar is not None and most > 0:
            self._bar.bar_format = "{desc} [{bar:30}] {n_fmt}/{total_fmt}"
            self._bar.total, self._bar.n = round(most), round(min(max(value, 0.0), most))
            self._bar.refresh()

    def finish(self) -> None:
        """The node, or the whole run, has ended: leave its line."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._current = None, ""

    def _name(self) -> str:
        name = self._titles.get(self._current, f"node {self._current}")
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        return name.encode(encoding, "replace").decode(encoding, "replace")
