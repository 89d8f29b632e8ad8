"""What a text tower of ComfyUI is to the engine besides its encoding; tests that bring an encoding of their own extend it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar


class Prompted:
    """A CLIP without patches, layers or tokenizer of its own, on a schedule, so that its prompts are not kept."""

    patcher = SimpleNamespace(patches={})
    layer_idx = None
    tokenizer: Any = None
    tokenizer_options: ClassVar[dict[str, Any]] = {}
    use_clip_schedule = True
    apply_hooks_to_conds = None

    def tokenize(self, text: str) -> str:
        """The text itself."""
        return text
