"""Method ip-adapter: the denoiser's cross-attention looks at image tokens beside the text.

Source: Ye et al., IP-Adapter, 2023. With queries q and an image's keys K and values V, attention to the text gets
sum(w softmax(q K) V) added. In mode sum each image has a softmax of its own, as several adapters with one image each. In
mode shared one softmax runs over the tokens of all images, with log w added to an image's scores, as one adapter with
several images. In the negative the blank (no picture) replaces the images, unless there is a negative mix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...mixing.errors import EngineError, InputError
from ..conditioning import Conditioned, Conditioning
from ..embeddings import Embeddings
from ..families import class_name
from ..ip_adapter_file import STATES_TOWERS, VECTOR_TOWERS, Adapter
from . import image_attention
from .base import Limits, Needs, Request
from .image_attention import Layer, Layout
from .image_terms import Carried, Entry, Sources, negative_entries, positive_entries, shared, summed
from .layer_profiles import PROFILES, profile_of
from .options import Settings, choice
from .pieces import within

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

SHARED, SUM = "shared", "sum"

_FAMILIES = {768: "SD1.x", 1024: "SD2.x", 2048: "SDXL"}


@dataclass(frozen=True)
class IPAdapterSettings(Settings):
    """How several images act together, and in which layers."""

    combine: str = choice(
        (SHARED, SUM),
        "How several images act together. shared: they divide one attention by the ratio of their weights; equal weights are "
        "the usual way to join images. sum: each image has an attention of its own, multiplied by its weight, so two images "
        "of weight 1 act twice as much; negative weights subtract.",
    )
    layers: str = choice(
        PROFILES,
        "In which layers of the model the images act. all: in every layer. style and composition: the few layers known for "
        "them. strong style: all layers but those of composition. ease in weakens towards the last layer, ease out towards "
        "the first, ease in-out towards both.",
    )


class IPAdapter:
    """See the module's docstring. Returned models do not hold the adapter's weights."""

    name = "ip-adapter"
    limits = Limits(None, -5.0, 5.0, texts=False, regions=True, spans=True)
    settings = IPAdapterSettings
    prompt_is_ingredient = False

    def needs(self, settings: IPAdapterSettings) -> Needs:
        """See Method."""
        return Needs(vision=True)

    def applies_to(self, model: ModelPatcher, adapter: object) -> bool:
        """Return True for every model to which an IP-Adapter is connected."""
        return isinstance(adapter, Adapter)

    def check_model(self, model: ModelPatcher, adapter: object) -> list[str]:
        """See Method."""
        adapter = _adapter(adapter)
        layers = _layers(model)
        if not layers:
            raise EngineError(
                f"{class_name(model)} has no cross-attention for an IP-Adapter: use a model of the SD1.x or SDXL family.",
                "wrong model",
            )
        if (adapter.context, adapter.widths) != (layers[0].context, tuple(layer.width for layer in layers)):
            raise EngineError(
                f"{adapter.file} is made for {_family(adapter.context)} ({len(adapter.widths)} layers); the model is "
                f"{class_name(model)}, {_family(layers[0].context)} ({len(layers)} layers): choose the file of its family.",
                "wrong model",
            )
        return []

    def check_embeddings(self, embeddings: Embeddings, model: ModelPatcher, adapter: object) -> None:
        """See Method."""
        adapter = _adapter(adapter)
        for part in (embeddings, embeddings.negative):
            for encoded in part.encoded if part is not None else ():
                _check_seen(adapter, adapter.seen(encoded))

    def condition(self, request: Request[IPAdapterSettings]) -> Conditioned:
        """See Method. Text, masks, time ranges and all else in `positive` and `negative` stay."""
        target, by_sum = request.target, request.settings.combine == SUM
        if target.positive is None or target.negative is None:
            raise InputError("Method ip-adapter needs the prompts: connect positive and negative.")
        if not by_sum and any(w < 0 for row in (*request.rows, *request.negative_rows) for w in row):
            raise InputError("A negative weight needs combine set to sum: one softmax cannot subtract.")
        positive, negative = positive_entries(request), negative_entries(request, by_sum)
        if request.strength == 0 or not any(entry.acts for entry in (*positive, *negative)):
            return Conditioned(target.model, target.positive, target.negative)
        layout = Layout(_layers(target.model))
        factors = profile_of(request.settings.layers, layout.layers) * request.strength
        model, key = image_attention.patched(target.model, layout)
        sources = Sources(_adapter(target.adapter), request.embeddings, factors)
        # Both at once, so that they get the same number of slots.
        carried = (summed if by_sum else shared)([*positive, *negative], sources)
        conds = [image_attention.conds(key, *_packed(layout, one, target.model)) for one in carried]
        return Conditioned(
            model,
            _carrying(target.positive, positive, conds[: len(positive)]),
            _carrying(target.negative, negative, conds[len(positive) :]),
        )


def _adapter(adapter: object) -> Adapter:
    if not isinstance(adapter, Adapter):
        raise EngineError("Method ip-adapter needs an IP-Adapter: connect Load IP-Adapter to adapter.", "wrong model")
    return adapter


def _check_seen(adapter: Adapter, seen: torch.Tensor | None) -> None:
    """Raise EngineError ("no tower") if `seen` of a picture does not come from the tower that the adapter needs."""
    if seen is None:
        raise EngineError(
            f"{adapter.file} needs the vision tower {adapter.tower}: connect it to clip_vision.", "no tower"
        )
    if seen.shape[-1] != adapter.input_width:
        names = VECTOR_TOWERS if adapter.kind == "standard" else STATES_TOWERS
        other = names.get(seen.shape[-1], "a tower that no IP-Adapter is made for")
        raise EngineError(
            f"{adapter.file} needs the vision tower {adapter.tower} ({adapter.input_width} numbers); the connected tower "
            f"makes {seen.shape[-1]}, as {other} does.",
            "no tower",
        )


def _carrying(conditioning: Conditioning, entries: Sequence[Entry], conds: Sequence[Mapping[str, Any]]) -> Conditioning:
    """Return `conditioning` once per entry, limited to the entry's part of space and time, with its conds added."""
    made: Conditioning = []
    for entry, added in zip(entries, conds, strict=True):
        for text, given in conditioning:
            options = within(given, entry.options)
            if options is not None:
                made.append([text, {**options, "model_conds": {**options.get("model_conds", {}), **added}}])
    return made


def _packed(layout: Layout, carried: Carried, model: ModelPatcher) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the tensors that travel with the conditioning, in the dtype that the model computes in."""
    dtype = model.model.get_dtype_inference()
    bias = None if carried.bias is None else carried.bias.to(dtype)
    return layout.packed(carried.keys.to(dtype), carried.values.to(dtype)), bias


def _layers(model: ModelPatcher) -> list[Layer]:
    """Return the model's cross-attentions in the order of the files: input blocks, output blocks, middle block."""
    order = ("input", "output", "middle")
    layers = image_attention.layers_of(model.get_model_object("diffusion_model"))
    return sorted(layers, key=lambda layer: order.index(layer.id[0]))


def _family(context: int) -> str:
    return _FAMILIES.get(context, f"a model whose tokens have {context} numbers")


IP_ADAPTER = IPAdapter()
