"""Method redux: the tokens that a Redux style model makes of each picture, after the text of a Flux.1 model.

Sources: Black Forest Labs' FLUX.1 Redux [dev]; diffusers' FluxPriorReduxPipeline, which sums weighted token sequences.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import comfy.model_base
import torch
from comfy.ldm.flux.redux import ReduxImageEncoder
from torch.nn import functional

from ...mixing.embeddings import weighted_sum
from ...mixing.errors import EngineError, InputError
from ...mixing.weights import Matrix
from ..cache import CACHE
from ..conditioning import Conditioned, Conditioning, needed_texts
from ..embeddings import Embeddings, Encoded
from ..families import class_name, family_of, unet_config
from .base import Limits, Needs, Request
from .options import Settings, choice, whole
from .pieces import Piece, pieces_of, within
from .redux_tokens import KEY, appended, using_log_weights

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

CONCATENATE, SUM = "concatenate", "weighted sum"
COMBINES: tuple[str, ...] = (CONCATENATE, SUM)
LARGEST_GRID = 27
"""SigLIP at 384 pixels sees 27 x 27 patches."""


@dataclass(frozen=True)
class ReduxSettings(Settings):
    """How the tokens of several pictures are combined, and how many tokens per side are kept of each picture."""

    combine: str = choice(
        COMBINES,
        "How the pictures' tokens are combined. concatenate keeps all of them: weight 2 equals a picture given twice, and "
        "each picture takes time and memory. weighted sum adds them up: any number of pictures costs as much as one; "
        "weights that add up to 1 keep the usual strength.",
    )
    grid: int = whole(
        LARGEST_GRID,
        1,
        LARGEST_GRID,
        "Tokens per side that are kept of each picture, averaged over equal areas. Fewer are faster, and leave more to the "
        "text. 27 keeps all 729.",
    )


class Redux:
    """See the module's docstring. Strength multiplies the weights."""

    name = "redux"
    limits = Limits(None, -10.0, 10.0, texts=False, regions=True, spans=True)
    settings = ReduxSettings
    prompt_is_ingredient = False

    def needs(self, settings: ReduxSettings) -> Needs:
        """See Method."""
        return Needs(vision=True)

    def applies_to(self, model: ModelPatcher, adapter: object) -> bool:
        """Return True if the adapter is a Redux style model."""
        return _encoder(adapter) is not None

    def check_model(self, model: ModelPatcher, adapter: object) -> list[str]:
        """See Method."""
        encoder = _needed_encoder(adapter)
        if not isinstance(model.model, comfy.model_base.Flux) or family_of(model) != "flux":
            raise EngineError(f"Method redux needs a Flux.1 model, not {class_name(model)}.", "wrong model")
        width = unet_config(model)["context_in_dim"]
        if encoder.redux_down.out_features != width:
            raise EngineError(
                f"The style model makes tokens of {encoder.redux_down.out_features} numbers; the model takes {width}.",
                "wrong model",
            )
        return []

    def check_embeddings(self, embeddings: Embeddings, model: ModelPatcher, adapter: object) -> None:
        """See Method."""
        encoder = _needed_encoder(adapter)
        for part in (embeddings, embeddings.negative):
            for encoded in part.encoded if part is not None else ():
                _check_seen(encoder, encoded.last)

    def condition(self, request: Request[ReduxSettings]) -> Conditioned:
        """See Method. Text stays, and so do the tokens of a mix applied before."""
        target, settings = request.target, request.settings
        positive, negative = needed_texts(target, self.name)
        _check_no_mask(positive, negative)
        for part in (request.embeddings, request.embeddings.negative):
            _check_signs(part, settings)
        encoder = _needed_encoder(target.adapter)
        rows = tuple(tuple(weight * request.strength for weight in row) for row in request.rows)
        acts = any(weight for row in rows for weight in row)
        pieces = pieces_of(request.embeddings.mix.ingredients, rows) if acts else [Piece(rows, {})]
        positive = _with_tokens(positive, _Pictures(encoder, request.embeddings, settings), pieces)
        if request.embeddings.negative is not None:
            pictures = _Pictures(encoder, request.embeddings.negative, settings)
            negative = _with_tokens(negative, pictures, [Piece(request.negative_rows, {})])
        biased = any(KEY in options.get("model_conds", {}) for part in (positive, negative) for _, options in part)
        return Conditioned(using_log_weights(target.model) if biased else target.model, positive, negative)


