"""The local engine's nodes: load, encode, apply, and all of it in one."""

from __future__ import annotations

from typing import Any

import folder_paths
from comfy_api.latest import io

from ..local import checkpoint, engine, sampling
from ..local.towers import Embeddings
from ..mixing import report as reports
from ..mixing.errors import EngineError
from ..mixing.images import PREPARATIONS
from ..mixing.mix import Mix
from ..mixing.recipe import Recipe
from ..mixing.weights import Matrix
from .fallback import hand_over, unfinished_runs
from .methods import megapixels_input, method_input, settings_of
from .types import MENU, ImageMix, MixAdapter, MixEmbeds, MixRecipe, MixWeights

_DRAWER = f"{MENU}/local"
_CLIP_VISION_TOOLTIP = (
    "The vision tower that looks at the pictures: the one that the model or its adapter was trained with. Image Mixer's own "
    "comes from Load Image Mixer Checkpoint. Unconnected: only texts can be mixed."
)
_CLIP_TOOLTIP = (
    "For image mixer a CLIP-L with text projection (clip_l.safetensors through Load CLIP), for texts and prompts as "
    "ingredients; unconnected, only images can be mixed. Other methods need the model's own, for the prompts."
)
_NEGATIVE_MIX_TOOLTIP = (
    "What the picture should move away from; at most one variant, or as many as the mix. Unconnected: none."
)
_ADAPTER_TOOLTIP = "The adapter of methods that need one; for redux, what Load Style Model gives. Unconnected: none."


class ImageMixerLoadCheckpoint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerLoadCheckpoint",
            display_name="Load Image Mixer Checkpoint",
            category=_DRAWER,
            description="Loads Lambda's Image Mixer with the vision tower that lies in the same file.",
            search_aliases=["lambda", "image mixer full", "checkpoint"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=folder_paths.get_filename_list("checkpoints"),
                    tooltip="An Image Mixer checkpoint in models/checkpoints.",
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The denoiser, marked as an Image Mixer's."),
                io.Vae.Output("vae", tooltip="Decodes the images."),
                io.ClipVision.Output("clip_vision", tooltip="The vision tower that the model was trained with."),
            ],
        )

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(*checkpoint.load_image_mixer(folder_paths.get_full_path_or_raise("checkpoints", file)))


class ImageMixerEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerEncode",
            display_name="Encode Mix",
            category=_DRAWER,
            description="Makes a vector of every ingredient. Vectors are kept: a changed weight runs no tower again.",
            search_aliases=["clip vision encode", "embeddings"],
            inputs=[
                ImageMix.Input("mix", tooltip="What to encode."),
                io.ClipVision.Input("clip_vision", optional=True, tooltip=_CLIP_VISION_TOOLTIP),
                io.Clip.Input("clip", optional=True, tooltip=_CLIP_TOOLTIP),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="For methods that take the pictures themselves (reference). Unconnected for image mixer.",
                ),
                ImageMix.Input("negative_mix", optional=True, tooltip=_NEGATIVE_MIX_TOOLTIP),
                _preparation_input(),
                megapixels_input("reference_megapixels", optional=True),
            ],
            outputs=[MixEmbeds.Output("embeddings", tooltip="For Apply Mix and Save Embeds.")],
        )

    @classmethod
    def execute(
        cls,
        mix: Mix,
        preparation: str,
        clip_vision: Any = None,
        clip: Any = None,
        vae: Any = None,
        negative_mix: Mix | None = None,
        reference_megapixels: float = 1.0,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            engine.embed_all(mix, negative_mix, clip_vision, clip, preparation, vae, reference_megapixels)
        )


class ImageMixerApply(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerApply",
            display_name="Apply Mix",
            category=_DRAWER,
            description="Conditions a model on a mix, for KSampler or any other sampler. Give the latent a batch of one item a "
            "variant.",
            search_aliases=["apply ipadapter", "apply style model", "unclip conditioning", "condition"],
            inputs=[
                io.Model.Input("model", tooltip="The model to condition. It is left unchanged."),
                io.Conditioning.Input(
                    "positive",
                    optional=True,
                    tooltip="What the conditioning carries besides text (a ControlNet) is kept; image mixer "
                    "replaces its text, the other methods keep and need it. Unconnected: the mix alone.",
                ),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="As positive. Unconnected: nothing to move away from."
                ),
                MixEmbeds.Input("embeddings", tooltip="From Encode Mix or Load Embeds."),
                MixWeights.Input(
                    "weights",
                    optional=True,
                    tooltip="Weights instead of the mix's own, a column an ingredient. Unconnected: the mix's own.",
                ),
                _adapter_input(),
                method_input(),
                _strength_input(),
            ],
            outputs=[
                io.Model.Output("model", tooltip="For the sampler."),
                io.Conditioning.Output("positive", tooltip="For the sampler."),
                io.Conditioning.Output("negative", tooltip="For the sampler."),
            ],
        )

    @classmethod
    def validate_inputs(cls, model: Any = None, method: Any = None) -> bool | str:
        return _chosen(method)

    @classmethod
    def execute(
        cls,
        model: Any,
        embeddings: Embeddings,
        method: dict[str, Any],
        strength: float,
        positive: Any = None,
        negative: Any = None,
        weights: Matrix | None = None,
        adapter: Any = None,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            *engine.apply(
                model, positive, negative, embeddings, weights, adapter, method["method"], strength, settings_of(method)
            )
        )


