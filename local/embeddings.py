"""The values that encoding makes: what the encoders return for one ingredient, and for a whole mix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..mixing.errors import EngineError
from ..mixing.mix import Mix
from ..mixing.weights import used_columns

TOWER_NAMES = {768: "CLIP ViT-L/14", 1024: "CLIP ViT-H/14", 1280: "CLIP ViT-bigG/14"}
"""The tower that people connect, by the width of its projected embedding."""


@dataclass(frozen=True)
class Encoded:
    """What the encoders return for one ingredient: float32 tensors on the CPU, None if that encoder was not connected.

    `vector` [D] is the projected embedding, not normalised. `penultimate` and `last` [crops, tokens, width] are the hidden
    states of a vision tower before and after its last layer, one sequence per square crop of the picture.
    `latent` [1, C, H, W] (or [1, C, 1, H, W]) is the picture encoded by the VAE.
    """

    vector: torch.Tensor | None = None
    penultimate: torch.Tensor | None = None
    last: torch.Tensor | None = None
    latent: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Return the size of all tensors in bytes."""
        return sum(part.nbytes for part in (self.vector, self.penultimate, self.last, self.latent) if part is not None)


@dataclass(frozen=True)
class Embeddings:
    """A mix and its embeddings: `encoded[i]` belongs to `mix.ingredients[i]`.

    `negative` holds the embeddings that sampling moves away from, or None.
    `blank` returns the hidden states (`penultimate` only) of a CLIP vision tower for an empty picture, or is None if no such
    tower was connected. It is a function because few methods need it, and it runs the tower.
    """

    mix: Mix
    encoded: tuple[Encoded, ...]
    negative: Embeddings | None = None
    blank: Callable[[], Encoded] | None = None

    @property
    def vectors(self) -> tuple[torch.Tensor, ...]:
        """Return the projected embeddings [D], one per ingredient. Raise EngineError ("no tower") if one is missing."""
        vectors = tuple(one.vector for one in self.encoded if one.vector is not None)
        if len(vectors) < len(self.encoded):
            raise EngineError("The connected clip_vision does not make projected embeddings.", "no tower")
        return vectors

    @property
    def width(self) -> int:
        """Return D, the width of one vector; 0 for an empty mix. Raises as `vectors`."""
        return self.vectors[0].shape[-1] if self.encoded else 0

    def check_width(self, needed: int) -> None:
        """Raise EngineError ("no tower") if vectors, here or in the negative, do not have the width `needed`."""
        for part in (self, self.negative):
            if part is not None and part.encoded and part.width != needed:
                raise EngineError(
                    f"This model needs the vectors of {tower_name(needed)} ({needed} numbers); the connected tower makes "
                    f"{part.width}, as {tower_name(part.width)} does.",
                    "no tower",
                )

    def used(self) -> Embeddings:
        """Return the embeddings without the ingredients whose weight is 0 in every variant."""
        kept = used_columns(self.mix.weights)
        return replace(self, mix=self.mix.used(), encoded=tuple(self.encoded[i] for i in kept))


def tower_name(width: int) -> str:
    """Return the name of the tower whose vectors have `width` numbers."""
    return TOWER_NAMES.get(width, f"a tower of width {width}")
