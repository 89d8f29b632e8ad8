"""Method unclip: one vector of the whole mix, given to the model beside the text.

SD2.1-unCLIP (l and h) was trained with the projected embedding of an image, noised, and the noise's level beside it as
its vector conditioning (`y`). SDXL takes the projected embedding of CLIP ViT-bigG instead of its pooled text.
Sources: Ramesh et al., Hierarchical Text-Conditional Image Generation with CLIP Latents (2022); `unclip_adm` and
`CLIPEmbeddingNoiseAugmentation` of ComfyUI; diffusers' StableUnCLIPImg2ImgPipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.conds
import comfy.model_base
import torch
from comfy.patcher_extension import WrappersMP

from ...mixing.embeddings import norm_preserving_average, spherical_mean, weighted_sum
from ...mixing.errors import EngineError, InputError
from ...mixing.seeds import MAX_SEED
from ...mixing.weights import Matrix, Row
from ..conditioning import Conditioned, Conditioning, needed_texts
from ..embeddings import Embeddings
from ..families import class_name
from .base import Limits, Needs, Request
from .options import Range, Settings, choice, number, whole
from .pieces import Piece, pieces_of, within

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

KEY = "image_mixer_unclip"
"""Names the vector of each item in a conditioning entry's model_conds, and the wrapper that gives it to the model."""

AVERAGE, SPHERICAL, SUM = "norm-preserving average", "spherical mean", "weighted sum"
COMBINES: tuple[str, ...] = (AVERAGE, SPHERICAL, SUM)
_MERGE: dict[str, Callable[[torch.Tensor, Matrix], torch.Tensor]] = {
    AVERAGE: norm_preserving_average,
    SPHERICAL: spherical_mean,
    SUM: weighted_sum,
}
SDXL_POOLED = 1280


@dataclass(frozen=True)
class UnclipSettings(Settings):
    """How the vectors are combined, and the noise on the result."""

    combine: str = choice(
        COMBINES,
        "How the vectors are combined into one. The averages keep the length that the model was trained with, whatever the "
        "weights add up to; weighted sum is core's way, longer with every picture. Negative weights point away from a "
        "picture; the spherical mean does not take any.",
    )
    noise_augmentation: float = number(
        0.0,
        Range(0.0, 1.0, step=0.01),
        "How much noise the vector gets, as a share of the 1000 levels that the model was trained with: more leaves more to "
        "the text and to chance. 0 is the lowest level.",
    )
    noise_seed: int = whole(
        0, 0, MAX_SEED, "Seed of that noise, the same for all variants and samples, whatever their own seeds."
    )


class Unclip:
    """See the module's docstring. `strength` goes from what the conditioning already holds (0) to the mix (1)."""

    name = "unclip"
    limits = Limits(None, -10.0, 10.0, texts=False, regions=True, spans=True)
    settings = UnclipSettings
    prompt_is_ingredient = False

    def needs(self, settings: UnclipSettings) -> Needs:
        """See Method."""
        return Needs(vision=True)

    def applies_to(self, model: ModelPatcher, adapter: object) -> bool:
        """Return True for SD2.1-unCLIP or SDXL without an adapter."""
        return adapter is None and _is_supported(model)

    def check_model(self, model: ModelPatcher, adapter: object) -> list[str]:
        """See Method."""
        if adapter is not None:
            raise EngineError(
                "Method unclip takes no adapter: disconnect it, or choose the adapter's own method.", "wrong model"
            )
        if not _is_supported(model):
            raise EngineError(
                f"Method unclip needs an SD2.1-unCLIP or an SDXL model, not {class_name(model)}.", "wrong model"
            )
        return []

    def check_embeddings(self, embeddings: Embeddings, model: ModelPatcher, adapter: object) -> None:
        """See Method."""
        embeddings.check_width(_width(model))

    def condition(self, request: Request[UnclipSettings]) -> Conditioned:
        """See Method. Text stays; if a mix was applied before, `strength` starts from it."""
        settings, model = request.settings, request.target.model
        embeddings, avoided = request.embeddings, request.embeddings.negative
        positive, negative = needed_texts(request.target, self.name)
        _check_not_cores(positive, negative)
        for part in (embeddings, avoided):
            if part is not None and settings.combine == SPHERICAL:
                _MERGE[SPHERICAL](torch.zeros(len(part.mix.ingredients), 1), part.mix.weights)
        acts = request.strength != 0 and any(w for row in embeddings.mix.weights for w in row)
        if not acts and not avoided:
            return Conditioned(model, positive, negative)
        if not _is_sdxl(model):
            model = _reading_own_vectors(model)
        pieces = pieces_of(embeddings.mix.ingredients, request.rows) if acts else [Piece(request.rows, {})]
        mix = _Merged(model, embeddings, settings, request.strength)
        against = _Merged(model, avoided, settings, 1.0)
        return Conditioned(
            model,
            mix.added_to(positive, pieces),
            against.added_to(negative, [Piece(request.negative_rows, {})]),
        )


