"""Method image mixer: five tokens instead of the text, each strength x the embedding of one image or text.

Source: Lambda's Image Mixer, an SD1.x denoiser fine-tuned so that its cross-attention sees up to five projected CLIP
ViT-L/14 embeddings, not normalised. Unused slots are zero tokens, which act as attention sinks: there are always five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ...mixing.embeddings import weighted_slots
from ...mixing.errors import EngineError
from ...mixing.weights import Matrix
from ..conditioning import Conditioned, Conditioning
from ..embeddings import Embeddings
from ..families import class_name, unet_config
from .base import Limits, Needs, Request
from .options import Settings
from .pieces import pieces_of

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

SLOTS = 5
ATTACHMENT = "image_mixer"
"""Key of the attachment on a model patcher that marks an Image Mixer; clones and LoRA loaders keep it."""


def tag(model: ModelPatcher) -> None:
    """Mark a model patcher as an Image Mixer."""
    model.set_attachments(ATTACHMENT, True)


class ImageMixer:
    """See the module's docstring. Text is an ingredient like any other, and so is the prompt."""

    name = "image mixer"
    limits = Limits(SLOTS, 0.0, 5.0, texts=True, regions=True, spans=True)
    settings = Settings
    prompt_is_ingredient = True

    def needs(self, settings: Settings) -> Needs:
        """See Method."""
        return Needs(vision=True)

    def applies_to(self, model: ModelPatcher, adapter: object) -> bool:
        """Return True for a tagged model without an adapter: the denoiser alone looks like SD1.5's."""
        return adapter is None and bool(model.get_attachment(ATTACHMENT))

    def check_model(self, model: ModelPatcher, adapter: object) -> list[str]:
        """See Method."""
        if adapter is not None:
            raise EngineError(
                "Method image mixer takes no adapter: disconnect it, or choose the adapter's own method.", "wrong model"
            )
        if _context_width(model) is None:
            raise EngineError(
                f"Method image mixer needs an SD1.x denoiser trained as an Image Mixer, not {class_name(model)}.",
                "wrong model",
            )
        if not model.get_attachment(ATTACHMENT):
            return [
                "The model was not loaded by Load Image Mixer Checkpoint: a denoiser that was not trained as an Image Mixer "
                "makes noise of five embeddings."
            ]
        return []

    def check_embeddings(self, embeddings: Embeddings, model: ModelPatcher, adapter: object) -> None:
        """See Method."""
        embeddings.check_width(_context_width(model) or 0)

    def condition(self, request: Request[Settings]) -> Conditioned:
        """See Method. The text of `positive` and `negative` is replaced; what else they carry (a ControlNet) is kept."""
        target, width = request.target, _context_width(request.target.model) or 0
        positive = [
            [_tokens(request.embeddings, piece.rows, request.strength, width), {**options, **piece.options}]
            for piece in pieces_of(request.embeddings.mix.ingredients, request.rows)
            for options in _options_of(target.positive)
        ]
        negative = request.embeddings.negative
        tokens = (
            torch.zeros(1, SLOTS, width) if negative is None else _tokens(negative, request.negative_rows, 1.0, width)
        )
        return Conditioned(target.model, positive, [[tokens, options] for options in _options_of(target.negative)])


def _context_width(model: ModelPatcher) -> int | None:
    """Return the width of a cross-attention token, or None if the denoiser is of another family."""
    config = unet_config(model)
    if config.get("image_model") is not None or config.get("adm_in_channels") is not None:
        return None
    return config.get("context_dim")


def _tokens(embeddings: Embeddings, rows: Matrix, strength: float, width: int) -> torch.Tensor:
    """Return the context [items, SLOTS, width]: the weighted embeddings of each row, then zero tokens."""
    if not embeddings.encoded:
        return torch.zeros(len(rows), SLOTS, width)
    return weighted_slots(torch.stack(embeddings.vectors), rows, SLOTS) * strength


def _options_of(conditioning: Conditioning | None) -> list[dict[str, Any]]:
    """Return the options of each entry of a CONDITIONING without its text; one empty dict if none is connected."""
    return [options.copy() for _, options in conditioning] if conditioning else [{}]


IMAGE_MIXER = ImageMixer()
