"""Method image mixer: five tokens in the place of the text, each strength x the embedding of one image or text.

Source: Lambda's Image Mixer, an SD1.x denoiser fine-tuned so that its cross-attention sees up to five unnormalised
projected CLIP ViT-L/14 embeddings. Unused slots are zero tokens; they act as attention sinks, so there are always five.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...mixing.embeddings import weighted_slots
from ...mixing.errors import EngineError
from ...mixing.weights import Matrix
from ..towers import Embeddings
from .base import Limits, Request, Tower
from .pieces import pieces_of

SLOTS = 5
ATTACHMENT = "image_mixer"
"""Key of the model patcher's attachment that tells an Image Mixer from any SD1.5; clones and LoRA loaders keep it."""


def tag(model: Any) -> None:
    """Mark a model patcher as an Image Mixer's."""
    model.set_attachments(ATTACHMENT, True)


class ImageMixer:
    """See the module's docstring. Text is an ingredient like any other, and so is the prompt."""

    name = "image mixer"
    limits = Limits(SLOTS, 0.0, 5.0, texts=True, regions=True, spans=True)
    towers: frozenset[Tower] = frozenset({"vision"})
    prompt_is_ingredient = True

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """See Method. It has none."""

    def claims(self, model: Any, adapter: Any) -> bool:
        """A tagged model without an adapter: the denoiser itself cannot be told from SD1.5's."""
        return adapter is None and bool(model.get_attachment(ATTACHMENT))

    def check_model(self, model: Any, adapter: Any) -> list[str]:
        """See Method."""
        if adapter is not None:
            raise EngineError(
                "Method image mixer takes no adapter: disconnect it, or choose its own method.", "wrong model"
            )
        if self._context_width(model) is None:
            raise EngineError(
                f"Method image mixer needs an SD1.x denoiser trained as an Image Mixer, not {type(model.model).__name__}.",
                "wrong model",
            )
        if not model.get_attachment(ATTACHMENT):
            return [
                "The model was not loaded by Load Image Mixer Checkpoint: a denoiser that was not trained as an Image Mixer "
                "makes noise of five embeddings."
            ]
        return []

    def check_vectors(self, model: Any, embeddings: Embeddings, adapter: Any = None) -> None:
        """See Method."""
        embeddings.check_width(self._context_width(model) or 0)

    def condition(self, request: Request) -> tuple[Any, Any, Any]:
        """See Method. The text of `positive` and `negative` is replaced; what else they carry (a ControlNet) is kept."""
        width = self._context_width(request.model) or 0
        positive = [
            [_tokens(request.embeddings, piece.rows, request.strength, width), {**options, **piece.options}]
            for piece in pieces_of(request.embeddings.mix.ingredients, request.rows)
            for options in _options_of(request.positive)
        ]
        negative = request.embeddings.negative
        tokens = (
            torch.zeros(1, SLOTS, width) if negative is None else _tokens(negative, request.negative_rows, 1.0, width)
        )
        return request.model, positive, [[tokens, options] for options in _options_of(request.negative)]

    @staticmethod
    def _context_width(model: Any) -> int | None:
        """Numbers of a cross-attention token, or None where the denoiser is of another family."""
        config = getattr(model.model, "model_config", None)
        unet = getattr(config, "unet_config", None) or {}
        if unet.get("image_model") is not None or unet.get("adm_in_channels") is not None:
            return None
        return unet.get("context_dim")


def _tokens(embeddings: Embeddings, rows: Matrix, strength: float, width: int) -> torch.Tensor:
    """Context [items, SLOTS, width]: the weighted embeddings of each row, then zero tokens."""
    if not embeddings.encoded:
        return torch.zeros(len(rows), SLOTS, width)
    return weighted_slots(torch.stack(embeddings.vectors), rows, SLOTS) * strength


def _options_of(conditioning: Any) -> list[dict[str, Any]]:
    """What each entry of a CONDITIONING says besides its text; one empty entry where none is connected."""
    return [options.copy() for _, options in conditioning] if conditioning else [{}]


IMAGE_MIXER = ImageMixer()
