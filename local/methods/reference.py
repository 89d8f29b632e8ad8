"""Method reference: the pictures themselves as latents beside the output's, each with a weight of its own.

For models that were trained to look at pictures this way: Flux Kontext, Flux2, Qwen-Image-Edit and Krea2. Their attention
runs over the tokens of text, output and references alike. Weight w adds log(w) to the logits of a picture's keys: weight 1
equals core's Set Reference Latent. As w goes to 0 the picture vanishes, but later pictures keep their positions; weight 0
is absence, positions included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...mixing.errors import EngineError, InputError
from ...mixing.weights import Matrix
from ..conditioning import Conditioned, Conditioning, needed_texts
from ..embeddings import Embeddings, Encoded
from ..families import class_name, family_of, latent_dimensions, unet_config
from .base import Limits, Needs, Request
from .options import Range, Settings, choice, number, switch
from .pieces import Piece, pieces_of, within
from .reference_weights import weighing, with_references

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

AS_THE_MODEL = "as the model"
PLACEMENTS = (AS_THE_MODEL, "offset", "index", "uxo/uno", "index_timestep_zero")
"""How references get their positions: core's names, in the node Edit Model Reference Method."""

_FAMILIES = frozenset({"flux", "flux2", "krea2", "qwen_image"})


@dataclass(frozen=True)
class ReferenceSettings(Settings):
    """Positions of the references, size of the pictures, and whether the prompt's text encoder receives them."""

    placement: str = choice(
        PLACEMENTS,
        "How references get positions beside the output, as in Edit Model Reference Method. as the model: the model's own "
        "way, or that of the connected conditioning.",
    )
    megapixels: float = number(
        1.0,
        Range(0.05, 4.0, step=0.05),
        "Size of a reference picture in megapixels of 1024 x 1024; its shape is kept. 1 is what the models were trained "
        "with, less is faster.",
        engine_only=True,
    )
    pictures_in_prompt: bool = switch(
        True,
        "A vision-language text encoder (Qwen-Image-Edit's) also receives the pictures as Picture 1, 2 and so on, each whole "
        "whatever its weight. Off: it receives only the text. Other text encoders always receive only the text.",
        engine_only=True,
    )


class Reference:
    """See the module's docstring. Ordered: the first picture is the model's first reference."""

    name = "reference"
    limits = Limits(None, 0.0, 10.0, texts=False, regions=True, spans=True, zeros_apart=True)
    settings = ReferenceSettings
    prompt_is_ingredient = False

    def needs(self, settings: ReferenceSettings) -> Needs:
        """See Method."""
        return Needs(vae=True, megapixels=settings.megapixels, pictures_in_prompt=settings.pictures_in_prompt)

    def applies_to(self, model: ModelPatcher, adapter: object) -> bool:
        """Return True for a model of a family that takes references, without an adapter."""
        return adapter is None and family_of(model) in _FAMILIES

    def check_model(self, model: ModelPatcher, adapter: object) -> list[str]:
        """See Method. Kontext and Qwen-Image-Edit look like Flux and Qwen-Image, so those are not refused."""
        if adapter is not None:
            raise EngineError(
                "Method reference takes no adapter: disconnect it, or choose the adapter's own method.", "wrong model"
            )
        if family_of(model) not in _FAMILIES:
            raise EngineError(
                "Method reference needs a model that takes reference images (Flux Kontext, Flux2, Qwen-Image-Edit, Krea2), "
                f"not {class_name(model)}.",
                "wrong model",
            )
        return []

    def check_embeddings(self, embeddings: Embeddings, model: ModelPatcher, adapter: object) -> None:
        """See Method. The embeddings are latents here, and the encoder is the VAE."""
        for part in (embeddings, embeddings.negative):
            for encoded in part.used().encoded if part is not None else ():
                _check_latent(encoded, model)

    def condition(self, request: Request[ReferenceSettings]) -> Conditioned:
        """See Method. The negative gets the same references, as in the models' own pipelines: guidance is by text alone.

        References of a negative mix replace them there. References that the conditioning already has come first, with
        weight 1. Items that leave out different pictures get entries of their own, each masked to its items.
        """
        model, placement = request.target.model, request.settings.placement
        positive, negative = needed_texts(request.target, self.name)
        if not request.acts:
            return Conditioned(model, positive, negative)
        _check_placement(placement, model, positive)
        dimensions, mix = latent_dimensions(model), _References(request.embeddings, request.rows, request.strength)
        avoided = request.embeddings.negative
        against = mix if avoided is None else _References(avoided, request.negative_rows, 1.0)
        referring = mix.added_to(positive, dimensions)
        referring_negative = against.added_to(negative, dimensions)
        if placement != AS_THE_MODEL:
            for _, options in (*referring, *referring_negative):
                options["reference_latents_method"] = "uxo" if placement == "uxo/uno" else placement
        return Conditioned(weighing(model), referring, referring_negative)


