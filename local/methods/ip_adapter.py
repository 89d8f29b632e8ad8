"""Method ip-adapter: the denoiser's cross-attention looks at image tokens beside the text.

Source: Ye et al., IP-Adapter, 2023. With queries q and an image's keys K and values V, attention to the text gets
sum(w softmax(q K) V) added: in mode sum each image has a softmax of its own, as several adapters with one image each; in
mode shared one softmax runs over the tokens of all images, with log w added to an image's scores, as one adapter with
several images. What no image looks like takes the images' place in the negative, unless a negative mix does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...mixing.errors import EngineError, InputError
from ..ip_adapter_file import STATES_TOWERS, VECTOR_TOWERS, Adapter
from ..towers import Embeddings
from . import image_attention
from .base import Limits, Request, Tower
from .image_attention import Layer, Layout
from .pieces import pieces_of, within

COMBINE = ("shared", "sum")
PROFILES = ("all", "style", "composition", "strong style", "ease in", "ease out", "ease in-out")
EASED = 0.05
"""What an easing profile leaves of the weight at its weak end."""

_STYLE = {
    11: {"style": {6: 1.0}, "composition": {3: 1.0}, "strong style": {i: 1.0 for i in range(11) if i != 3}},
    16: {
        "style": {i: 1.0 for i in range(16) if not 4 <= i <= 8},
        "composition": {4: 0.25, 5: 1.0},
        "strong style": {i: 1.0 for i in range(16) if not 4 <= i <= 5},
    },
}
"""By how many transformers a UNet has (SDXL 11, SD1.x 16): which of them, as they run, and how much.

