"""Ingredients and their one matrix of weights. Imports neither torch nor Pillow: pixels are only carried."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .errors import InputError, WeightsError
from .weights import Matrix, checked, joined, pad_row, spread, used_columns

Kind = Literal["image", "text", "url"]


@dataclass(frozen=True)
class Picture:
    """One image, `pixels` [1, H, W, 3], float, 0 to 1. Equality is by `digest`: SHA-256 of shape and content, hex."""

    digest: str
    pixels: Any = field(repr=False, compare=False)


@dataclass(frozen=True)
class Region:
    """The part of the output where an ingredient acts. `mask` is [H, W] of any size, 0 (not there) to 1 (fully)."""

    digest: str
    mask: Any = field(repr=False, compare=False)


MAX_TEXT = 20_000
"""Most characters of a text. A tokenizer's time grows with the square of a word's length: a word of 400,000 letters took
45 s, and an interrupt cannot stop it."""


def check_length(text: str, what: str) -> None:
    """Raise InputError, naming the text `what`, if it has more than MAX_TEXT characters."""
    if len(text) > MAX_TEXT:
        raise InputError(f"{what} has {len(text)} characters: shorten it to {MAX_TEXT}.")


@dataclass(frozen=True)
class Ingredient:
    """One image, one text or one image URL, and where (`region`) and when (`start` to `end`) it acts.

    `start` and `end` are fractions of the sampling, 0 to 1.
    Raises InputError if the span is empty or leaves 0 to 1, and if a text or URL is blank or longer than MAX_TEXT.
    """

    kind: Kind
    content: Picture | str
    region: Region | None = None
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.start < self.end <= 1.0:
            span = f"{self.start:g} to {self.end:g}"
            raise InputError(f"The span of an ingredient must have 0 <= start < end <= 1, not {span}.")
        if isinstance(self.content, str) and not self.content.strip():
            raise InputError(f"The {self.kind} ingredient is empty: give it a {self.kind}, or remove the node.")
        if isinstance(self.content, str):
            check_length(self.content, f"The {self.kind} ingredient")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the content only: region and span do not change what an encoder sees."""
        if isinstance(self.content, Picture):
            return self.content.digest
        # A text from JSON can hold half a surrogate pair, which strict UTF-8 refuses.
        return hashlib.sha256(f"{self.kind}:{self.content}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Mix:
    """Ingredients in order, and the matrix `weights` [variants, ingredients] that says how much of each.

    Raises WeightsError if a row does not have one number per ingredient, and if a number is not finite.
    """

    ingredients: tuple[Ingredient, ...] = ()
    weights: Matrix = ((),)

    def __post_init__(self) -> None:
        if not self.weights:
            raise WeightsError("The weights have no rows: a mix needs at least one.")
        for number, row in enumerate(self.weights, 1):
            if len(row) != len(self.ingredients):
                raise WeightsError(
                    f"Row {number} of the weights has {len(row)} numbers for {len(self.ingredients)} ingredients."
                )
        if self.ingredients:
            checked(self.weights)

    @property
    def variants(self) -> int:
        """The number of rows of the matrix."""
        return len(self.weights)

    def appended(self, ingredients: tuple[Ingredient, ...], weights: Matrix) -> Mix:
        """Return this mix with `ingredients` after its own, weighted by `weights` [variants or 1, len(ingredients)].

        Raises WeightsError if both have more than one row and not the same number.
        """
        return Mix(self.ingredients + ingredients, joined(self.weights, weights))

    def used(self) -> Mix:
        """Return this mix without the ingredients whose weight is 0 in every variant: weight 0 means absence."""
        kept = used_columns(self.weights)
        return Mix(
            tuple(self.ingredients[i] for i in kept),
            tuple(tuple(row[i] for i in kept) for row in self.weights),
        )

    def pictures(self, row: Sequence[float]) -> list[Picture]:
        """Return the images whose weight in `row` is not 0, in order."""
        contents = [ingredient.content for ingredient, weight in zip(self.ingredients, row, strict=True) if weight]
        return [content for content in contents if isinstance(content, Picture)]

    def reweighted(self, weights: Matrix) -> Mix:
        """Return this mix with another matrix [variants, ingredients]. Raises WeightsError as the class does."""
        return replace(self, weights=weights)


def mixed(
    sockets: Sequence[tuple[Ingredient, ...]], pad: str, weights: Matrix | None = None, before: Mix | None = None
) -> Mix:
    """Make the mix of one Image Mix node: the ingredients of `before`, then those of each socket.

    `weights` [variants, sockets] replaces the text of the `pad` for these sockets. Each ingredient gets the weight of its
    socket. Raises WeightsError if the numbers do not match the sockets.
    """
    matrix = weights if weights is not None else (pad_row(pad, len(sockets)),)
    spread_out = spread(matrix, [len(socket) for socket in sockets])
    return (before or Mix()).appended(tuple(i for socket in sockets for i in socket), spread_out)
