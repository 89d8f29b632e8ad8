"""Mix Recipe."""

from __future__ import annotations

from comfy_api.latest import io

from ..mixing.mix import Mix
from ..mixing.recipe import LARGEST_SIDE, MAX_SAMPLES, MAX_STEPS, Recipe
from ..mixing.seeds import MAX_SEED
from .types import MENU, ImageMix, MixRecipe


class ImageMixerRecipe(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerRecipe",
            display_name="Mix Recipe",
            category=MENU,
            description="A mix and what a generation needs besides it. One recipe drives every engine.",
            search_aliases=["prompt", "img_mixer", "settings"],
            inputs=[
                ImageMix.Input("mix", tooltip="What to mix."),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="What the picture should show. For the method image mixer it is one of the five ingredients, "
                    "with weight 1. Empty: none.",
                ),
                io.String.Input(
                    "negative_prompt",
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="What the picture should not show. Empty: none.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=0,
                    max=LARGEST_SIDE,
                    step=8,
                    tooltip="Pixels, a multiple of 8. 0, for both sides, takes the first image's shape.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=0,
                    max=LARGEST_SIDE,
                    step=8,
                    tooltip="Pixels, a multiple of 8. 0, for both sides, takes the first image's shape.",
                ),
                io.Int.Input(
                    "steps",
                    default=30,
                    min=1,
                    max=MAX_STEPS,
                    tooltip="Denoising steps, from 1; more are slower and finer. Remote services take up to 50 or 100.",
                ),
                io.Float.Input(
                    "guidance_scale",
                    display_name="guidance scale (cfg)",
                    default=3.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How strongly the mix and the prompt are followed (classifier-free guidance). 1 switches "
                    "guidance off; the Image Mixer likes 2 to 5; remote services take 1 to 20.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=-1,
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="Sample j of each variant uses seed + j. -1 lets a remote service draw one; the local engine "
                    "refuses it.",
                ),
                io.Int.Input("samples", default=1, min=1, max=MAX_SAMPLES, tooltip="Images of each variant."),
            ],
            outputs=[MixRecipe.Output("recipe", tooltip="For Image Mixer (Local) and Image Mixer (Remote).")],
        )

    @classmethod
    def execute(
        cls,
        mix: Mix,
        prompt: str,
        negative_prompt: str,
        width: int,
        height: int,
        steps: int,
        guidance_scale: float,
        seed: int,
        samples: int,
    ) -> io.NodeOutput:
        return io.NodeOutput(Recipe(mix, prompt, negative_prompt, width, height, steps, guidance_scale, seed, samples))