Source: Wang et al., InstantStyle, 2024, for SDXL; the tables of ComfyUI_IPAdapter_plus, which people know, for the rest.
"""

_FAMILIES = {768: "SD1.x", 1024: "SD2.x", 2048: "SDXL"}


class IPAdapter:
    """See the module's docstring. The model is left unchanged; the adapter's weights are not in what is returned."""

    name = "ip-adapter"
    limits = Limits(None, -5.0, 5.0, texts=False, regions=True, spans=True)
    towers: frozenset[Tower] = frozenset({"vision"})
    prompt_is_ingredient = False

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """See Method."""
        for name, allowed in (("combine", COMBINE), ("layers", PROFILES)):
            if settings.get(name, allowed[0]) not in allowed:
                raise InputError(f"{name} is one of {', '.join(allowed)}, not {settings[name]!r}.")

    def claims(self, model: Any, adapter: Any) -> bool:
        """Every model to which an IP-Adapter is connected."""
        return isinstance(adapter, Adapter)

    def check_model(self, model: Any, adapter: Any) -> list[str]:
        """See Method."""
        if not isinstance(adapter, Adapter):
            raise EngineError(
                "Method ip-adapter needs an IP-Adapter: connect Load IP-Adapter to adapter.", "wrong model"
            )
        layers = _layers(model)
        model_name = type(model.model).__name__
        if not layers:
            raise EngineError(
                f"{model_name} has no cross-attention for an IP-Adapter: use a model of the SD1.x or SDXL family.",
                "wrong model",
            )
        if (adapter.context, adapter.widths) != (layers[0].context, tuple(layer.width for layer in layers)):
            raise EngineError(
                f"{adapter.file} is made for {_family(adapter.context)} ({len(adapter.widths)} layers); the model is "
                f"{model_name}, {_family(layers[0].context)} ({len(layers)} layers): choose the file of its family.",
                "wrong model",
            )
        return []

    def check_vectors(self, model: Any, embeddings: Embeddings, adapter: Any = None) -> None:
        """See Method."""
        for part in (embeddings, embeddings.negative):
            for encoded in part.encoded if part is not None else ():
                seen = adapter.seen(encoded)
                if seen is None:
                    raise EngineError(
                        f"{adapter.file} needs the vision tower {adapter.tower}: connect it to clip_vision.", "no tower"
                    )
                if seen.shape[-1] != adapter.input_width:
                    names = VECTOR_TOWERS if adapter.kind == "standard" else STATES_TOWERS
                    other = names.get(seen.shape[-1], "a tower that no IP-Adapter is made for")
                    raise EngineError(
                        f"{adapter.file} needs the vision tower {adapter.tower} ({adapter.input_width} numbers); what is "
                        f"connected makes {seen.shape[-1]}, as {other} does.",
                        "no tower",
                    )

    def condition(self, request: Request) -> tuple[Any, Any, Any]:
        """See Method. Text, masks, time ranges and all else in `positive` and `negative` stay."""
        if request.positive is None or request.negative is None:
            raise InputError("Method ip-adapter needs the prompts: connect positive and negative.")
        combine = request.settings.get("combine", COMBINE[0])
        if combine == "shared" and any(w < 0 for row in (*request.rows, *request.negative_rows) for w in row):
            raise InputError("A negative weight needs combine set to sum: one softmax cannot subtract.")
        entries = _positive_entries(request), _negative_entries(request, combine)
        if request.strength == 0 or not any(entry.acts for part in entries for entry in part):
            return request.model, request.positive, request.negative
        layout = Layout(_layers(request.model))
        profile = _profile(request.settings.get("layers", PROFILES[0]), layout.layers)
        model, key = image_attention.patched(request.model, layout)
        sources = _Sources(request, profile)
        carried = (_summed if combine == "sum" else _shared)([e for part in entries for e in part], sources)
        made = iter([_packed(layout, one, request.model) for one in carried])
        positive, negative = (
            [
                [
                    text,
                    {
                        **options,
                        "model_conds": {**options.get("model_conds", {}), **image_attention.conds(key, *tokens)},
                    },
                ]
                for entry, tokens in [(entry, next(made)) for entry in part]
                for text, options in _within(conditioning, entry.options)
            ]
            for part, conditioning in zip(entries, (request.positive, request.negative), strict=True)
        )
        return model, positive, negative


@dataclass(frozen=True)
class _Entry:
    """Which images act in one part of space and time: for each item of the batch, (number of a source, weight)."""

    items: tuple[tuple[tuple[int, float], ...], ...]
    options: Mapping[str, Any]

    @property
    def acts(self) -> bool:
        return any(self.items)


def _positive_entries(request: Request) -> list[_Entry]:
    return [
        _Entry(tuple(_shares(row) for row in piece.rows), piece.options)
        for piece in pieces_of(request.embeddings.mix.ingredients, request.rows)
    ]


def _negative_entries(request: Request, combine: str) -> list[_Entry]:
    """The negative mix everywhere; where it says nothing for an item, no picture, as strongly as the images there.

    One entry, where what acts is the same in every part of space and time.
    """
    count = len(request.embeddings.encoded)
    blank = count + (len(request.embeddings.negative.encoded) if request.embeddings.negative is not None else 0)
    entries = []
    for piece in pieces_of(request.embeddings.mix.ingredients, request.rows):
        items = []
        for number, row in enumerate(piece.rows):
            own = _shares(request.negative_rows[number if len(request.negative_rows) > 1 else 0], count)
            total = sum(row) if combine == "sum" else float(any(row))
            items.append(own or (((blank, total),) if total else ()))
        entries.append(_Entry(tuple(items), piece.options))
    same = all(entry.items == entries[0].items for entry in entries)
    return [_Entry(entries[0].items, {})] if same else entries


def _shares(row: Sequence[float], first: int = 0) -> tuple[tuple[int, float], ...]:
    return tuple((number, weight) for number, weight in enumerate(row, first) if weight)


class _Sources:
    """Keys and values [sources, tokens, width] of the mix's pictures, the negative's, and of no picture."""

    def __init__(self, request: Request, profile: torch.Tensor) -> None:
        self._adapter: Adapter = request.adapter
        self._embeddings = request.embeddings
        self._profile = profile * request.strength

    def __call__(self, wanted: set[int]) -> tuple[torch.Tensor, torch.Tensor, dict[int, int]]:
        """Those of the sources `wanted`, values times strength and profile, and where each lies."""
        numbers = sorted(wanted)
        both = [self._adapter.keys_and_values(self._seen(number)) for number in numbers]
        places = {number: place for place, number in enumerate(numbers)}
        return torch.stack([k for k, _ in both]), torch.stack([v for _, v in both]) * self._profile, places

    def _seen(self, number: int) -> torch.Tensor:
        negative = self._embeddings.negative.encoded if self._embeddings.negative is not None else ()
        encoded = (*self._embeddings.encoded, *negative)
        if number < len(encoded):
            seen = self._adapter.seen(encoded[number])
            assert seen is not None
            return seen
        if self._adapter.kind == "standard":
            return torch.zeros(1, self._adapter.input_width)
        if self._embeddings.blank is None:
            raise EngineError(
                "These embeddings lack what a plus adapter needs for the negative: encode the pictures again with Encode Mix.",
                "no tower",
            )
        seen = self._adapter.seen(self._embeddings.blank())
        assert seen is not None
        return seen


_Carried = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Keys and values [items, terms, tokens, width], and the bias [items, 1, 1, tokens] or None."""