def _encoder(adapter: object) -> ReduxImageEncoder | None:
    """Return the Redux encoder inside core's STYLE_MODEL, or None for anything else."""
    encoder = getattr(adapter, "model", None)
    return encoder if isinstance(encoder, ReduxImageEncoder) else None


def _needed_encoder(adapter: object) -> ReduxImageEncoder:
    encoder = _encoder(adapter)
    if encoder is None:
        raise EngineError(
            "Method redux needs a Redux style model as its adapter: load flux1-redux-dev.safetensors with Load Style "
            "Model and connect adapter.",
            "wrong model",
        )
    return encoder


def _check_seen(encoder: ReduxImageEncoder, seen: torch.Tensor | None) -> None:
    """Raise EngineError ("no tower") if hidden states [crops, tokens, width] do not come from the encoder's tower."""
    found = "no hidden states" if seen is None else f"{seen.shape[1]} tokens of {seen.shape[2]} numbers"
    if seen is None or seen.shape[2] != encoder.redux_dim or math.isqrt(seen.shape[1]) ** 2 != seen.shape[1]:
        raise EngineError(
            f"Redux needs the SigLIP tower sigclip_vision_patch14_384, a square of tokens of {encoder.redux_dim} numbers; the "
            f"connected tower makes {found}.",
            "no tower",
        )


def _check_no_mask(*conditionings: Conditioning) -> None:
    if any("attention_mask" in options for conditioning in conditionings for _, options in conditioning):
        raise InputError(
            "The conditioning carries an attention mask, as core's Apply Style Model with attn_bias makes: set that to "
            "multiply, or add its picture to the mix."
        )


def _check_signs(embeddings: Embeddings | None, settings: ReduxSettings) -> None:
    if embeddings is None or settings.combine == SUM:
        return
    smallest = min((weight for row in embeddings.mix.weights for weight in row), default=0.0)
    if smallest < 0:
        raise InputError(f"redux concatenates with weights from 0, not {smallest:g}: choose {SUM}.")


@dataclass(frozen=True)
class _Pictures:
    """The pictures of a mix, and what makes tokens of them."""

    encoder: ReduxImageEncoder
    embeddings: Embeddings
    settings: ReduxSettings

    def tokens(self, rows: Matrix) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return tokens [1 or rows, n, D] and their log weights [rows, n].

        The log weights are None if all are 0; both are None if all rows are zeros.
        """
        used = [index for index in range(len(self.embeddings.encoded)) if any(row[index] for row in rows)]
        if not used:
            return None, None
        pictures = torch.stack([self._of(self.embeddings.encoded[index]) for index in used])
        weights = tuple(tuple(row[index] for index in used) for row in rows)
        length = pictures.shape[1]
        if self.settings.combine == SUM:
            tokens = weighted_sum(pictures, weights)
            logs = torch.tensor([[0.0 if any(row) else -math.inf] * length for row in weights])
        else:
            tokens = pictures.flatten(0, 1)[None]
            shares = [[math.log(weight) if weight else -math.inf for weight in row] for row in weights]
            logs = torch.tensor(shares).repeat_interleave(length, dim=1)
        return tokens, logs if bool(logs.any()) else None

    def _of(self, encoded: Encoded) -> torch.Tensor:
        """Return the tokens [n, D] of one picture, averaged over its crops; they are kept in the cache."""
        seen, grid = encoded.last, self.settings.grid
        assert seen is not None  # check_embeddings has looked
        side = math.isqrt(seen.shape[1])
        key = (hashlib.sha256(seen.contiguous().numpy().tobytes()).hexdigest(), tuple(seen.shape), grid)
        tokens: torch.Tensor | None = CACHE.get(self.encoder, key)
        if tokens is None:
            tokens = self.encoder(seen).float().mean(dim=0)
            if grid < side:
                planes = tokens.reshape(1, side, side, -1).movedim(-1, 1)
                tokens = functional.adaptive_avg_pool2d(planes, grid).flatten(2)[0].T.contiguous()
            tokens = tokens.cpu()
            CACHE.put(self.encoder, key, tokens)
        return tokens


def _with_tokens(conditioning: Conditioning, pictures: _Pictures, pieces: list[Piece]) -> Conditioning:
    """Return `conditioning` once per piece, with the tokens of that piece after its text."""
    made = []
    for piece in pieces:
        tokens, logs = pictures.tokens(piece.rows)
        for context, entry in conditioning:
            options = within(entry, piece.options)
            if options is not None:
                made.append(appended(context, options, tokens, logs))
    return made


REDUX = Redux()
