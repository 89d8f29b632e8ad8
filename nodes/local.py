"""Image Mixer (Local): encode, condition, sample and decode in one node."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..local import engine, sampling
from ..mixing.errors import EngineError
from ..mixing.images import Preparation
from ..mixing.mix import Mix
from ..mixing.recipe import Recipe
from ..mixing.report import to_json
from .fallback import hand_over, unfinished_runs
from .inputs import adapter_input, clip_input, clip_vision_input, negative_mix_input, preparation_input, strength_input
from .methods import method_input, settings_of, valid
from .types import MENU, MixRecipe


class ImageMixerLocal(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerLocal",
            display_name="Image Mixer (Local)",
            category=MENU,
            description="Makes the images of a recipe on this machine: encode, condition, sample and decode in one node.",
            search_aliases=["image mixer", "mix images", "ksampler", "lambda image mixer"],
            enable_expand=True,
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            inputs=[
                MixRecipe.Input("recipe", tooltip="What to make."),
                io.Model.Input("model", tooltip="The model to sample with."),
                io.Vae.Input("vae", tooltip="Decodes the images."),
                clip_input(),
                clip_vision_input(),
                adapter_input(),
                negative_mix_input(),
                preparation_input(),
                method_input(engine=True),
                strength_input(),
                *_sampling_inputs(),
                io.Image.Input(
                    "fallback",
                    optional=True,
                    lazy=True,
                    raw_link=True,
                    tooltip="Images of another engine, which runs only if this one cannot deliver (out of memory, wrong model, "
                    "no tower). Unconnected: an error instead.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="Variants x samples images, by variant, then sample."),
                io.Latent.Output("latent", tooltip="The latents of the images, before decoding."),
                io.String.Output("report", tooltip="Who made the images, with which weights and seeds (JSON)."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> int:
        return unfinished_runs(cls.hidden.unique_id)

    @classmethod
    def validate_inputs(cls, model: object = None, method: object = None) -> bool | str:
        return valid(method)

    @classmethod
    def execute(
        cls,
        recipe: Recipe,
        model: io.Model.Type,
        vae: io.Vae.Type,
        preparation: Preparation,
        method: dict[str, Any],
        strength: float,
        sampler: str,
        scheduler: str,
        denoise: float,
        clip: io.Clip.Type | None = None,
        clip_vision: io.ClipVision.Type | None = None,
        adapter: object = None,
        negative_mix: Mix | None = None,
        latent: io.Latent.Type | None = None,
        fallback: list[Any] | None = None,
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
        return io.NodeOutput(made.images, {"samples": made.latents}, to_json(made.report))


def _sampling_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "sampler",
            options=list(sampling.SAMPLERS),
            default="euler",
            tooltip="How noise becomes a picture, as in KSampler. ddim (image mixer) is the original's own sampler; it "
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
            tooltip="A picture to start from, with its inpainting mask if it has one: one item, or one per image. "
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
    ]