class ImageMixerLocal(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerLocal",
            display_name="Image Mixer (Local)",
            category=MENU,
            description="Makes the images of a recipe with a diffusion model here: encode, condition, sample and decode in one.",
            search_aliases=["image mixer", "mix images", "ksampler", "lambda image mixer"],
            enable_expand=True,
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            inputs=[
                MixRecipe.Input("recipe", tooltip="What to make."),
                io.Model.Input("model", tooltip="The model to sample with."),
                io.Vae.Input("vae", tooltip="Decodes the images."),
                io.Clip.Input("clip", optional=True, tooltip=_CLIP_TOOLTIP),
                io.ClipVision.Input("clip_vision", optional=True, tooltip=_CLIP_VISION_TOOLTIP),
                _adapter_input(),
                ImageMix.Input("negative_mix", optional=True, tooltip=_NEGATIVE_MIX_TOOLTIP),
                _preparation_input(),
                method_input(engine=True),
                _strength_input(),
                io.Combo.Input(
                    "sampler",
                    options=list(sampling.SAMPLERS),
                    default="euler",
                    tooltip="How noise becomes a picture, as in KSampler. ddim (image mixer) is the original's own: it "
                    "ignores the scheduler.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=list(sampling.SCHEDULERS),
                    default="normal",
                    tooltip="How the steps are spread over the noise, as in KSampler.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="A picture to start from, with its inpainting mask if it has one: one item, or one an image. "
                    "Its size replaces the recipe's. Unconnected: noise alone.",
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    round=0.001,
                    tooltip="How much of the latent is made anew, 0 to 1. 1 starts from noise alone.",
                ),
                io.Image.Input(
                    "fallback",
                    optional=True,
                    lazy=True,
                    raw_link=True,
                    tooltip="Images of another engine, run only when this one cannot deliver (out of memory, wrong model, "
                    "no tower). Unconnected: an error instead.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="Variants x samples images, by variant, then sample."),
                io.Latent.Output("latent", tooltip="The same before decoding."),
                io.String.Output("report", tooltip="Who made the images, with which weights and seeds (JSON)."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> int:
        return unfinished_runs(cls.hidden.unique_id)

    @classmethod
    def validate_inputs(cls, model: Any = None, method: Any = None) -> bool | str:
        return _chosen(method)

    @classmethod
    def execute(
        cls,
        recipe: Recipe,
        model: Any,
        vae: Any,
        preparation: str,
        method: dict[str, Any],
        strength: float,
        sampler: str,
        scheduler: str,
        denoise: float,
        clip: Any = None,
        clip_vision: Any = None,
        adapter: Any = None,
        negative_mix: Mix | None = None,
        latent: Any = None,
        fallback: Any = None,
    ) -> io.NodeOutput:
        options = engine.Options(
            method["method"],
            settings_of(method),
            preparation,
            strength,
            sampler,
            scheduler,
            denoise,
            negative_mix,
            latent,
        )
        try:
            made = engine.generate(recipe, engine.Models(model, vae, clip, clip_vision, adapter), options)
        except EngineError as error:
            if fallback is None:
                raise
            return hand_over(fallback, "local", error, cls.hidden, vae_input="vae")
        return io.NodeOutput(made.images, {"samples": made.latents}, reports.to_json(made.report))


def _chosen(method: Any) -> bool | str:
    """What `validate_inputs` answers. ComfyUI leaves out a method that is none, and hears what is said of inputs that are
    there alone: `validate_inputs` names model as well."""
    return isinstance(method, dict) or "The method is none of this node's: choose one from its list."


def _preparation_input() -> io.Combo.Input:
    return io.Combo.Input(
        "preparation",
        options=list(PREPARATIONS),
        default=PREPARATIONS[0],
        tooltip="How a picture that is not square meets the tower: centre crop cuts its ends off, pad keeps it whole on white, "
        "tile looks at overlapping squares and averages them. Square pictures are the same in all.",
    )


def _strength_input() -> io.Float.Input:
    return io.Float.Input(
        "strength",
        default=1.0,
        min=0.0,
        max=5.0,
        step=0.05,
        round=0.001,
        tooltip="How much the mix acts at all, whatever its ratio: it multiplies every weight; with unclip it goes from the "
        "plain model (0) to the mix (1). 0 switches it off.",
    )


def _adapter_input() -> io.MultiType.Input:
    return io.MultiType.Input("adapter", types=[MixAdapter, io.StyleModel], optional=True, tooltip=_ADAPTER_TOOLTIP)
