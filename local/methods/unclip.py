"""Method unclip: one vector of the whole mix, given to the model beside the text.

SD2.1-unCLIP (l and h) was trained with the projected embedding of an image, noised, and the noise's level beside it as
its vector conditioning (`y`). SDXL takes the projected embedding of CLIP ViT-bigG in the place of its pooled text.
Sources: Ramesh et al., Hierarchical Text-Conditional Image Generation with CLIP Latents (2022); `unclip_adm` and
`CLIPEmbeddingNoiseAugmentation` of ComfyUI; diffusers' StableUnCLIPImg2ImgPipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.model_base
import torch
from comfy.patcher_extension import WrappersMP

from ...mixing.embeddings import norm_preserving_average, spherical_mean, weighted_sum
from ...mixing.errors import EngineError, InputError
from ...mixing.seeds import MAX_SEED
from ...mixing.weights import Matrix
from ..towers import Embeddings
from .base import Limits, Request, Tower
from .pieces import Piece, pieces_of, within, zeroed

KEY = "image_mixer_unclip"
"""The vector of each item in a conditioning entry's model_conds, and the wrapper that gives it to the model."""

AVERAGE, SPHERICAL, SUM = "norm-preserving average", "spherical mean", "weighted sum"
COMBINES: tuple[str, ...] = (AVERAGE, SPHERICAL, SUM)
_MERGE: dict[str, Callable[[torch.Tensor, Matrix], torch.Tensor]] = {
    AVERAGE: norm_preserving_average,
    SPHERICAL: spherical_mean,
    SUM: weighted_sum,
}
SDXL_POOLED = 1280


@dataclass(frozen=True)
class Settings:
    """How vectors become one: `noise_augmentation` 0 to 1 of the noise levels that the model was trained with."""

    combine: str = AVERAGE
    noise_augmentation: float = 0.0
    noise_seed: int = 0


class Unclip:
    """See the module's docstring. `strength` goes from what the conditioning says already (0) to the mix (1)."""

    name = "unclip"
    limits = Limits(None, -10.0, 10.0, texts=False, regions=True, spans=True)
    towers: frozenset[Tower] = frozenset({"vision"})
    prompt_is_ingredient = False

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """See Method."""
        given = Settings(**settings)
        if given.combine not in COMBINES:
            raise InputError(f"unclip combines by one of {', '.join(COMBINES)}, not {given.combine!r}.")
        if not 0.0 <= given.noise_augmentation <= 1.0:
            raise InputError(f"Noise augmentation goes from 0 to 1, not {given.noise_augmentation:g}.")
        if not 0 <= given.noise_seed <= MAX_SEED:
            raise InputError(f"The noise seed goes from 0 to {MAX_SEED}, not {given.noise_seed}.")

    def claims(self, model: Any, adapter: Any) -> bool:
        """SD2.1-unCLIP or SDXL without an adapter."""
        return adapter is None and isinstance(model.model, (comfy.model_base.SD21UNCLIP, comfy.model_base.SDXL))

    def check_model(self, model: Any, adapter: Any) -> list[str]:
        """See Method."""
        if adapter is not None:
            raise EngineError("Method unclip takes no adapter: disconnect it, or choose its own method.", "wrong model")
        if not isinstance(model.model, (comfy.model_base.SD21UNCLIP, comfy.model_base.SDXL)):
            raise EngineError(
                f"Method unclip needs an SD2.1-unCLIP or an SDXL model, not {type(model.model).__name__}.",
                "wrong model",
            )
        return []

    def check_vectors(self, model: Any, embeddings: Embeddings, adapter: Any = None) -> None:
        """See Method."""
        embeddings.check_width(_width(model))

    def condition(self, request: Request) -> tuple[Any, Any, Any]:
        """See Method. Text stays; a mix applied before is what `strength` starts from."""
        settings = Settings(**request.settings)
        embeddings, avoided = request.embeddings, request.embeddings.negative
        if not request.positive:
            raise InputError("Method unclip needs text beside the mix: connect positive (CLIP Text Encode).")
        negative = request.negative or zeroed(request.positive)
        for context in (request.positive, negative):
            if any("unclip_conditioning" in options for _, options in context):
                raise InputError(
                    "The conditioning comes from core's unCLIPConditioning: leave that node out and add its picture to the mix."
                )
        for part in (embeddings, avoided):
            if part is not None and settings.combine == SPHERICAL:
                _MERGE[SPHERICAL](torch.zeros(len(part.mix.ingredients), 1), part.mix.weights)
        acts = request.strength != 0 and any(w for row in embeddings.mix.weights for w in row)
        if not acts and not avoided:
            return request.model, request.positive, negative
        model = request.model if _is_sdxl(request.model) else _reading_own_vectors(request.model)
        pieces = pieces_of(embeddings.mix.ingredients, request.rows) if acts else [Piece(request.rows, {})]
        positive = _conditioned(model, request.positive, embeddings, pieces, request.strength, settings)
        around = [Piece(request.negative_rows, {})]
        return model, positive, _conditioned(model, negative, avoided, around, 1.0, settings)


