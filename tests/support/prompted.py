"""What the engine needs of ComfyUI's CLIP, except for the encoding itself, which tests add in a subclass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar


class Prompted:
    """A CLIP without patches, layers or a tokenizer. It claims to be on a schedule, so the engine caches none of its prompts."""

    patcher = SimpleNamespace(patches={})
    layer_idx = None
    tokenizer: Any = None
    tokenizer_options: ClassVar[dict[str, Any]] = {}
    use_clip_schedule = True
    apply_hooks_to_conds = None

    def tokenize(self, text: str) -> str:
        """Return the text itself."""
        return text