def _check_not_cores(*conditionings: Conditioning) -> None:
    if any("unclip_conditioning" in options for conditioning in conditionings for _, options in conditioning):
        raise InputError(
            "The conditioning comes from core's unCLIPConditioning: leave that node out and add its picture to the mix."
        )


def _is_supported(model: ModelPatcher) -> bool:
    return isinstance(model.model, (comfy.model_base.SD21UNCLIP, comfy.model_base.SDXL))


def _is_sdxl(model: ModelPatcher) -> bool:
    return isinstance(model.model, comfy.model_base.SDXL)


def _width(model: ModelPatcher) -> int:
    """Return the width of the embeddings that the model was trained with."""
    return SDXL_POOLED if _is_sdxl(model) else int(model.model.noise_augmentor.data_mean.shape[-1])


@dataclass(frozen=True)
class _Merged:
    """The vectors of a mix, merged per row, for `model`. `embeddings` may be None: then there is no mix to add."""

    model: ModelPatcher
    embeddings: Embeddings | None
    settings: UnclipSettings
    strength: float

    def added_to(self, conditioning: Conditioning, pieces: list[Piece]) -> Conditioning:
        """Return `conditioning` once per piece, with the vectors of that piece's rows."""
        made = []
        for piece in pieces:
            vectors = self._vectors(piece.rows)
            acting = torch.tensor([any(row) for row in piece.rows])[:, None]
            for context, entry in conditioning:
                options = within(entry, piece.options)
                if options is None:
                    continue
                plain = _carried(self.model, options)
                wanted = plain + self.strength * (vectors - plain) if self.strength != 1 else vectors
                made.append([context, _carrying(self.model, options, torch.where(acting, wanted, plain))])
        return made

    def _vectors(self, rows: Matrix) -> torch.Tensor:
        """Return the model's input for each row: [rows, A], zeros for a row of zeros.

        SD2.1-unCLIP: the noised mix and the embedding of the noise's level. SDXL: the noised mix alone.
        """
        augmentor, width = self.model.model.noise_augmentor, _width(self.model)
        level = torch.tensor([round((augmentor.max_noise_level - 1) * self.settings.noise_augmentation)])
        answer = torch.zeros(len(rows), width if _is_sdxl(self.model) else 2 * width)
        if self.embeddings is None or not self.embeddings.encoded:
            return answer
        vectors = torch.stack(self.embeddings.vectors)
        generator = torch.Generator(device="cpu").manual_seed(self.settings.noise_seed)
        # One draw for every row and picture, so that variants differ only in their weights.
        noise = torch.randn((1, width), generator=generator, device="cpu")
        for index, row in enumerate(rows):
            if not any(row):
                continue
            merged, factor = self._merged(vectors, row)
            noised = augmentor.unscale(augmentor.q_sample(augmentor.scale(merged), level, noise=noise))
            whole = noised if _is_sdxl(self.model) else torch.cat((noised, augmentor.time_embed(level)), dim=1)
            answer[index] = factor * whole[0]
        return answer

    def _merged(self, vectors: torch.Tensor, row: Row) -> tuple[torch.Tensor, float]:
        """Return one row's vector [1, D], and a factor for the result after noise."""
        used = [(index, weight) for index, weight in enumerate(row) if weight]
        if self.settings.combine == SUM and len(used) == 1:
            # As core: the weight of a lone picture also scales its noise and the embedding of the noise's level.
            return vectors[used[0][0]][None], used[0][1]
        return _MERGE[self.settings.combine](vectors, (row,)), 1.0


def _carried(model: ModelPatcher, options: Mapping[str, Any]) -> torch.Tensor:
    """Return what a conditioning entry already gives the model: [1 or items, A]."""
    if _is_sdxl(model):
        pooled = options.get("pooled_output")
        return torch.zeros(1, SDXL_POOLED) if pooled is None else pooled.float().cpu()
    own = options.get("model_conds", {}).get(KEY)
    return torch.zeros(1, model.model.adm_channels) if own is None else own.cond


def _carrying(model: ModelPatcher, options: dict[str, Any], vectors: torch.Tensor) -> dict[str, Any]:
    if _is_sdxl(model):
        return {**options, "pooled_output": vectors}
    return {**options, "model_conds": {**options.get("model_conds", {}), KEY: comfy.conds.CONDRegular(vectors)}}


def _reading_own_vectors(model: ModelPatcher) -> ModelPatcher:
    """Return a clone of `model` that takes its vector conditioning, one per item, from KEY if an entry carries it."""
    model = model.clone()
    model.remove_wrappers_with_key(WrappersMP.APPLY_MODEL, KEY)
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, _with_own_vectors)
    return model


def _with_own_vectors(executor: Any, *args: Any, **conditions: Any) -> Any:
    """Replace ComfyUI's vector conditioning, which is one for the whole batch, with noise from the global generator."""
    own = conditions.pop(KEY, None)
    if own is not None:
        conditions["y"] = own
    return executor(*args, **conditions)


UNCLIP = Unclip()
