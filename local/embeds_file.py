"""Embeddings on disk: safetensors with the mix beside the vectors, never pixels, never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..mixing.errors import InputError
from ..mixing.images import region
from ..mixing.mix import Ingredient, Mix, Picture
from ..mixing.weights import checked
from .towers import Embeddings, tower_name

FORMAT = "image-mixer-embeds/1"
MAX_INGREDIENTS = 1000


def save(embeddings: Embeddings, path: Path) -> None:
    """Write `embeddings` to `path` (.safetensors): vectors, regions and weights; images only by content hash."""
    tensors: dict[str, torch.Tensor] = {}
    parts = {"mix": embeddings, **({"negative": embeddings.negative} if embeddings.negative else {})}
    described = {name: _described(name, part, tensors) for name, part in parts.items()}
    save_file(tensors, str(path), metadata={"format": FORMAT, "parts": json.dumps(described)})


def load(path: Path) -> Embeddings:
    """The embeddings that `save` wrote.

    Raises InputError for a file that is not safetensors, is no embeddings file, or is broken.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path.name} is not an embeddings file of Save Embeds.")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        parts = json.loads(metadata["parts"])
        negative = _embeddings("negative", parts["negative"], tensors, None) if "negative" in parts else None
        return _embeddings("mix", parts["mix"], tensors, negative)
    except SafetensorError as error:
        raise InputError(f"{path.name} is not a safetensors file, or is broken: no other kind is loaded.") from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({type(error).__name__}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(f"{path.name} is a broken embeddings file ({type(error).__name__}).") from error


def check_width(embeddings: Embeddings, needed: int, path: Path) -> None:
    """Raises InputError where the vectors of a file come from another tower than is needed."""
    if embeddings.vectors and embeddings.width != needed:
        raise InputError(
            f"{path.name} holds vectors of {tower_name(embeddings.width)}; {tower_name(needed)} is needed."
        )


def _described(name: str, embeddings: Embeddings, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    ingredients = []
    for index, (ingredient, vector) in enumerate(zip(embeddings.mix.ingredients, embeddings.vectors, strict=True)):
        tensors[f"{name}.vector.{index}"] = vector.clone()
        if ingredient.region is not None:
            tensors[f"{name}.region.{index}"] = ingredient.region.mask.clone()
        ingredients.append(
            {"kind": ingredient.kind, "digest": ingredient.digest, "start": ingredient.start, "end": ingredient.end}
        )
    return {"ingredients": ingredients, "weights": embeddings.mix.weights}


def _embeddings(name: str, part: Any, tensors: dict[str, torch.Tensor], negative: Embeddings | None) -> Embeddings:
    if len(part["ingredients"]) > MAX_INGREDIENTS:
        raise InputError(f"An embeddings file holds at most {MAX_INGREDIENTS} ingredients.")
    ingredients, vectors = [], []
    for index, fields in enumerate(part["ingredients"]):
        vector = tensors[f"{name}.vector.{index}"].to(torch.float32)
        if vector.ndim != 1 or not bool(torch.isfinite(vector).all()) or (vectors and vector.shape != vectors[0].shape):
            raise InputError("The vectors of an embeddings file must be finite and of one width.")
        mask = tensors.get(f"{name}.region.{index}")
        # What the ingredient was is known by its hash alone: the vector stands for it from here on.
        ingredients.append(
            Ingredient(
                "image",
                Picture(str(fields["digest"]), None),
                region(mask) if mask is not None else None,
                float(fields["start"]),
                float(fields["end"]),
            )
        )
        vectors.append(vector)
    weights = tuple(tuple(float(weight) for weight in row) for row in part["weights"])
    return Embeddings(Mix(tuple(ingredients), checked(weights)), tuple(vectors), negative)