def _gathered(
    entries: Sequence[_Entry], sources: Callable[[set[int]], tuple[torch.Tensor, torch.Tensor, dict[int, int]]]
) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """For each entry keys and values [items, slots, tokens, width] and weights [items, slots]; 0 in slots not used.

    As many slots in every entry, so that ComfyUI can run them, and the negative, in one batch.
    """
    slots = max(len(shares) for entry in entries for shares in entry.items)
    keys, values, places = sources({number for entry in entries for shares in entry.items for number, _ in shares})
    found = []
    for entry in entries:
        index = torch.zeros(len(entry.items), slots, dtype=torch.long)
        weights = torch.zeros(len(entry.items), slots)
        for item, shares in enumerate(entry.items):
            for slot, (number, weight) in enumerate(shares):
                index[item, slot], weights[item, slot] = places[number], weight
        found.append((keys[index], values[index], weights))
    return found


def _summed(entries: Sequence[_Entry], sources: _Sources) -> list[_Carried]:
    """A term an image; its weight is in its values."""
    return [(keys, values * weights[..., None, None], None) for keys, values, weights in _gathered(entries, sources)]


def _shared(entries: Sequence[_Entry], sources: _Sources) -> list[_Carried]:
    """One term; weights are in the bias, and only their ratios matter. Without a bias where all are the same."""
    slots = max(len(shares) for entry in entries for shares in entry.items)
    # One image in all slots is that image: so that no bias is needed for it beside others of equal weights.
    full = [
        _Entry(tuple(shares * slots if len(shares) == 1 else shares for shares in entry.items), entry.options)
        for entry in entries
    ]
    carried = []
    for keys, values, weights in _gathered(full, sources):
        largest = weights.amax(dim=1, keepdim=True)
        bias = torch.where(largest > 0, torch.log(weights / torch.where(largest > 0, largest, 1.0)), 0.0)
        there = (largest > 0)[..., None, None]
        bias = bias.repeat_interleave(keys.shape[2], dim=1)[:, None, None]
        carried.append((keys.flatten(1, 2)[:, None], torch.where(there, values, 0.0).flatten(1, 2)[:, None], bias))
    needed = any(bool(bias.any()) for _, _, bias in carried)
    return [(keys, values, bias if needed else None) for keys, values, bias in carried]


def _packed(layout: Layout, carried: _Carried, model: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The tensors that travel, in the dtype that the model computes in."""
    keys, values, bias = carried
    dtype = model.model.get_dtype_inference()
    return layout.packed(keys.to(dtype), values.to(dtype)), None if bias is None else bias.to(dtype)


def _within(conditioning: Any, part: Mapping[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """The entries (text, options) of a CONDITIONING, each acting only where and when the part does."""
    cut = [(text, within(options, part)) for text, options in conditioning]
    return [(text, options) for text, options in cut if options is not None]


def _layers(model: Any) -> list[Layer]:
    """The model's cross-attentions in the order of the files: input blocks, output blocks, middle block."""
    order = ("input", "output", "middle")
    layers = image_attention.layers_of(model.get_model_object("diffusion_model"))
    return sorted(layers, key=lambda layer: order.index(layer.place[0]))


def _profile(name: str, layers: Sequence[Layer]) -> torch.Tensor:
    """[sum of widths]: how much of its weight an image has in each column, by the profile of that name."""
    count = 1 + max(layer.transformer for layer in layers)
    if name in ("style", "composition", "strong style"):
        if count not in _STYLE:
            raise InputError(
                f"The layers called {name} are known for SD1.x and SDXL; this model has {count} transformers: choose all."
            )
        shares = [_STYLE[count][name].get(i, 0.0) for i in range(count)]
    else:
        shares = [EASED + (1.0 - EASED) * _eased(name, i / max(1, count - 1)) for i in range(count)]
    return torch.cat([torch.full((layer.width,), shares[layer.transformer]) for layer in layers])


def _eased(name: str, depth: float) -> float:
    """0 to 1 at `depth`, 0 (first) to 1 (last)."""
    if name == "ease in":
        return 1.0 - depth
    if name == "ease out":
        return depth
    return 1.0 - abs(2.0 * depth - 1.0) if name == "ease in-out" else 1.0


def _family(context: int) -> str:
    return _FAMILIES.get(context, f"a model with {context} numbers a token")


IP_ADAPTER = IPAdapter()
