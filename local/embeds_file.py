"""Embeddings on disk: a safetensors file with the mix and its vectors, without pixels and without pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..mixing.errors import InputError
from ..mixing.images import region
from ..mixing.mix import Ingredient, Mix, Picture
from ..mixing.weights import checked
from .embeddings import Embeddings, Encoded

FORMAT = "image-mixer-embeds/1"
MAX_INGREDIENTS = 1000
BLANK = "blank.penultimate"

_DIMENSIONS = {"vector": (1,), "penultimate": (3,), "last": (3,), "latent": (4, 5)}
"""The parts of an `Encoded`, and the number of dimensions that each may have."""

_BAD_VECTORS = "The vectors of an embeddings file must be finite and of one width."


def save(embeddings: Embeddings, path: Path) -> None:
    """Write `embeddings` to `path` (.safetensors): vectors, regions and weights; images only by content hash."""
    tensors: dict[str, torch.Tensor] = {}
    parts = {"mix": embeddings, **({"negative": embeddings.negative} if embeddings.negative else {})}
    if embeddings.blank is not None:
        tensors[BLANK] = _sequence(embeddings.blank())
    described = {name: _described(name, part, tensors) for name, part in parts.items()}
    save_file(tensors, str(path), metadata={"format": FORMAT, "parts": json.dumps(described)})


def load(path: Path) -> Embeddings:
    """Return the embeddings that `save` wrote.

    Raise InputError if the file is not safetensors, not an embeddings file, or broken.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path.name} is not an embeddings file of Save Embeds.")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        parts = json.loads(metadata["parts"])
        negative = _embeddings("negative", parts["negative"], tensors, None) if "negative" in parts else None
        return replace(_embeddings("mix", parts["mix"], tensors, negative), blank=_blank(tensors))
    except SafetensorError as error:
        raise InputError(
            f"{path.name} is not a safetensors file, or is broken: only safetensors files can be loaded."
        ) from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({type(error).__name__}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(f"{path.name} is a broken embeddings file ({type(error).__name__}).") from error


def _described(name: str, embeddings: Embeddings, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    ingredients = []
    for index, (ingredient, encoded) in enumerate(zip(embeddings.mix.ingredients, embeddings.encoded, strict=True)):
        for part in _DIMENSIONS:
            tensor = getattr(encoded, part)
            if tensor is not None:
                tensors[f"{name}.{part}.{index}"] = tensor.clone()
        if ingredient.region is not None:
            tensors[f"{name}.region.{index}"] = ingredient.region.mask.clone()
        ingredients.append(
            {"kind": ingredient.kind, "digest": ingredient.digest, "start": ingredient.start, "end": ingredient.end}
        )
    return {"ingredients": ingredients, "weights": embeddings.mix.weights}


def _sequence(blank: Encoded) -> torch.Tensor:
    assert blank.penultimate is not None  # Embeddings.blank promises it
    return blank.penultimate.clone()


def _blank(tensors: dict[str, torch.Tensor]) -> Callable[[], Encoded] | None:
    """Return a function that returns the tower's states for an empty picture, or None if the file does not hold them."""
    if BLANK not in tensors:
        return None
    states = tensors[BLANK].to(torch.float32)
    if states.ndim != 3 or not states.numel() or not bool(torch.isfinite(states).all()):
        raise InputError(_BAD_VECTORS)
    return lambda: Encoded(penultimate=states)


def _embeddings(name: str, part: Any, tensors: dict[str, torch.Tensor], negative: Embeddings | None) -> Embeddings:
    if len(part["ingredients"]) > MAX_INGREDIENTS:
        raise InputError(f"An embeddings file holds at most {MAX_INGREDIENTS} ingredients.")
    ingredients: list[Ingredient] = []
    for index, described in enumerate(part["ingredients"]):
        mask = tensors.get(f"{name}.region.{index}")
        # The file holds only the hash of the content: from here on the vector stands for it.
        ingredients.append(
            Ingredient(
                "image",
                Picture(str(described["digest"]), None),
                region(mask) if mask is not None else None,
                float(described["start"]),
                float(described["end"]),
            )
        )
    weights = tuple(tuple(float(weight) for weight in row) for row in part["weights"])
    return Embeddings(Mix(tuple(ingredients), checked(weights)), _encoded(name, len(ingredients), tensors), negative)


def _encoded(name: str, count: int, tensors: dict[str, torch.Tensor]) -> tuple[Encoded, ...]:
    """Return what the encoders made of `count` ingredients, after checking that all ingredients have the same shapes."""
    parts: list[dict[str, torch.Tensor]] = [{} for _ in range(count)]
    for part, dimensions in _DIMENSIONS.items():
        shapes = set()
        for index in range(count):
            tensor = tensors.get(f"{name}.{part}.{index}")
            if tensor is None:
                continue
            tensor = parts[index][part] = tensor.to(torch.float32)
            shapes.add(tensor.shape[-1] if part != "latent" else tensor.shape[1])
            if tensor.ndim not in dimensions or not tensor.numel() or not bool(torch.isfinite(tensor).all()):
                raise InputError(_BAD_VECTORS)
        if len(shapes) > 1:
            raise InputError(_BAD_VECTORS)
    if not all(parts):
        raise InputError("An embeddings file must hold a vector for each ingredient.")
    return tuple(Encoded(**one) for one in parts)