def _is_sdxl(model: Any) -> bool:
    return isinstance(model.model, comfy.model_base.SDXL)


def _width(model: Any) -> int:
    """Numbers of an embedding that the model was trained with."""
    return SDXL_POOLED if _is_sdxl(model) else int(model.model.noise_augmentor.data_mean.shape[-1])


def _conditioned(
    model: Any,
    conditioning: Any,
    embeddings: Embeddings | None,
    pieces: list[Piece],
    strength: float,
    settings: Settings,
) -> list[list[Any]]:
    """`conditioning` once a piece, with the vectors of that piece's rows."""
    made = []
    for piece in pieces:
        vectors = _vectors(model, embeddings, piece.rows, settings)
        acting = torch.tensor([any(row) for row in piece.rows])[:, None]
        for context, entry in conditioning:
            options = within(entry, piece.options)
            if options is None:
                continue
            plain = _carried(model, options)
            mixed = torch.where(acting, plain + strength * (vectors - plain) if strength != 1 else vectors, plain)
            made.append([context, _carrying(model, options, mixed)])
    return made


def _vectors(model: Any, embeddings: Embeddings | None, rows: Matrix, settings: Settings) -> torch.Tensor:
    """What the model is given for each row: [rows, A], zeros for a row of zeros.

    SD2.1-unCLIP: the noised mix and the embedding of the noise's level. SDXL: the noised mix alone.
    """
    augmentor, width = model.model.noise_augmentor, _width(model)
    level = torch.tensor([round((augmentor.max_noise_level - 1) * settings.noise_augmentation)])
    answer = torch.zeros(len(rows), width if _is_sdxl(model) else 2 * width)
    if embeddings is None or not embeddings.encoded:
        return answer
    vectors = torch.stack(embeddings.vectors)
    generator = torch.Generator(device="cpu").manual_seed(settings.noise_seed)
    # One draw for every row and picture: variants then differ in their weights alone.
    noise = torch.randn((1, width), generator=generator, device="cpu")
    for number, row in enumerate(rows):
        used = [(index, weight) for index, weight in enumerate(row) if weight]
        if not used:
            continue
        if settings.combine == SUM and len(used) == 1:
            # As core: the weight of a lone picture also scales its noise and the embedding of the noise's level.
            merged, factor = vectors[used[0][0]][None], used[0][1]
        else:
            merged, factor = _MERGE[settings.combine](vectors, (row,)), 1.0
        noised = augmentor.unscale(augmentor.q_sample(augmentor.scale(merged), level, noise=noise))
        whole = noised if _is_sdxl(model) else torch.cat((noised, augmentor.time_embed(level)), dim=1)
        answer[number] = factor * whole[0]
    return answer


def _carried(model: Any, options: Mapping[str, Any]) -> torch.Tensor:
    """What a conditioning entry gives the model by itself: [1 or items, A]."""
    if _is_sdxl(model):
        pooled = options.get("pooled_output")
        return torch.zeros(1, SDXL_POOLED) if pooled is None else pooled.float().cpu()
    own = options.get("model_conds", {}).get(KEY)
    return torch.zeros(1, model.model.adm_channels) if own is None else own.cond


def _carrying(model: Any, options: dict[str, Any], vectors: torch.Tensor) -> dict[str, Any]:
    if _is_sdxl(model):
        return {**options, "pooled_output": vectors}
    return {**options, "model_conds": {**options.get("model_conds", {}), KEY: comfy.conds.CONDRegular(vectors)}}


def _reading_own_vectors(model: Any) -> Any:
    """A clone of `model` that takes its vector conditioning from KEY where an entry carries it, one an item."""
    model = model.clone()
    model.remove_wrappers_with_key(WrappersMP.APPLY_MODEL, KEY)
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, _with_own_vectors)
    return model


def _with_own_vectors(executor: Any, *args: Any, **conditions: Any) -> Any:
    """ComfyUI's own SD2.1-unCLIP makes one vector for the whole batch, with noise from the global generator."""
    own = conditions.pop(KEY, None)
    if own is not None:
        conditions["y"] = own
    return executor(*args, **conditions)


UNCLIP = Unclip()
