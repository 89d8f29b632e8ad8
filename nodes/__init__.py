"""The nodes: declarations, and conversions between ComfyUI's values and the pack's. NODES lists all of them."""

from __future__ import annotations

from comfy_api.latest import io

from .adapters import ImageMixerLoadAdapter
from .demo import ImageMixerDemoModel
from .embeds import ImageMixerLoadEmbeds, ImageMixerSaveEmbeds
from .fallback import ImageMixerHandOver
from .local import ImageMixerApply, ImageMixerEncode, ImageMixerLoadCheckpoint, ImageMixerLocal
from .mix import ImageMixerAddImage, ImageMixerAddText, ImageMixerAddURL, ImageMixerMix
from .output import ImageMixerSave, ImageMixerSheet
from .recipe import ImageMixerRecipe
from .remote import ImageMixerRemote
from .seeds import ImageMixerSeed, ImageMixerSeedSequence
from .weights import ImageMixerBlendWeights, ImageMixerSweepWeights, ImageMixerWeights

NODES: list[type[io.ComfyNode]] = [
    ImageMixerMix,
    ImageMixerAddImage,
    ImageMixerAddText,
    ImageMixerAddURL,
    ImageMixerWeights,
    ImageMixerBlendWeights,
    ImageMixerSweepWeights,
    ImageMixerSeed,
    ImageMixerSeedSequence,
    ImageMixerRecipe,
    ImageMixerLoadCheckpoint,
    ImageMixerLoadAdapter,
    ImageMixerDemoModel,
    ImageMixerEncode,
    ImageMixerApply,
    ImageMixerLocal,
    ImageMixerRemote,
    ImageMixerSheet,
    ImageMixerSave,
    ImageMixerSaveEmbeds,
    ImageMixerLoadEmbeds,
    ImageMixerHandOver,
]