def _check_latent(encoded: Encoded, model: ModelPatcher) -> None:
    """Raise EngineError ("no tower") if a picture has no latent, or one of another VAE than the model's."""
    channels, dimensions = model.get_model_object("latent_format").latent_channels, latent_dimensions(model)
    if encoded.latent is None:
        raise EngineError("Method reference encodes the pictures with the VAE: connect vae to Encode Mix.", "no tower")
    if encoded.latent.shape[1] != channels or encoded.latent.ndim != dimensions + 2:
        raise EngineError(
            f"The VAE makes latents of {encoded.latent.shape[1]} channels in {encoded.latent.ndim - 2} "
            f"dimensions; this model needs {channels} in {dimensions}: connect the VAE that belongs to it.",
            "no tower",
        )


def _check_placement(placement: str, model: ModelPatcher, positive: Conditioning) -> None:
    if placement == "index_timestep_zero" and _takes_a_vector(model):
        # Core doubles the timesteps for it, but neither the guidance nor the pooled text that are added to them.
        raise InputError(
            "This model does not support the placement index_timestep_zero, which Qwen-Image-Edit 2511 was trained with."
        )
    placed = any(options.get("reference_latents_method") for _, options in positive)
    if family_of(model) == "krea2" and placement == AS_THE_MODEL and not placed:
        raise InputError("Krea2 takes references only if their placement is chosen: try index.")


def _takes_a_vector(model: ModelPatcher) -> bool:
    config = unet_config(model)
    return family_of(model) in ("flux", "flux2") and bool(config.get("guidance_embed") or config.get("vec_in_dim"))


@dataclass(frozen=True)
class _References:
    """The pictures of a mix, with their weights `rows` [items, pictures] and a strength that multiplies them."""

    embeddings: Embeddings
    rows: Matrix
    strength: float

    def added_to(self, conditioning: Conditioning, dimensions: int) -> Conditioning:
        """Return each entry of `conditioning` with the references of every part of space, time and batch it acts in."""
        entries = []
        for piece in pieces_of(self.embeddings.mix.ingredients, self.rows):
            for kept, options, logs in self._groups(piece):
                latents = [latent for index in kept if (latent := self.embeddings.encoded[index].latent) is not None]
                for tokens, given in conditioning:
                    held = within(given, options)
                    if held is not None:
                        entries.append([tokens, with_references(held, latents, logs, dimensions)])
        return entries

    def _groups(self, piece: Piece) -> list[tuple[tuple[int, ...], dict[str, Any], torch.Tensor]]:
        """Return (pictures, options of the entry, log weights [1 or items, pictures]) per group of items.

        The items of a group leave out the same pictures; with several groups, each is masked to its items.
        """
        found = []
        groups = _by_zeros(piece.rows)
        for kept, items in groups.items():
            options = dict(piece.options)
            if len(groups) > 1:
                own = torch.zeros(len(piece.rows), 1, 1)
                own[items] = 1.0
                options.update(mask=options.get("mask", 1.0) * own)
            logs = torch.zeros(len(piece.rows), len(kept))
            for item in items:
                logs[item] = torch.tensor([math.log(piece.rows[item][index] * self.strength) for index in kept])
            if len(groups) == 1 and bool((logs == logs[0]).all()):
                logs = logs[:1]  # then a batch of any size will do
            found.append((kept, options, logs))
        return found


def _by_zeros(rows: Matrix) -> dict[tuple[int, ...], list[int]]:
    """Return the items by the columns that are not 0 in their row."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for item, row in enumerate(rows):
        groups.setdefault(tuple(index for index, weight in enumerate(row) if weight), []).append(item)
    return groups


REFERENCE = Reference()
